"""The local engine: llama.cpp in a child process. `wardian.models.llama.LlamaModel` is its face.

Parent: `process` (start, send, receive, end), `request` (what the child reads).
Child: `child` (the line to the parent), `session` (requests → replies), `engine` (batches), …

Nothing is imported here, since the child imports this package, too.
"""
