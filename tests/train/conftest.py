"""Training needs the extras `train` and `local`; without them these tests are not collected."""

from importlib.util import find_spec

_NEEDED = ("torch", "gguf", "numpy", "llama_cpp", "jinja2")

collect_ignore_glob = [] if all(map(find_spec, _NEEDED)) else ["test_tiny_*.py"]
