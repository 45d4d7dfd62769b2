"""Which values count as secrets, and what is said of those that cannot be looked for."""

import json
from pathlib import Path

import pytest

from wardian_policies.redaction.gather import from_workspace, gather
from wardian_policies.tables import FlowRules, SecretRules

LINE = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj"
PEM = f"-----BEGIN PRIVATE KEY-----\n{LINE}\nabc=\n-----END PRIVATE KEY-----\n"


def test_variables_are_registered_by_their_names_alone() -> None:
    environ = {
        "ACME_API_KEY": "0123456789",
        "acme_api_key": "lower-case-name",
        "MY_TOKEN_COUNT": "not-a-secret",
        "PATH": "/usr/bin:/bin",
        "EMPTY_TOKEN": "",
        "SHORT_TOKEN": "1234",
    }
    found = gather(SecretRules(), environ)
    assert found.values == {"ACME_API_KEY": "0123456789"}
    assert found.left_out == ("SHORT_TOKEN is too short to be told from other text.",)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("just-one-secret-word\n", {"just-one-secret-word"}),
        ("export A=first-secret-1\nB='second secret'\n# c\n", {"first-secret-1", "second secret"}),
        (json.dumps({"a": {"b": ["4f1c88ab90e277d0"]}, "url": "https://x.example"}), {
            "4f1c88ab90e277d0"
        }),
        ("machine example.org login me password q9X2v7Lw\n", {"q9X2v7Lw"}),
        (PEM, {PEM.strip()}),
    ],
    ids=["word", "dotenv", "json", "netrc", "pem"],
)  # fmt: skip
def test_a_file_gives_the_secrets_in_it(tmp_path: Path, content: str, expected: set[str]) -> None:
    file = tmp_path / "secret"
    file.write_text(content)
    found = gather(SecretRules(environment=(), files=(str(file),)), {})
    assert set(found.values.values()) == expected


def test_a_missing_file_is_no_fault_and_an_unreadable_one_is_named(tmp_path: Path) -> None:
    rules = SecretRules(environment=(), files=(str(tmp_path / "absent"), str(tmp_path)))
    found = gather(rules, {})
    assert found.values == {}
    assert found.left_out == (f"{tmp_path} cannot be read.",)


def test_private_files_of_a_workspace_give_what_looks_like_a_secret(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MODE=production\nDB_PASSWORD=unguessable\nID=4f1c88ab90e2\n")
    (tmp_path / "a.env").write_text("DB_PASSWORD=not-a-private-file\n")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "b.pem").write_text(PEM)
    (tmp_path / ".env.link").symlink_to("/etc/passwd")
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / ".env").write_text("X_TOKEN=somebody-elses\n")
    found = from_workspace(SecretRules(), FlowRules().private_paths, tmp_path)
    assert found == {
        ".env DB_PASSWORD": "unguessable",
        ".env ID": "4f1c88ab90e2",
        "keys/b.pem": PEM,
    }
