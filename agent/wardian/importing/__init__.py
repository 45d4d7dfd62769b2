"""Runs that others recorded, taken into the store: ATIF documents and OpenAI-style messages.

`reading` makes rows of a file, `atif` and `openai` make events of a row, `storing` writes them.
"""

from wardian.importing.storing import FORMATS, Imported, import_file

__all__ = ["FORMATS", "Imported", "import_file"]
