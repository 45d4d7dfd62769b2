"""The next token is chosen from the distribution its logprob is reported under."""

import math

import numpy as np
import pytest

from wardian.models.llamacpp.sampling import NotANumber, Sampler

LOGITS = np.log(np.array([0.5, 0.25, 0.15, 0.1], np.float32))


def test_temperature_zero_takes_the_likeliest() -> None:
    for temperature in (None, 0.0):
        chosen = Sampler(temperature=temperature).choose(LOGITS)
        assert chosen.token == 0
        assert chosen.logprob == pytest.approx(math.log(0.5), abs=1e-5)


def test_frequencies_follow_the_distribution() -> None:
    sampler = Sampler(temperature=1.0, seed=0)
    drawn = [sampler.choose(LOGITS) for _ in range(4000)]
    for token, share in enumerate((0.5, 0.25, 0.15, 0.1)):
        found = [c for c in drawn if c.token == token]
        assert len(found) / 4000 == pytest.approx(share, abs=0.03)
        assert found[0].logprob == pytest.approx(math.log(share), abs=1e-5)


def test_top_p_leaves_the_fewest_tokens_that_hold_it() -> None:
    sampler = Sampler(temperature=1.0, top_p=0.7, seed=0)
    drawn = {c.token: c.logprob for c in (sampler.choose(LOGITS) for _ in range(200))}
    assert set(drawn) == {0, 1}
    assert drawn[0] == pytest.approx(math.log(2 / 3), abs=1e-5)


def test_top_p_over_many_even_tokens_keeps_its_share() -> None:
    sampler = Sampler(temperature=1.0, top_p=0.5, seed=0)
    chosen = sampler.choose(np.zeros(10_000, np.float32))
    assert chosen.logprob == pytest.approx(-math.log(5000), abs=1e-2)


def test_a_masked_token_is_never_drawn() -> None:
    masked = LOGITS.copy()
    masked[0] = -np.inf
    sampler = Sampler(temperature=5.0, seed=0)
    assert all(sampler.choose(masked).token for _ in range(500))


def test_the_temperature_is_part_of_the_logprob() -> None:
    chosen = Sampler(temperature=0.5, seed=0).choose(LOGITS)
    weights = np.exp(LOGITS.astype(np.float64) * 2)
    assert chosen.logprob == pytest.approx(
        math.log(weights[chosen.token] / weights.sum()), abs=1e-5
    )


@pytest.mark.parametrize("size", [511, 512, 513, 5000])
def test_of_many_tokens_each_comes_as_often_as_its_weight_says(size: int) -> None:
    logits = np.full(size, -np.inf, np.float32)
    shares = {0: 0.4, size // 2: 0.1, size - 2: 0.2, size - 1: 0.3}
    for token, share in shares.items():
        logits[token] = math.log(share)
    sampler = Sampler(temperature=1.0, seed=3)
    drawn = [sampler.choose(logits) for _ in range(2000)]
    for token, share in shares.items():
        found = [c for c in drawn if c.token == token]
        assert len(found) / 2000 == pytest.approx(share, abs=0.04)
        assert found[0].logprob == pytest.approx(math.log(share), abs=1e-5)
    assert {c.token for c in drawn} == set(shares)


@pytest.mark.parametrize("top_p", [0.1, 0.5, 0.9, 0.999])
def test_top_p_takes_what_sorting_all_would_take(top_p: float) -> None:
    logits = np.random.default_rng(1).normal(0, 3, 3000).astype(np.float32)
    weights = np.sort(np.exp(logits - logits.max()).astype(np.float64))[::-1]
    kept = int(np.count_nonzero(weights.cumsum() < top_p * weights.sum())) + 1
    sampler = Sampler(temperature=1.0, top_p=top_p, seed=0)
    likeliest = set(np.argsort(-logits)[:kept].tolist())
    for chosen in (sampler.choose(logits) for _ in range(100)):
        assert chosen.token in likeliest
        weight = math.exp(float(logits[chosen.token] - logits.max()))
        assert chosen.logprob == pytest.approx(math.log(weight / weights[:kept].sum()), abs=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_no_numbers_are_told(bad: float) -> None:
    with pytest.raises(NotANumber):
        Sampler().choose(np.full(4, bad, np.float32))
