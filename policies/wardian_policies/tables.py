"""The tables of a policy file that other parts of the program read: each key once.

A key's line holds its default (what a file that extends nothing has), what its value must be, and
how two policies are narrowed: never to more than either of them allows. So a new key cannot be
forgotten by the schema, by `Policy.narrowed_by`, or by the property tests over both.

There is one of each in a run, and slots would cost start-up more than they save.

`[tools]`, `[commands]` and `[paths]` decide calls and are in `rules`, `commands` and `paths`;
`[budgets]` and `[limits]` are `Budgets` and the sandbox's `ResourceLimits`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Generic, NamedTuple, TypeVar, get_args

from wardian_policies.checks import (
    check_environment,
    check_file,
    check_gift,
    check_host,
    check_keyring,
    check_name,
    check_path,
    check_regex,
)
from wardian_policies.globs import intersect, text_regex
from wardian_policies.schema import Kind, boolean, choice, texts, whole
from wardian_policies.types import Verdict
from wardian_sandbox.egress.rules import parse_host_rule

T = TypeVar("T")
Row = TypeVar("Row")
Texts = tuple[str, ...]

STRICTNESS = {Verdict.ALLOW: 0, Verdict.ASK: 1, Verdict.DENY: 2}


class Key(NamedTuple, Generic[T]):
    """What is known of one key, beside its default."""

    kind: Kind
    narrowest: Callable[[T, T], T]


def union(one: Texts, other: Texts) -> Texts:
    """For what is kept away: all that either names."""
    return tuple(dict.fromkeys(one + other))


def common(one: Texts, other: Texts) -> Texts:
    """For what is granted: what both name, in the same words."""
    return tuple(text for text in one if text in other)


def both(one: bool, other: bool) -> bool:
    return one and other


def either(one: bool, other: bool) -> bool:
    return one or other


def strictest(one: Verdict, other: Verdict) -> Verdict:
    return max(one, other, key=STRICTNESS.__getitem__)


def least(one: int, other: int) -> int:
    return min(one, other)


def shared_hosts(some: Texts, others: Texts) -> Texts:
    """The hosts that both lists name, where `*.example.org` names those below it."""
    rules = {text: parse_host_rule(text) for text in (*some, *others)}

    def shared(texts: Texts, wider: Texts) -> list[str]:
        return [t for t in texts if any(rules[w].covers(rules[t]) for w in wider)]

    return tuple(dict.fromkeys(shared(some, others) + shared(others, some)))


def verdict() -> Kind:
    return choice(*Verdict, kept=Verdict)


@dataclass(frozen=True, kw_only=True)
class NetworkRules:
    """`[network]`: what may be reached."""

    hosts: Annotated[Texts, Key(texts(check_host, kept=str.lower), shared_hosts)] = ()
    """By code in the sandbox, through its proxy, and by web tools; see `Egress.hosts`."""
    private: Annotated[bool, Key(boolean(), both)] = False
    """May the listed names lead to private networks?"""
    any_web: Annotated[bool, Key(boolean(), both)] = False
    """May web tools fetch from public hosts that are not listed? They send GET requests only; code
    in the sandbox still reaches the listed ones alone."""
    ignore_robots: Annotated[bool, Key(boolean(), both)] = False
    """May web tools fetch what a site's robots.txt asks programs not to fetch?"""


@dataclass(frozen=True, kw_only=True)
class SecretRules:
    """`[secrets]`: values that no provider, tool, log, trace, viewer or export may see."""

    environment: Annotated[Texts, Key(texts(check_environment), union)] = (
        "*_API_KEY",
        "*_TOKEN",
        "*_SECRET",
        "*_SECRET_KEY",
        "*_ACCESS_KEY",
        "*_PASSWORD",
        "*_PRIVATE_KEY",
    )
    """Environment variables whose values are secret; `*` is any part of a name."""
    keyring: Annotated[Texts, Key(texts(check_keyring), union)] = ()
    """Entries of the system's keyring, as `service/user`."""
    files: Annotated[Texts, Key(texts(check_file), union)] = ()
    """Files, absolute or below `~/`, whose values are secret."""
    give: Annotated[Texts, Key(texts(check_gift), common)] = ()
    """Who may receive which: `NAME to mcp:SERVER`, `NAME to tool:TOOL`, `NAME to host:HOST`, where
    NAME is a variable, a keyring entry or a file as listed above."""

    def given_to(self, receiver: str) -> Texts:
        """What `mcp:github`, `tool:web_search` or `host:api.example.org` may have: the names."""
        pairs = [text.partition(" to ") for text in self.give]
        return tuple(name for name, _, wanted in pairs if wanted == receiver)


