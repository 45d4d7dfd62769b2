"""A policy read back from a trajectory is the policy that was recorded."""

import json
from pathlib import Path

import pytest

from wardian_policies import Policy
from wardian_policies.errors import PolicyError
from wardian_policies.policy import preset_names
from wardian_policies.stored import stored_policy

OWN = """
extends = "default"
[tools]
default = "deny"
ask = ["shell(git push*)", "write_file(path=docs/**, content=*)"]
[commands]
allow = ["git status **"]
deny = ["rm -rf /"]
shell = "ask"
[paths]
readable = ["src/**"]
protected = ["secrets/**"]
[budgets]
steps = 7
cost_usd = "unlimited"
[limits]
memory_bytes = 1000000
[network]
hosts = ["example.org"]
[flow]
rule_of_two = "deny"
"""


def again(policy: Policy) -> Policy:
    return stored_policy(json.loads(json.dumps(policy.as_json())))


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_is_the_same(name: str) -> None:
    policy = Policy.load(name)
    assert again(policy).sha256 == policy.sha256
    assert again(policy).confinement == policy.confinement


def test_a_file_and_its_narrowing_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(OWN)
    policy = Policy.load(path)
    narrowed = policy.narrowed_by(Policy.load("strict"))
    for one in (policy, narrowed):
        assert again(one).sha256 == one.sha256
        assert again(one).budgets == one.budgets
        assert [layer.rules.rules for layer in again(one).layers] == [
            layer.rules.rules for layer in one.layers
        ]


def test_a_recorded_policy_can_only_narrow(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(OWN)
    policy = Policy.load(path)
    assert policy.narrowed_by(again(policy)).confinement == policy.confinement


@pytest.mark.parametrize(
    "harm",
    [
        {"layers": [{"rules": [{"text": "allow everything"}]}]},
        {"layers": 7},
        {"network": {"hosts": 7}},
        {"budgets": None},
        {"layers": []},
    ],
)
def test_what_is_no_policy_is_refused(harm: dict[str, object]) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        stored_policy({**Policy.load("default").as_json(), **harm})
