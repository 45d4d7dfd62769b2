"""Personal data told by form: e-mail, phone, IBAN, payment card, IP address.

Covers those kinds, each checked further where the kind has a check (IBAN: country's length and
modulus 97; card: Luhn; phone: the numbering plans of libphonenumber, with the extra `privacy`).
Does not cover names, addresses, birth dates, and whatever else has no form: what is known
beforehand can be listed in a policy (`[redaction] patterns`).
"""

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from typing import Any

from wardian_policies.redaction.engine import Bytes, compiled, matches
from wardian_policies.redaction.values import Span

REGIONS = ("US", "GB", "DE", "FR")
"""Whose numbers are known without a country code. Others are found from their `+` on."""
_LENGTHS = """
AD=24 AE=23 AL=28 AT=20 AZ=28 BA=20 BE=16 BG=22 BH=22 BR=29 BY=28 CH=21 CR=22 CY=28 CZ=24 DE=22
DK=18 DO=28 EE=20 EG=29 ES=24 FI=18 FO=18 FR=27 GB=22 GE=22 GI=23 GL=18 GR=27 GT=28 HR=21 HU=28
IE=22 IL=23 IQ=23 IS=26 IT=27 JO=30 KW=30 KZ=20 LB=28 LC=32 LI=21 LT=20 LU=20 LV=21 MC=27 MD=24
ME=22 MK=19 MR=27 MT=31 MU=30 NL=18 NO=15 PK=24 PL=28 PS=29 PT=25 QA=29 RO=24 RS=22 SA=24 SC=31
SE=24 SI=19 SK=24 SM=27 ST=25 SV=28 TL=23 TN=24 TR=26 UA=29 VA=22 VG=24 XK=20
"""
IBAN_CHARS = {pair[:2]: int(pair[3:]) for pair in _LENGTHS.split()}
"""Source: SWIFT's IBAN registry"""
MAX_CHECKS = 2000
"""Numbers of one text that are held against the plans, at 0.2 ms each; from then on form decides,
so that a text made of numbers takes a second and not an hour."""
WORD = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"


@dataclass(frozen=True, slots=True)
class PersonalKind:
    name: str
    """Also the word in its pseudonym."""
    pattern: Any
    check: Callable[[str], bool]
    neighbours: bytes
    """What must not stand beside it."""


@cache
def personal_kinds() -> tuple[PersonalKind, ...]:
    """In order of precedence: a card is no phone number."""
    return (
        PersonalKind(
            "EMAIL",
            compiled(
                r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}"
            ),
            is_email,
            b"@",
        ),
        PersonalKind(
            "IBAN", compiled(r"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}"), is_iban, WORD + b"-"
        ),
        PersonalKind("CARD", compiled(r"[0-9](?:[ -]?[0-9]){12,18}"), is_card, WORD + b"-.+"),
        PersonalKind(
            "IP",
            compiled(
                r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}|(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}"
            ),
            is_address,
            WORD + b".:",
        ),
        PersonalKind(
            "PHONE",
            compiled(r"\+?\(?[0-9](?:[ ().\x2f-]{0,2}[0-9]){6,14}"),
            is_phone,
            WORD + b"-./:+=#$%",
        ),
    )  # fmt: skip


def find_personal(text: Bytes) -> Iterator[Span]:
    """Where personal data stands, in characters; what an earlier kind took, no later one gets."""
    taken: list[tuple[int, int]] = []
    content = text.content
    for kind in personal_kinds():
        own: list[tuple[int, int]] = []
        left = MAX_CHECKS
        for start, end in matches(kind.pattern, text):
            for shorter in endings(content, start, end, kind.name):
                beside = content[start - 1 : start] + content[shorter : shorter + 1]
                alone = not any(byte in kind.neighbours for byte in beside)
                if not (alone or ends_sentence(content, start, shorter, kind)):
                    continue
                left -= 1
                check = kind.check if left > 0 or kind.name != "PHONE" else is_international
                if check(content[start:shorter].decode()):
                    own.append((start, shorter))
                    break
        for start, end in own:
            if not overlaps(taken, start, end):
                yield Span(text.characters(start), text.characters(end), kind.name)
        taken = sorted([*taken, *own])


def ends_sentence(content: bytes, start: int, end: int, kind: PersonalKind) -> bool:
    """Is what stands after it a full stop or a colon, and nothing beside it?"""
    before, after = content[start - 1 : start], content[end : end + 2]
    if before and before in kind.neighbours:
        return False
    return after[:1] in b".:" and not (after[1:] and after[1:] in WORD)


def endings(content: bytes, start: int, end: int, kind: str) -> Iterator[int]:
    """The match, and for an IBAN its beginnings: a word in capitals may follow it."""
    yield end
    if kind == "IBAN":
        length = IBAN_CHARS.get(content[start : start + 2].decode(), 0)
        seen = 0
        for at in range(start, end):
            seen += content[at] != 0x20
            if seen == length and at + 1 < end:
                yield at + 1
                return


def overlaps(taken: list[tuple[int, int]], start: int, end: int) -> bool:
    from bisect import bisect_right

    at = bisect_right(taken, (start, 1 << 62))
    return (at > 0 and taken[at - 1][1] > start) or (at < len(taken) and taken[at][0] < end)


def is_email(text: str) -> bool:
    return ".." not in text and not re.search(r"\.(?:png|jpe?g|gif|svg|webp)$", text)


def is_iban(text: str) -> bool:
    compact = text.replace(" ", "")
    if IBAN_CHARS.get(compact[:2]) != len(compact):
        return False
    return int("".join(str(int(c, 36)) for c in compact[4:] + compact[:4])) % 97 == 1


def is_card(text: str) -> bool:
    digits = [int(c) for c in text if c.isdigit()]
    if digits[0] not in (2, 3, 4, 5, 6) or len(set(digits)) < 2:
        return False
    doubled = (sum(divmod(2 * d, 10)) for d in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_address(text: str) -> bool:
    """Of a machine somewhere: not unspecified, loopback, or a form that addresses only share."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if address.version == 6 and text.count(":") < 3 and "::" in text:
        return False  # `std::`, `a::b`
    return not (address.is_unspecified or address.is_loopback or address.is_multicast)


@lru_cache(maxsize=MAX_CHECKS)
def is_phone(text: str) -> bool:
    """A number someone may have, by its country's plan; written as one, not just digits."""
    if not has_phone_plans():
        return is_international(text)
    import phonenumbers

    separators = len(re.findall(r"[ ().-]+", text))
    regions = (None,) if text.startswith("+") else REGIONS if separators >= 2 else ()
    for region in regions:
        try:
            number = phonenumbers.parse(text, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return True
    return False


def is_international(text: str) -> bool:
    return text.startswith("+") and 8 <= sum(map(str.isdigit, text)) <= 15


@cache
def has_phone_plans() -> bool:
    return find_spec("phonenumbers") is not None
