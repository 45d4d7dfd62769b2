"""Policy files: what they may say, and how a fault is reported."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from wardian_policies import Policy, PolicyError, PolicyFileError
from wardian_policies.tables import SecretRules

Write = Callable[[str], Policy]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[tools\nallow = []", 1, "it is not TOML"),
        ('[tools]\nallow = ["a"', 2, "it is not TOML"),
        ("[tools]\n\nalow = []", 3, "Did you mean 'tools.allow'?"),
        ("[budget]\nsteps = 1", 1, "Did you mean 'budgets"),
        ("allow = []", 1, "Did you mean 'tools.allow'?"),
        ("[tools]\n# x\ndefault = 'maybe'", 3, 'one of "allow", "ask", "deny"'),
        ("[tools]\nallow = 'read_file'", 2, "a list of texts"),
        ("[tools]\nallow = [1]", 2, "a list of texts"),
        ('tools = "all"', 1, "tools must be a table"),
        ("[budgets]\nsteps = 0", 2, "a whole number of at least 1"),
        ("[budgets]\nsteps = true", 2, "not true"),
        ("[budgets]\nsteps = 2.5", 2, "a whole number"),
        ("[budgets]\ncost_usd = -1", 2, "a number of at least 0"),
        ("[budgets]\nwall_seconds = inf", 2, "a number above 0"),
        ("[budgets]\nwall_seconds = nan", 2, "a number above 0"),
        ("[limits]\nmemory = 1", 2, "Did you mean 'limits.memory_bytes'?"),
        ("[limits]\nprocesses = 'many'", 2, "limits.processes must be"),
        ('[tools]\nallow = [\n  "read_file",\n  "she ll",\n]', 4, "is not a pattern"),
        ('[tools]\nask = ["@writing"]', 2, "is not a class of tools"),
        ('[tools]\nask = ["f(a=1, a=2)"]', 2, "the same argument twice"),
        ('[paths]\nwritable = ["ok", "../x"]', 2, "is not a path below the workspace"),
        ('[paths]\nprotected = ["/etc"]', 2, "is not a path below the workspace"),
        ('[paths]\nreadable = ["**/a/**/b/**/c/**"]', 2, "3 times '**'"),
        ('[paths]\nreadable = ["src/[ab].py"]', 2, "path globs do not know"),
        ('[network]\nhosts = ["*"]', 2, "Name each host"),
        ('[network]\nhosts = ["http://x.org"]', 2, "without a scheme"),
        ('[network]\nhosts = ["a.org",\n  "b..org"]', 3, "is not a host name"),
        ('[network]\nhosts = ["0x7f.1"]', 2, "another spelling"),
        ('[network]\nhosts = ["[::ffff:10.0.0.1]:443"]', 2, "in the spelling of IPv6"),
        ('[network]\nprivate = "yes"', 2, "true or false"),
        ('extends = "defualt"', 1, "Did you mean 'default'?"),
        ('\nextends = "./none.toml"', 2, "there is no policy"),
        ("extends = 'policy.toml'", 1, "goes round in a circle"),
        ('"tools.allow" = []', 1, "not a known key"),
        ("[network]\nany_web = 'yes'", 2, "true or false"),
        ('[secrets]\nenvironment = ["A", "my key"]', 2, "is not the name of a variable"),
        ('[secrets]\nkeyring = ["service"]', 2, "is not an entry of a keyring"),
        ('[secrets]\nfiles = ["notes.txt"]', 2, "neither an absolute path"),
        ('[secrets]\nfiles = ["~/../x"]', 2, "neither an absolute path"),
        ('[secrets]\ngive = [\n "A to github"]', 3, "does not say who receives what"),
        ('[secrets]\ngive = ["A to host:*"]', 2, "would let everything out"),
        ('[flow]\nrule_of_2 = "ask"', 2, "Did you mean 'flow.rule_of_two'?"),
        ('[flow]\nrule_of_two = "maybe"', 2, 'one of "allow", "ask", "deny"'),
        ('[flow]\nprivate_paths = ["../x"]', 2, "is not a path below the workspace"),
        ('[flow]\nprivate_hosts = ["*"]', 2, "would let everything out"),
        ('[redaction]\npatterns = ["(a", "("]', 2, "is not a regular expression"),
        ('[redaction]\npatterns = ["a",\n "b*"]', 3, "matches the empty text"),
        ('[mcp]\nservers = ["a b"]', 2, "is not a name"),
        ("[agents]\ndepth = -1", 2, "a whole number of at least 0"),
    ],
)
def test_a_fault_is_named_with_its_line(
    write: Write, tmp_path: Path, text: str, line: int, said: str
) -> None:
    with pytest.raises(PolicyFileError) as caught:
        write(text)
    assert caught.value.cause.startswith(f"{tmp_path}/policy.toml:{line}: ")
    assert said in str(caught.value)
    assert caught.value.remedy


def test_a_missing_file_and_an_unknown_name_say_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="is not a file"):
        Policy.load(tmp_path / "none.toml")
    with pytest.raises(PolicyError, match="Did you mean 'strict'"):
        Policy.load("strickt")
    with pytest.raises(PolicyError, match="Known are: ci, default, offline, strict, trusted-repo"):
        Policy.load("zzz")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"a = '\xff'", ":1: it is not UTF-8"),
        (b"#" * (1 << 20) + b"##", "larger than 1 MiB"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, "nested too deeply"),
    ],
)
def test_what_is_no_policy_text_is_refused(tmp_path: Path, raw: bytes, said: str) -> None:
    file = tmp_path / "policy.toml"
    file.write_bytes(raw)
    with pytest.raises(PolicyFileError, match=said):
        Policy.load(file)


def test_an_empty_file_asks_for_everything_and_has_no_network(write: Write) -> None:
    policy = write("")
    assert policy.layers[0].rules.default == "ask"
    assert policy.confinement.egress.hosts == ()
    assert policy.confinement.protected == (".wardian/**",)


def test_extending_adds_rules_and_protection_and_replaces_the_rest(write: Write) -> None:
    policy = write(
        'extends = "strict"\n[tools]\nallow = ["shell(make *)"]\n'
        '[paths]\nwritable = ["src/**"]\nprotected = ["keys/**"]\n'
        '[budgets]\nsteps = 99\ntokens = "unlimited"\n[limits]\nprocesses = 9\n'
        '[network]\nhosts = ["Example.org", "*.example.net"]'
    )
    strict = Policy.load("strict")
    written = [rule.rule.text for rule in policy.layers[0].rules.rules]
    assert written == ["allow @read-only", "allow shell(make *)"]
    assert policy.layers[0].rules.default == "ask"
    assert policy.confinement.writable == ("src/**",)
    assert policy.confinement.protected == (*strict.confinement.protected, "keys/**")
    assert policy.confinement.egress.hosts == ("example.org", "*.example.net")
    assert policy.confinement.limits.processes == 9
    assert policy.confinement.limits.cpu_seconds == strict.confinement.limits.cpu_seconds
    assert policy.budgets.steps == 99
    assert policy.budgets.tokens is None
    assert policy.budgets.cost_usd == strict.budgets.cost_usd


def test_a_policy_is_found_by_name_in_the_users_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('extends = "base"')
    (tmp_path / "base.toml").write_text('[tools]\ndefault = "deny"')
    policy = Policy.load("mine", folder=tmp_path)
    assert policy.name == "mine"
    assert policy.layers[0].rules.default == "deny"


def test_a_users_file_cannot_take_the_name_of_a_preset(tmp_path: Path) -> None:
    (tmp_path / "strict.toml").write_text('[tools]\ndefault = "allow"')
    assert Policy.load("strict", folder=tmp_path).sha256 == Policy.load("strict").sha256


def test_the_hash_is_of_the_rules_and_not_of_the_file(tmp_path: Path) -> None:
    text = '[tools]\nallow = ["read_file"]'
    (tmp_path / "a.toml").write_text(text)
    (tmp_path / "b.toml").write_text("# same\n\n" + text)
    (tmp_path / "c.toml").write_text(text + "\nask = ['shell']")
    a, b, c = (Policy.load(tmp_path / f"{name}.toml") for name in "abc")
    assert a.sha256 == b.sha256
    assert a.sha256 != c.sha256


def test_the_json_form_shows_every_rule_with_its_source(write: Write, tmp_path: Path) -> None:
    policy = write('extends = "default"\n[tools]\ndeny = ["shell(rm *)"]')
    assert policy.as_json()["layers"][0]["rules"] == [
        {"text": "ask @egress", "source": "preset default", "table": "tools"},
        {"text": "deny shell(rm *)", "source": f"{tmp_path}/policy.toml:3", "table": "tools"},
        {"text": "default = allow", "source": "preset default", "table": "default"},
    ]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('[tools]\nallow = ["shell"]\nask = [\n  "shell",\n]', 4, "in ask, and in allow on line 2"),
        ('[commands]\nallow = ["ls **"]\ndeny = ["ls **"]', 3, "in deny, and in allow on line 2"),
        ('[tools]\nallow = ["shell(ls)"]\ndeny = ["shell"]', 2, "can never apply: 'deny shell'"),
        ('[tools]\nask = ["shell"]\ndeny = ["sh*"]', 2, "can never apply: 'deny sh*'"),
        ('[paths]\nwritable = ["a/**"]\nprotected = ["a/**"]', 2, "protected, which always wins"),
        ('[mcp]\nservers = ["a"]\nunsandboxed = ["b"]', 3, "none of the servers allowed"),
    ],
)
def test_a_contradiction_is_named_with_its_line(
    write: Write, tmp_path: Path, text: str, line: int, said: str
) -> None:
    with pytest.raises(PolicyFileError) as caught:
        write(text)
    assert caught.value.cause.startswith(f"{tmp_path}/policy.toml:{line}: ")
    assert said in str(caught.value)


def test_a_rule_against_what_is_extended_is_a_contradiction(write: Write, tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text('[tools]\ndeny = ["shell"]')
    with pytest.raises(PolicyFileError, match=r"policy\.toml:3: .*base\.toml:2\) always wins"):
        write('extends = "./base.toml"\n[tools]\nallow = ["shell"]')


def test_a_name_that_is_nearly_a_tools_is_remarked_upon(write: Write, tmp_path: Path) -> None:
    policy = write('[tools]\ndeny = ["shel(rm *)", "my_tool", "web_*"]')
    remarks = policy.remarks(["shell", "read_file"])
    assert remarks == [f"{tmp_path}/policy.toml:2: there is no tool 'shel'. Did you mean 'shell'?"]


def test_usual_secrets_that_a_list_leaves_out_are_remarked_upon(
    write: Write, tmp_path: Path
) -> None:
    usual = list(SecretRules().environment)
    fewer = write(f"[secrets]\nenvironment = {json.dumps([*usual[:-2], 'ACME_*'])}").remarks([])
    replaced = f"{tmp_path}/policy.toml:2: secrets.environment replaces the usual names"
    assert fewer == [f"{replaced}: *_PASSWORD, *_PRIVATE_KEY are not secret."]
    for enough in ([*usual, "ACME_*"], []):
        assert write(f"[secrets]\nenvironment = {json.dumps(enough)}").remarks([]) == []
