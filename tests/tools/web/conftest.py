"""A web on loopback, and a box from which the web tools look at it."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SUPPORT = Path(__file__).parents[2] / "support"


def loaded(name: str) -> ModuleType:
    """A module of tests/support."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, SUPPORT / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def support() -> Any:
    """The module tests/support/loopback_web.py."""
    return loaded("loopback_web")


@pytest.fixture(scope="module")
def site(support: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make certificates with")
    certify = loaded("outside").make_certificates
    with support.Site(tmp_path_factory.mktemp("site"), certify) as servers:
        before = os.environ.get("SSL_CERT_FILE")
        os.environ["SSL_CERT_FILE"] = str(servers.authority)
        yield servers
        if before is None:
            del os.environ["SSL_CERT_FILE"]
        else:
            os.environ["SSL_CERT_FILE"] = before


@pytest.fixture(scope="module")
def browser(site: Any, support: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """It may reach good.example and what is below below.example."""
    folder = tmp_path_factory.mktemp("workspace")
    opened = support.Browser(folder, site, site.egress("good.example", "*.below.example"))
    yield opened
    opened.close()
