"""URLs that a call names: refused where they are none, or web tools may reach no such host.

Covers: the URL that `web_fetch` is given, before anybody is asked about the call.
Does not cover: redirects, and the address that a name leads to; they are decided where the
connection is made (`wardian_sandbox.egress`).
"""

from collections.abc import Mapping, Sequence

from wardian_policies.file import Layer
from wardian_policies.types import Deny, Rule
from wardian_sandbox.types import Confinement
from wardian_tools.types import Tool, ToolCall
from wardian_tools.web.address import BadAddress, parse_url
from wardian_tools.web.refusals import refused_beforehand

URL_OF: Mapping[str, str] = {"web_fetch": "url"}
"""Tool → the argument that names what it reaches."""
HOSTS = "network.hosts"
ARGUMENTS = Rule(text="arguments", source="built in")
"""Decides on a call that is understood by nobody."""


def host_denial(
    layers: Sequence[Layer], call: ToolCall, tool: Tool, within: Confinement
) -> Deny | None:
    """Why the host that the call names may not be reached, with the line that would allow it."""
    url = (call.arguments or {}).get(URL_OF.get(tool.name, ""))
    if not isinstance(url, str):
        return None
    try:
        address = parse_url(url)
    except BadAddress as problem:
        return Deny(reason=str(problem), rule=ARGUMENTS)
    refusal = refused_beforehand(address, within.egress)
    if refusal is None:
        return None
    where = [layer.sources[HOSTS] for layer in layers if HOSTS in layer.sources]
    rule = Rule(text=HOSTS, source=where[0] if where else "built in")
    return Deny(reason=refusal.content, rule=rule)
