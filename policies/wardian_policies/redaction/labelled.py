"""A labelled set made from a seed: texts with a secret in them, and texts that only look like it.

Everything in it is random; no value was ever valid. The forms are those the issuers document. It
also holds what the detectors are known to miss (a password in a sentence, a key without a mark), so
that the report says so. It is not a sample of anybody's real texts: rates on those will differ.
"""

import base64
import json
import string
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from random import Random
from urllib.parse import quote

from wardian_policies.redaction.personal import IBAN_CHARS

LETTERS = string.ascii_letters
ALNUM = LETTERS + string.digits
URLSAFE = ALNUM + "-_"
HEX = "0123456789abcdef"
_TEXT = """
lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut
labore et dolore magna aliqua enim ad minim veniam quis nostrud exercitation ullamco laboris
token secret password key report meeting invoice server release change table number
"""
WORDS = _TEXT.split()
NAMES = ("jane", "amir", "li.wei", "olga_k", "j.smith", "maria-jose", "sven", "chidi")
DOMAINS = ("example.org", "mail.example.com", "uni.example.de", "firma.example.co.uk")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A text; `value` is what must not survive in it, empty in one that holds nothing."""

    kind: str
    layer: str
    """Which layer is to find it: `known`, `structure`, `rules`, `personal`, or `none`"""
    text: str
    value: str = ""


Maker = Callable[[Random], str]


def chars(random: Random, alphabet: str, count: int) -> str:
    return "".join(random.choices(alphabet, k=count))


def prose(random: Random, low: int = 3, high: int = 12) -> str:
    return " ".join(random.choices(WORDS, k=random.randint(low, high)))


TOKENS: dict[str, Maker] = {
    "AWS access key id": lambda r: "AKIA" + chars(r, string.ascii_uppercase + "234567", 16),
    "Anthropic key": lambda r: "sk-ant-api03-" + chars(r, URLSAFE, 93) + "AA",
    "OpenAI key": lambda r: f"sk-proj-{chars(r, URLSAFE, 74)}T3BlbkFJ{chars(r, URLSAFE, 74)}",
    "GitHub token": lambda r: "ghp_" + chars(r, ALNUM, 36),
    "GitHub fine-grained token": lambda r: (
        f"github_pat_{chars(r, ALNUM, 22)}_{chars(r, ALNUM, 59)}"
    ),
    "GitLab token": lambda r: "glpat-" + chars(r, URLSAFE, 20),
    "Google API key": lambda r: "AIza" + chars(r, URLSAFE, 35),
    "Groq key": lambda r: f"gsk_{chars(r, ALNUM, 20)}WGdyb3FY{chars(r, ALNUM, 24)}",
    "Hugging Face token": lambda r: "hf_" + chars(r, LETTERS, 34),
    "JSON web token": lambda r: ".".join(
        base64.urlsafe_b64encode(part.encode()).decode().rstrip("=")
        for part in (
            '{"alg":"HS256","typ":"JWT"}',
            json.dumps({"sub": chars(r, string.digits, 10), "iat": r.randint(10**9, 2 * 10**9)}),
            chars(r, ALNUM, 32),
        )
    ),
    "npm token": lambda r: "npm_" + chars(r, ALNUM, 36),
    "PyPI token": lambda r: "pypi-AgEIcHlwaS5vcmc" + chars(r, URLSAFE, 150),
    "SendGrid key": lambda r: f"SG.{chars(r, URLSAFE, 22)}.{chars(r, URLSAFE, 43)}",
    "Slack token": lambda r: f"xoxb-{chars(r, string.digits, 12)}-{chars(r, ALNUM, 24)}",
    "Stripe key": lambda r: "sk_live_" + chars(r, ALNUM, 24),
}
AROUND: tuple[Callable[[str], str], ...] = (
    lambda v: f"use {v} for it",
    lambda v: f'"value": "{v}"',
    lambda v: f"export THING={v}\n",
    lambda v: f"({v})",
    lambda v: f"{v}",
)


def password(random: Random) -> str:
    return chars(random, LETTERS, random.randint(4, 8)) + chars(
        random, string.digits + "!*+-", random.randint(4, 6)
    )


STRUCTURES: dict[str, tuple[Maker, Callable[[str], str]]] = {
    "Authorization: Bearer": (
        lambda r: chars(r, HEX, 40),
        lambda v: f"GET / HTTP/1.1\r\nAuthorization: Bearer {v}\r\n",
    ),
    "Authorization: Basic": (
        lambda r: base64.b64encode(f"user:{password(r)}".encode()).decode(),
        lambda v: f"-H 'Authorization: Basic {v}'",
    ),
    "password in a URL": (password, lambda v: f"postgres://app:{v}@db.example.org:5432/x"),
    "key in a query": (
        lambda r: chars(r, ALNUM, 24),
        lambda v: f"https://api.example.org/v1?q=a&api_key={v}&page=2",
    ),
    "password in JSON": (password, lambda v: f'{{"user": "a", "password": "{v}"}}'),
    "password in YAML": (password, lambda v: f"db:\n  password: {v}\n  host: x\n"),
    "secret in .env": (lambda r: chars(r, ALNUM, 32), lambda v: f"CLIENT_SECRET={v}\n"),
    "AWS secret key, named": (
        lambda r: chars(r, ALNUM + "+/", 40),
        lambda v: f"aws_secret_access_key = {v}\n",
    ),
    "cookie": (
        lambda r: chars(r, ALNUM, 32),
        lambda v: f"Cookie: session={v}; theme=dark\r\n",
    ),
    "private key": (
        lambda r: chars(r, ALNUM + "+/", 64),
        lambda v: f"-----BEGIN RSA PRIVATE KEY-----\n{v}\n{v[::-1]}\n-----END RSA PRIVATE KEY-----",
    ),
    "AWS secret key, alone": (
        lambda r: chars(r, ALNUM + "+/", 40),
        lambda v: f"then paste {v} there",
    ),
    "password in a sentence": (password, lambda v: f"her password for the wiki is {v} by the way"),
}


def iban(random: Random) -> str:
    country = random.choice(["DE", "FR", "GB", "NL", "ES", "CH"])
    letters = {"GB": 4, "NL": 4}.get(country, 0)
    length = IBAN_CHARS[country] - 4 - letters
    body = chars(random, string.ascii_uppercase, letters) + chars(random, string.digits, length)
    number = int("".join(str(int(c, 36)) for c in body + country + "00"))
    text = f"{country}{98 - number % 97:02}{body}"
    if random.random() < 0.5:
        return text
    return " ".join(text[i : i + 4] for i in range(0, len(text), 4))


def card(random: Random) -> str:
    prefix, length = random.choice([("4", 16), ("51", 16), ("2221", 16), ("37", 15), ("6011", 16)])
    digits = prefix + chars(random, string.digits, length - len(prefix) - 1)
    doubled = [sum(divmod(2 * int(d), 10)) for d in digits[::-2]]
    digits += str(-(sum(doubled) + sum(map(int, digits[-2::-2]))) % 10)
    if length == 16 and random.random() < 0.5:
        return random.choice(" -").join(digits[i : i + 4] for i in range(0, 16, 4))
    return digits


def phone(random: Random) -> str:
    def digits(count: int) -> str:
        return chars(random, string.digits, count)

    return random.choice(
        [
            f"+1 (415) {random.randint(200, 999)}-{digits(4)}",
            f"+49 30 {random.randint(2, 9)}{digits(7)}",
            f"+44 20 7{digits(3)} {digits(4)}",
            f"+33 1 4{digits(1)} {digits(2)} {digits(2)} {digits(2)}",
            f"(212) {random.randint(200, 999)}-{digits(4)}",
            f"415-{random.randint(200, 999)}-{digits(4)}",
        ]
    )


PERSONAL: dict[str, Maker] = {
    "e-mail": lambda r: f"{r.choice(NAMES)}{r.choice(['', '+tag', '42'])}@{r.choice(DOMAINS)}",
    "phone": phone,
    "IBAN": iban,
    "payment card": card,
    "IPv4": lambda r: ".".join(str(r.randint(1, 254)) for _ in range(4)),
    "IPv6": lambda r: ":".join(chars(r, HEX, 4) for _ in range(8)),
}

ENCODED: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in JSON": lambda v: json.dumps(v)[1:-1],
    "in a URL": lambda v: quote(v, safe=""),
    "in base64": lambda v: base64.b64encode(f"user:{v}\n".encode()).decode(),
    "in hexadecimal": lambda v: v.encode().hex(),
}


def number(random: Random) -> str:
    return chars(random, "123456789", 1) + chars(random, string.digits, random.randint(6, 18))


NOTHING: dict[str, Maker] = {
    "UUID": lambda r: str(uuid.UUID(int=r.getrandbits(128), version=4)),
    "hash": lambda r: sha256(r.randbytes(8)).hexdigest()[: r.choice([7, 12, 32, 40, 64])],
    "prose": lambda r: prose(r, 20, 60).capitalize() + ".",
    "code": lambda r: r.choice(
        [
            "token = tokenizer.next_token()",
            'password = os.environ["DB_PASSWORD"]',
            "def secret_key(self, key: str) -> str: return self._keys[key]",
            'api_key = config.get("api_key", None)',
            "if (token != null && token.length > 0) { parse(token); }",
            "const { accessToken } = await auth.getSession(request);",
            "std::vector<std::pair<int, std::string>> pairs = {{1, a::b()}};",
            "client_secret: ${CLIENT_SECRET}",
            "assert hmac.compare_digest(token, expected_token)",
        ]
    ),
    "timestamp": lambda r: (
        f"2026-{r.randint(1, 12):02}-{r.randint(1, 28):02}T{r.randint(0, 23):02}:00:01.{number(r)}Z"
    ),
    "number": number,
    "base64 data": lambda r: base64.b64encode(r.randbytes(120)).decode(),
    "MAC address": lambda r: ":".join(chars(r, HEX, 2) for _ in range(6)),
    "version of 4 parts": lambda r: (
        f"version {r.randint(1, 20)}.{r.randint(0, 9)}.{r.randint(0, 9)}.{r.randint(1, 400)}"
    ),
    "ISBN": lambda r: f"978-3-{chars(r, string.digits, 2)}-{chars(r, string.digits, 6)}"
    f"-{chars(r, string.digits, 1)}",
    "path and line": lambda r: f"src/{prose(r, 1, 1)}/{prose(r, 1, 1)}.py:{r.randint(1, 999)}:"
    f"{r.randint(1, 80)}",
}  # fmt: skip


def samples(seed: int, count: int) -> Iterator[Sample]:
    """`count` of each kind, those with nothing in them too."""
    random = Random(seed)  # noqa: S311 - nothing here is secret
    for kind, encode in ENCODED.items():
        for _ in range(count):
            value = registered(random)
            text = f"{prose(random)} {encode(value)} {prose(random)}"
            yield Sample(kind=f"registered value {kind}", layer="known", text=text, value=value)
    for kind, make in TOKENS.items():
        for _ in range(count):
            value = make(random)
            text = f"{prose(random)} {random.choice(AROUND)(value)} {prose(random)}"
            yield Sample(kind=kind, layer="rules", text=text, value=value)
    for kind, (make, place) in STRUCTURES.items():
        for _ in range(count):
            value = make(random)
            text = f"{prose(random)}\n{place(value)}\n{prose(random)}"
            yield Sample(kind=kind, layer="structure", text=text, value=value)
    for kind, make in PERSONAL.items():
        for _ in range(count):
            value = make(random)
            text = f"{prose(random)} {value}{random.choice([' ', ', ', '. '])}{prose(random)}"
            yield Sample(kind=kind, layer="personal", text=text, value=value)
    for kind, make in NOTHING.items():
        for _ in range(count):
            text = f"{prose(random)} {make(random)} {prose(random)}"
            yield Sample(kind=kind, layer="none", text=text)


def registered(random: Random) -> str:
    """A value someone registers: 8 to 40 characters, signs that need escaping among them."""
    return chars(random, ALNUM + '-_/+="\\&é ', random.randint(8, 40)).strip().ljust(8, "x")