@dataclass(frozen=True, kw_only=True)
class FlowRules:
    """`[flow]`: where information may go, by the labels of what a run has read."""

    rule_of_two: Annotated[Verdict, Key(verdict(), strictest)] = Verdict.ASK
    """Of a call that sends or changes something outside, once the run holds both untrusted content
    and private data. `ask` is a refusal where nobody can be asked."""
    private_to_api: Annotated[Verdict, Key(verdict(), strictest)] = Verdict.DENY
    """Of content that the three keys below mark private, before a model that is not local."""
    private_paths: Annotated[Texts, Key(texts(check_path), union)] = (
        "**/.env",
        "**/.env.*",
        "**/*.pem",
        "**/*.key",
        "**/id_rsa",
        "**/id_ed25519",
        "**/.ssh/**",
    )
    """Workspace globs whose content is private."""
    private_hosts: Annotated[Texts, Key(texts(check_host, kept=str.lower), union)] = ()
    """Hosts whose answers are private."""
    private_tools: Annotated[Texts, Key(texts(check_name), union)] = ()
    """Tools, or globs over names, whose results are private."""
    trusted_paths: Annotated[Texts, Key(texts(check_path), intersect)] = ()
    """Workspace globs whose content cannot hold somebody else's instructions."""
    trusted_hosts: Annotated[Texts, Key(texts(check_host, kept=str.lower), shared_hosts)] = ()
    """Hosts whose answers cannot."""
    trusted_tools: Annotated[Texts, Key(texts(check_name), intersect)] = ()
    """Tools, or globs over names, whose results cannot."""


@dataclass(frozen=True, kw_only=True)
class RedactionRules:
    """`[redaction]`: what is replaced before anything is sent, written or shown."""

    known: Annotated[bool, Key(boolean(), either)] = True
    """Values of `[secrets]`, in every encoding."""
    structure: Annotated[bool, Key(boolean(), either)] = True
    """Authorization headers, passwords in URLs, parameters named like keys."""
    rules: Annotated[bool, Key(boolean(), either)] = True
    """The maintained rules for keys and tokens."""
    personal: Annotated[bool, Key(boolean(), either)] = False
    """Personal data becomes pseudonyms before a model that is not local sees it."""
    patterns: Annotated[Texts, Key(texts(check_regex), union)] = ()
    """Regular expressions (RE2) of one's own."""
    ignore: Annotated[Texts, Key(texts(), common)] = ()
    """Texts that `structure`, `rules` and `personal` leave as they are; never a known value."""


@dataclass(frozen=True, kw_only=True)
class McpRules:
    """`[mcp]`: which configured servers a run may use."""

    servers: Annotated[Texts, Key(texts(check_name), intersect)] = ("*",)
    """Names of servers, or globs over them. What their tools may do is in `[tools]`."""
    unsandboxed: Annotated[Texts, Key(texts(check_name), intersect)] = ()
    """Servers that run with your own rights instead of in a sandbox."""


@dataclass(frozen=True, kw_only=True)
class AgentRules:
    """`[agents]`: sub-agents. They have at most their parent's rights and draw on its budgets."""

    depth: Annotated[int, Key(whole(0), least)] = 1
    """How deep they may be nested; 0 is none at all."""
    parallel: Annotated[int, Key(whole(), least)] = 4
    """How many may run at a time."""


TABLES: Mapping[str, type] = {
    "network": NetworkRules,
    "secrets": SecretRules,
    "flow": FlowRules,
    "redaction": RedactionRules,
    "mcp": McpRules,
    "agents": AgentRules,
}
"""name in the file, and in `Layer` and `Policy` → its keys"""


def keys(table: type) -> dict[str, Key[Any]]:
    """What is known of the keys of one table, by name."""
    return {one.name: get_args(one.type)[1] for one in fields(table)}


KEYS = {f"{name}.{one}": key for name, table in TABLES.items() for one, key in keys(table).items()}
"""By dotted key."""


def narrowest_row(name: str, one: Row, other: Row) -> Row:
    """What two tables of this name both grant."""
    values = {
        item: KEYS[f"{name}.{item}"].narrowest(getattr(one, item), getattr(other, item))
        for item in keys(TABLES[name])
    }
    return type(one)(**values)


def names_any(globs: Texts, name: str) -> bool:
    """Does a glob over names (tools, servers, variables) match the name?"""
    return any(re.fullmatch(text_regex(glob), name) for glob in globs)
