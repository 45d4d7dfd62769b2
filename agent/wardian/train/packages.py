"""What training and conversion need installed: looked for before anything of it is imported."""

from importlib.util import find_spec

from wardian.errors import ConfigurationError
from wardian.train.recipe import Method

COMMON = {
    "torch": "computes",
    "transformers": "loads models",
    "accelerate": "places them",
    "safetensors": "stores weights",
    "gguf": "reads and writes GGUF files",
    "jinja2": "renders chat templates",
}
CONVERSION = {
    "gguf": "writes GGUF files",
    "torch": "reads trained weights",
    "safetensors": "reads trained weights",
}
TRAIN = "Install it with: pip install 'wardian[train]'."
LOCAL = "Install it with: pip install 'wardian[local]'."


def check_training(method: Method, *, is_lora: bool = False) -> None:
    """Raises: ConfigurationError naming what is missing, and the extra that has it."""
    wanted = dict(COMMON)
    if method is not Method.GRPO:
        wanted |= {"trl": "trains", "datasets": "holds the rows"}
    if is_lora:
        wanted["peft"] = "makes low-rank additions"
    _check(wanted)
    if method is Method.GRPO:
        check_engine("samples the attempts")


def check_conversion() -> None:
    """Raises: as `check_training`."""
    _check(CONVERSION)
    check_engine()


def check_engine(does: str = "the file is checked with") -> None:
    """Raises: as `check_training`."""
    if find_spec("llama_cpp") is None:
        raise ConfigurationError(f"llama-cpp-python, which {does}, is not installed.", LOCAL)


def _check(wanted: dict[str, str]) -> None:
    for package, does in wanted.items():
        if find_spec(package) is None:
            raise ConfigurationError(f"{package}, which {does}, is not installed.", TRAIN)
