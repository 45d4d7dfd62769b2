"""Write `redaction/credsweeper_rules.json` from the rules in a wheel of CredSweeper.

    pip download --no-deps credsweeper && python scripts/secret_rules.py credsweeper-*.whl

Kept are the rules that know a token by its form. They are for RE2, so what only Python's engine can
do, looking behind and ahead of the token, is kept beside the pattern as two classes of characters.
Left out are rules that guess by the words around a value (CredSweeper weighs those guesses with a
model of its own), and those for things that are not secret.
"""

import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent.parent / "policies/wardian_policies/redaction/credsweeper_rules.json"
NOT_SECRET = {
    "UUID", "Product Activation Key", "Firebase Domain", "AWS S3 Bucket", "JSON Web Key",
    "Facebook App Token", "Tencent WeChat API App ID",
}  # fmt: skip
COVERED = {
    "Basic Authorization", "Bearer Authorization", "URL Credentials", "Azure Access Token",
    "Grafana Provisioned API Key", "CURL Options", "Github App Installation Token",
    "BASE64 Private Key",
}  # fmt: skip
"""By `structure`, or by a broader rule of the same set"""
GUESSES = {
    "Dropbox App secret", "Dropbox API secret (long term)", "OTP / 2FA Secret", "NKEY Seed",
    "Composio Credentials", "Salesforce Credentials", "Jira / Confluence PAT token",
    "PASERK Keys", "Twilio Credentials", "SQL Password", "CURL User Password", "CMD Password",
    "CMD ConvertTo-SecureString", "CMD Token", "CMD Secret", "ID_PASSWD_PAIR",
    "ID_PAIR_PASSWD_PAIR", "IP_ID_PASSWORD_TRIPLE", "DOC_GET", "DOC_CREDENTIALS", "SECRET_PAIR",
    "PASSWD_PAIR",
}  # fmt: skip
MIN_MARK_CHARS = 3
VALUE = "(?P<value>"
AHEAD = re.compile(r"\(\?!(\[[^\]]+\])\)")
WORD = "[0-9A-Za-z+_-]"


def main(wheel: str) -> None:
    import yaml

    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        text = archive.read("credsweeper/rules/config.yaml").decode()
        licence = archive.read(next(n for n in names if n.endswith("licenses/LICENSE"))).decode()
    rules = [kept for rule in yaml.safe_load(text) if (kept := converted(rule))]
    facts = {
        "source": f"{Path(wheel).name}: credsweeper/rules/config.yaml",
        "made_by": "scripts/secret_rules.py",
        "license": licence,
        "rules": rules,
    }
    TARGET.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(rules)} rules in {TARGET}")


def converted(rule: dict[str, Any]) -> dict[str, Any] | None:
    """The rule for RE2; None for one that is left out."""
    name: str = rule["name"]
    marks: list[str] = rule.get("required_substrings") or []
    if rule["type"] != "pattern" or name in NOT_SECRET | COVERED | GUESSES:
        return None
    if name == "Discord Bot Token":
        marks = ["."]
    elif name == "MailGun API Key":
        marks = ["key-"]
    elif not marks or min(map(len, marks)) < MIN_MARK_CHARS - (name == "AWS Client ID"):
        return None
    (pattern,) = rule["values"]
    before, core, after = parts(pattern)
    core = re.sub(r"\{(\d+),\d{4,}\}", r"{\1,}", core)
    literal = re.fullmatch(r"\(\?P<variable>([^()|]+|[^()]*\(\?:app\)\?[^()]*)\)", before)
    if literal:
        core = f"{literal[1]}(?P<value>{core})"
    ahead = AHEAD.match(after)
    return {
        "name": name,
        "pattern": core,
        "marks": marks,
        "before": WORD if before.startswith("(?:^|/|") else "",
        "after": ahead[1] if ahead else "",
    }


def parts(pattern: str) -> tuple[str, str, str]:
    """What stands before the group of the value, inside it, and after it."""
    begin = pattern.index(VALUE)
    depth, in_class, at = 0, False, begin
    while True:
        match pattern[at]:
            case "\\":
                at += 1
            case "]":
                in_class = False
            case "[":
                in_class = True
            case "(" if not in_class:
                depth += 1
            case ")" if not in_class:
                depth -= 1
                if depth == 0:
                    return pattern[:begin], pattern[begin + len(VALUE) : at], pattern[at + 1 :]
            case _:
                pass
        at += 1


if __name__ == "__main__":
    main(sys.argv[1])
