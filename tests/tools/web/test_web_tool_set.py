"""When the web tools are offered, and how they are declared."""

import pytest

from wardian_policies import Policy
from wardian_sandbox import Egress
from wardian_tools import Effect, SearchEngine, own_tools, select, usual_tools, web_tools

WEB = {"web_fetch", "web_search"}
SEARX = SearchEngine(name="searxng", url="http://127.0.0.1:8888")


def offered(egress: Egress, engine: SearchEngine | None = None) -> set[str]:
    tools = usual_tools(egress, engine or SearchEngine())
    return WEB & {tool.name for tool in tools}


@pytest.mark.parametrize(
    ("egress", "engine", "names"),
    [
        (Egress(), None, set()),
        (Egress(hosts=("docs.example.org",)), None, {"web_fetch"}),
        (Egress(hosts=("*.duckduckgo.com",)), None, WEB),
        (Egress(any_web=True), None, WEB),
        (Egress(any_web=True), SEARX, {"web_fetch"}),
        (Egress(hosts=("127.0.0.1:8888",)), SEARX, WEB),
        (Egress(any_web=True), SearchEngine(name="searxng"), {"web_fetch"}),
        (Egress(any_web=True), SearchEngine(name="brave"), {"web_fetch"}),
        (Egress(any_web=True), SearchEngine(name="brave", key="k"), WEB),
    ],
    ids=[
        *("nothing", "a-host", "the-engine", "any-web", "loopback", "listed"),
        *("no-address", "no-key", "key"),
    ],
)
def test_a_web_tool_is_offered_where_it_could_reach_anything(
    egress: Egress, engine: SearchEngine | None, names: set[str]
) -> None:
    assert offered(egress, engine) == names


@pytest.mark.parametrize(
    ("preset", "names"), [("default", WEB), ("strict", set()), ("offline", set()), ("ci", set())]
)
def test_presets_offer_the_web_where_a_person_can_be_asked(preset: str, names: set[str]) -> None:
    assert offered(Policy.load(preset).confinement.egress) == names


def test_by_name_they_are_always_there() -> None:
    assert {tool.name for tool in select(sorted(WEB))} == WEB
    assert {tool.name for tool in own_tools()} > WEB


def test_they_declare_that_they_send_and_may_be_repeated() -> None:
    for tool in web_tools():
        assert tool.effects == {Effect.EGRESS}
        assert tool.idempotent
        assert not tool.read_only  # the class @read-only is of tools that send nothing


def test_a_layer_that_lets_less_of_the_web_out_wins() -> None:
    """`any_web` and `ignore_robots` are grants: both policies have to make them."""
    both = Policy.load("default").narrowed_by(Policy.load("strict"))
    assert not both.confinement.egress.any_web
    assert not both.confinement.egress.ignore_robots
