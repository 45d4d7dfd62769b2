"""What a policy says of a URL before anybody is asked about it."""

from pathlib import Path

import pytest

from wardian_policies import Policy
from wardian_policies.types import Allow, Ask, Decision, Deny
from wardian_tools import Registry, ToolCall, canonical_json, web_tools

TEXT = """
extends = "default"
[tools]
allow = ["web_fetch"]
[network]
hosts = ["docs.example.org", "*.files.example.org:8443", "127.0.0.1:9000"]
any_web = false
"""


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    (tmp_path / "web.toml").write_text(TEXT)
    return Policy.load(tmp_path / "web.toml")


def decided(policy: Policy, url: str) -> Decision:
    registry = Registry(web_tools())
    tool = registry.get("web_fetch")
    assert tool is not None
    text = canonical_json({"url": url})
    return policy.decide(
        registry.parse(ToolCall(id="c", name=tool.name, arguments_text=text)), tool
    )


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://docs.example.org/x", Allow),
        ("https://a.files.example.org:8443/", Allow),
        ("http://127.0.0.1:9000/", Allow),
        ("https://DOCS.example.org./", Allow),
        ("https://docs.example.org:8443/", Deny),
        ("https://a.docs.example.org/", Deny),
        ("https://evil-docs.example.org/", Deny),
        ("http://127.0.0.1:9001/", Deny),
        ("https://example.org/", Deny),
        ("file:///etc/passwd", Deny),
    ],
)
def test_a_url_is_decided_by_the_listed_hosts(
    policy: Policy, url: str, kind: type[Decision]
) -> None:
    assert isinstance(decided(policy, url), kind)


def test_a_refusal_names_the_file_the_line_and_what_to_add(policy: Policy, tmp_path: Path) -> None:
    decision = decided(policy, "https://other.example/x?y")
    assert isinstance(decision, Deny)
    assert 'under [network], hosts = ["other.example"]' in decision.reason
    assert (decision.rule.text, decision.rule.source) == (
        "network.hosts",
        f"{tmp_path}/web.toml:6",
    )


def test_where_any_public_host_may_be_fetched_a_person_is_asked() -> None:
    """But not about one that is out of reach whatever the answer."""
    assert isinstance(decided(Policy.load("default"), "https://example.org/"), Ask)
    assert isinstance(decided(Policy.load("default"), "http://example.org:8080/"), Deny)
    for inside in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[fd00::1]"):
        assert isinstance(decided(Policy.load("default"), f"http://{inside}/"), Deny), inside
    assert isinstance(decided(Policy.load("offline"), "https://example.org/"), Deny)


@pytest.mark.parametrize("address", ["169.254.169.254", "[fd00:ec2::254]"])
def test_a_metadata_service_opens_only_by_its_address_and_its_refusal_says_what_it_is(
    tmp_path: Path, address: str
) -> None:
    file = tmp_path / "cloud.toml"
    file.write_text('extends = "default"\n[network]\nprivate = true\nhosts = ["cloud.example"]\n')
    url = f"http://{address}/latest"
    refused = decided(Policy.load(file), url)
    assert isinstance(refused, Deny)
    assert f"{address.strip('[]')} is a cloud's metadata service" in refused.reason
    assert "credentials of this machine" in refused.reason
    line = refused.reason.partition("under [network], ")[2].partition(" (added")[0]
    file.write_text(f'extends = "default"\n[network]\n{line}\n')
    assert isinstance(decided(Policy.load(file), url), Ask)
    assert isinstance(decided(Policy.load(file), f"https://{address}/latest"), Deny)


def test_a_narrower_layer_takes_hosts_away(policy: Policy) -> None:
    narrow = policy.narrowed_by(Policy.load("strict"))
    assert isinstance(decided(narrow, "https://docs.example.org/x"), Deny)
