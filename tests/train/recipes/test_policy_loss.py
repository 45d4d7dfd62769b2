"""The loss of GRPO does what its papers say, and counts only what the model sampled."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wardian.data.streams import Branch, Sampled
from wardian.train.policy_loss import Clip, advantages, token_loss
from wardian.train.token_batches import Stream, batches, likelihoods, stream_of

FREE = Clip(low=0.2, high=0.28, kl=0.0)
NUMBERS = st.lists(st.floats(-3, 0, width=32), min_size=1, max_size=6)


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def backward(loss: torch.Tensor) -> None:
    loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped


@given(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=8))
@settings(max_examples=60)
def test_advantages_of_a_group_sum_to_nothing(rewards: list[float]) -> None:
    made = advantages(rewards, "group")
    if made is not None:
        assert abs(sum(made)) < 1e-3
        assert made.index(max(made)) == rewards.index(max(rewards))


@pytest.mark.parametrize(
    "rewards", [[0.5], [1.0, 1.0, 1.0], [0.0, 0.0]], ids=["one", "all", "none"]
)
def test_a_group_that_does_not_differ_says_nothing(rewards: list[float]) -> None:
    assert advantages(rewards, "group") is None


def test_without_scaling_an_advantage_is_the_difference_to_the_mean() -> None:
    assert advantages([1.0, 0.0, 0.0, 0.0], "none") == [0.75, -0.25, -0.25, -0.25]


def test_the_first_update_is_the_plain_policy_gradient() -> None:
    now = tensor(-1.0, -2.0, -0.5).requires_grad_()
    advantage = tensor(1.0, -1.0, 0.5)
    backward(token_loss(now, now.detach().clone(), advantage, None, FREE).loss)
    assert now.grad is not None
    assert torch.allclose(now.grad, -advantage)


@pytest.mark.parametrize(
    ("change", "advantage", "moves"),
    [
        (0.5, 1.0, False),
        (0.2, 1.0, True),
        (-0.5, 1.0, True),
        (0.5, -1.0, True),
        (-0.5, -1.0, False),
        (-0.1, -1.0, True),
    ],
)
def test_a_token_that_moved_far_enough_the_right_way_moves_no_more(
    change: float, advantage: float, moves: bool
) -> None:
    old = tensor(-1.0)
    now = tensor(-1.0 + change).requires_grad_()
    parts = token_loss(now, old, tensor(advantage), None, FREE)
    backward(parts.loss)
    assert now.grad is not None
    assert bool(now.grad.abs().sum() > 0) is moves
    assert parts.clipped == float(not moves)


@given(NUMBERS)
@settings(max_examples=60)
def test_the_divergence_is_never_below_zero_and_zero_for_equals(values: list[float]) -> None:
    now = tensor(*values)
    zeros, reference = torch.zeros_like(now), torch.full_like(now, -1.0)
    assert token_loss(now, now, zeros, now, FREE).kl == 0.0
    assert token_loss(now, now, zeros, reference, FREE).kl >= 0.0


def test_mismatch_is_what_trainer_and_engine_are_apart_by() -> None:
    parts = token_loss(tensor(-1.0, -2.0), tensor(-1.5, -1.9), tensor(0, 0), None, FREE)
    assert math.isclose(parts.mismatch, 0.6, rel_tol=1e-6)


def branch() -> Branch:
    replies = [
        Sampled(
            step=1,
            begin=3,
            logprobs=(-0.1, -0.2),
            constrained=(False, True),
            is_whole=True,
            sampling=None,
        ),
        Sampled(
            step=2, begin=7, logprobs=(-0.3,), constrained=(False,), is_whole=False, sampling=None
        ),
    ]
    return Branch(ids=[5, 6, 7, 8, 9, 10, 11, 12], replies=replies)


def test_only_what_was_sampled_freely_counts() -> None:
    stream = stream_of(branch(), 0.5)
    assert stream.mask == (0, 0, 0, 1, 0, 0, 0, 1)
    assert stream.logprobs[3] == -0.1
    assert stream.logprobs[7] == -0.3


def test_a_batch_asks_for_the_sampled_tokens_of_each_row_with_its_advantage() -> None:
    rows = [
        stream_of(branch(), 0.5),
        Stream(ids=(1, 2), mask=(0, 1), logprobs=(0, -9), advantage=-1),
    ]
    (batch,) = batches(rows, 4, "cpu")
    assert batch.tokens_N.tolist() == [2, 8, 12]
    assert batch.advantage_N.tolist() == [-1.0, 0.5, 0.5]
    assert torch.allclose(batch.old_N, torch.tensor([-9.0, -0.1, -0.3]))


def test_likelihoods_are_those_of_the_whole_models_logits(small: object) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(str(small)).eval()
    rows = [
        stream_of(branch(), 1.0),
        Stream(ids=(1, 2), mask=(0, 1), logprobs=(0, -9), advantage=-1),
    ]
    (batch,) = batches(rows, 4, "cpu")
    with torch.no_grad():
        now, entropy = likelihoods(model, batch, 0.7)
        logits = model(torch.tensor([branch().ids])).logits[0] / 0.7
    expected = torch.log_softmax(logits, -1)
    assert torch.allclose(now[1:], torch.stack([expected[2, 8], expected[6, 12]]), atol=1e-5)
    chances = expected[6].exp()
    assert torch.allclose(entropy[2], -(chances * expected[6]).sum(), atol=1e-5)
