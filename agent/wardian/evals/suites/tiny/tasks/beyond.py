"""What the built-in model cannot do, which it says plainly; and greetings."""

import random

from wardian.evals.suites.experts import Expert
from wardian.evals.suites.tiny.phrasings import phrasings
from wardian.evals.suites.tiny.problem import Check, Problem
from wardian.evals.suites.tiny.world import phrase, plain_word, sentence, text_path, word

REFUSAL = (
    "That is beyond me: I am a tiny model that calculates and works with the files of this folder."
)
GREETING = (
    "Hello! I am tiny, a small model that calculates and works with the files of this folder."
)

_GREETINGS = phrasings("beyond.greetings")

_COUNTRIES = phrasings("beyond.countries")
_LANGUAGES = phrasings("beyond.languages")
_CODE_LANGUAGES = phrasings("beyond.code_languages")
_PEOPLE = phrasings("beyond.people")
_TOPICS = phrasings("beyond.topics")
_WORKS = phrasings("beyond.works")

_WEIGHTS = {
    "knowledge": 8,
    "writing": 4,
    "opinion": 4,
    "web": 4,
    "translation": 2,
    "coding": 4,
    "deleting": 1,
    "nonsense": 2,
}


def _says(answer: str) -> Expert:
    yield from ()
    return answer


def _topic(rng: random.Random) -> str:
    return (
        rng.choice(_TOPICS)
        if rng.random() < 0.6
        else f"{rng.choice(('', 'the ', 'my '))}{plain_word(rng)}"
    )


def beyond(rng: random.Random) -> Problem:
    if rng.random() < 0.12:
        prompt = phrase(rng, _GREETINGS)
        return Problem(
            family="beyond",
            prompt=prompt,
            files={},
            check=Check(kind="greeting"),
            expert=lambda: _says(GREETING),
        )
    kind = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
    prompt = phrase(
        rng,
        phrasings(f"beyond.{kind}"),
        country=rng.choice(_COUNTRIES),
        country2=rng.choice(_COUNTRIES),
        person=rng.choice(_PEOPLE),
        noun=plain_word(rng),
        noun2=plain_word(rng),
        verb=plain_word(rng),
        topic=_topic(rng),
        work=rng.choice(_WORKS),
        name=word(rng).capitalize(),
        year=str(rng.randint(1066, 2026)),
        language=rng.choice(_LANGUAGES),
        sentence=sentence(rng, 3, 8),
        n=str(rng.randint(1, 12)),
        file=text_path(rng),
        code=rng.choice(_CODE_LANGUAGES),
        code2=rng.choice(_CODE_LANGUAGES),
        nonsense=" ".join(plain_word(rng) for _ in range(rng.randint(2, 6))),
    )
    return Problem(
        family="beyond",
        prompt=prompt,
        files={},
        check=Check(kind="beyond"),
        expert=lambda: _says(REFUSAL),
    )
