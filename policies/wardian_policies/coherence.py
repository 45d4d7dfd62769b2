"""What a policy file says in vain: rules that contradict each other, and names of nothing.

A contradiction is an error, since one of its two lines does not do what its author thinks. A name
that no tool of a run has may belong to a tool of another run, so it is only remarked upon, and
only where a tool has nearly that name.
"""

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches

from wardian_policies.errors import PolicyFileError
from wardian_policies.rules import RuleSet, ToolRule, name_regex
from wardian_policies.schema import Document
from wardian_policies.tables import SecretRules, Texts, names_any
from wardian_policies.types import Verdict

NEAR = 0.75


def check_document(document: Document) -> None:
    """Raises: PolicyFileError for the first contradiction within the file."""
    for table in ("tools", "commands"):
        seen: dict[str, tuple[Verdict, int | None]] = {}
        for verdict in Verdict:
            key = f"{table}.{verdict}"
            for index, pattern in enumerate(document.values.get(key, ())):
                other, line = seen.setdefault(pattern.strip(), (verdict, document.line(key, index)))
                if other is not verdict:
                    cause = f"{pattern.strip()!r} is in {verdict}, and in {other} on line {line}."
                    raise document.fault(key, cause, "Keep one of them.", index)
    protected = document.values.get("paths.protected", ())
    for index, glob in enumerate(document.values.get("paths.writable", ())):
        if glob in protected:
            cause = f"{glob!r} is writable, and protected, which always wins."
            raise document.fault("paths.writable", cause, "Keep one of them.", index)
    servers = document.values.get("mcp.servers", ("*",))
    for index, name in enumerate(document.values.get("mcp.unsandboxed", ())):
        if name not in servers and not names_any(servers, name):
            cause = f"{name!r} may run without a sandbox, but is none of the servers allowed."
            raise document.fault("mcp.unsandboxed", cause, "Add it to mcp.servers.", index)


def check_rules(rules: RuleSet) -> None:
    """Raises: PolicyFileError for a rule on a tool that another one denies altogether."""
    denials = [r for r in rules.rules if r.verdict is Verdict.DENY and not r.conditions]
    for rule in rules.rules:
        if rule.verdict is Verdict.DENY or not rule.is_exact:
            continue
        for denial in denials:
            if covers(denial, rule.name):
                path, line = split_source(rule.rule.source)
                cause = (
                    f"{rule.rule.text!r} can never apply: {denial.rule.text!r} "
                    f"({denial.rule.source}) always wins."
                )
                raise PolicyFileError(path, line, cause, "Remove one of them.")


def covers(denial: ToolRule, name: str) -> bool:
    is_class = denial.name.startswith("@")
    return not is_class and name_regex(denial.name).fullmatch(name) is not None


def split_source(source: str) -> tuple[str, int | None]:
    """`/p/policy.toml:3` as the path and the line."""
    path, _, line = source.rpartition(":")
    return (path, int(line)) if path and line.isdigit() else (source, None)


def unnamed_tools(rules: Iterable[ToolRule], tools: Sequence[str]) -> Iterator[str]:
    """A sentence on each rule that names no tool, but nearly one."""
    for rule in rules:
        if not rule.is_exact or rule.name in tools:
            continue
        if close := get_close_matches(rule.name, tools, 1, NEAR):
            where = f"{rule.rule.source}: "
            yield f"{where}there is no tool {rule.name!r}. Did you mean {close[0]!r}?"


def unnamed_secrets(environment: Texts, source: str) -> Iterator[str]:
    """A sentence on usual names of secrets that a list of somebody's own leaves out."""
    usual = SecretRules().environment
    left_out = [glob for glob in usual if not names_any(environment, glob)]
    if environment and left_out:
        names = ", ".join(left_out)
        yield f"{source}: secrets.environment replaces the usual names: {names} are not secret."
