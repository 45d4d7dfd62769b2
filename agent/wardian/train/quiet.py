"""Libraries that would write to the terminal, or to the network, kept from it."""

import os
import warnings
from collections.abc import Generator
from contextlib import contextmanager

from wardian.train.libraries import library


@contextmanager
def quiet() -> Generator[None]:
    """No bars, no notes, no warnings that only the libraries' authors can act on."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging = library("transformers.utils.logging")
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        library("datasets").disable_progress_bars()
        yield
