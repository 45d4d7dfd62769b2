"""Files of expected decisions.

policy = "strict"                      a preset, one of yours, or a file; may be left out
allow = ["read_file(README.md)", "shell(git status)"]
ask   = ["shell(git push)"]
deny  = ["write_file(path=.git/config)"]
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wardian.errors import ConfigurationError
from wardian_policies import Policy
from wardian_policies.explain import parse_call
from wardian_policies.schema import Document, Kind, read, text, texts
from wardian_policies.types import Verdict
from wardian_tools import Tool

SCHEMA: dict[str, Kind] = {
    "policy": text("the name of a policy or the path of a policy file"),
    **{str(verdict): texts() for verdict in Verdict},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """What a file expects of a policy."""

    document: Document

    @property
    def policy(self) -> str | None:
        """The one the file names; a path is seen from the file."""
        name: str | None = self.document.values.get("policy")
        if name and ("/" in name or name.endswith(".toml")):
            return str(self.document.path.parent / Path(name).expanduser())
        return name

    @property
    def count(self) -> int:
        return sum(len(self.document.values.get(verdict, ())) for verdict in Verdict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A call that is not decided as expected."""

    call: str
    where: str
    expected: Verdict
    got: Verdict
    rule: str


def read_expectations(path: Path) -> Expectations:
    """Raises: PolicyFileError with its line; ConfigurationError for a file that expects nothing."""
    expected = Expectations(document=read(path.absolute(), SCHEMA))
    if not expected.count:
        lists = ", ".join(Verdict)
        raise ConfigurationError(f"{path} expects nothing.", f"Give it lists of calls: {lists}.")
    return expected


def failures(
    expected: Expectations, policy: Policy, tool_named: Callable[[str], Tool]
) -> list[Difference]:
    """The calls that are decided otherwise, in the order of the file.

    Raises: PolicyFileError for what is no call, ConfigurationError for a tool that is not there.
    """
    found: list[Difference] = []
    document = expected.document
    for verdict in Verdict:
        for index, call in enumerate(document.values.get(verdict, ())):
            try:
                tool = tool_named(call.partition("(")[0].strip())
                explanation = policy.explain(parse_call(call.strip(), tool), tool)
            except (ValueError, ConfigurationError) as error:
                remedy = "Write one as shell(git push)."
                raise document.fault(verdict, str(error), remedy, index) from error
            if explanation.verdict is not verdict:
                rule = explanation.rule
                found.append(
                    Difference(
                        call=call,
                        where=f"{document.path}:{document.line(verdict, index)}",
                        expected=verdict,
                        got=explanation.verdict,
                        rule=f"{rule.text} ({rule.source})",
                    )
                )
    return found
