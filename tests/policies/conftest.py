"""What the policy tests share."""

from collections.abc import Callable
from pathlib import Path

import pytest

from wardian_policies import Policy


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Policy]:
    """Loads a policy from its text, by way of a file."""

    def policy(text: str) -> Policy:
        file = tmp_path / "policy.toml"
        file.write_text(text)
        return Policy.load(file)

    return policy
