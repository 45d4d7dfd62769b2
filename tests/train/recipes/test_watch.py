"""Training by rewards stops where it makes the model worse, and says why."""

import pytest

from wardian.train.errors import TrainingStopped
from wardian.train.recipe import Watch
from wardian.train.watch import History, check


def healthy() -> History:
    return History(entropy=[1.0] * 12, kl=[0.1] * 12, reward=[0.5] * 12, dev=[(0, 0.5), (10, 0.6)])


def test_a_healthy_training_goes_on() -> None:
    check(healthy(), Watch())


def test_collapsed_entropy_stops_it() -> None:
    history = healthy()
    history.entropy[-5:] = [0.05] * 5
    with pytest.raises(TrainingStopped, match=r"Entropy has collapsed from 1 to 0\.05"):
        check(history, Watch())
    check(history, Watch(entropy_share=0.0))


def test_a_model_that_ran_away_from_its_base_stops_it() -> None:
    history = healthy()
    history.kl[-3:] = [3.0] * 3
    with pytest.raises(TrainingStopped, match="3 nats per token"):
        check(history, Watch())
    check(history, Watch(kl=0.0))


def test_one_odd_step_does_not() -> None:
    history = healthy()
    history.kl[-1] = 5.0
    check(history, Watch())


def test_rewards_that_rise_while_dev_success_falls_stop_it() -> None:
    history = healthy()
    history.reward = [0.4] * 10 + [0.9] * 6
    history.dev = [(0, 0.5), (8, 0.6), (16, 0.4)]
    with pytest.raises(TrainingStopped, match=r"from 0\.60 \(step 8\) to 0\.40"):
        check(history, Watch())
    check(history, Watch(hacking_drop=0.0))


def test_dev_success_that_falls_with_the_rewards_is_no_hacking() -> None:
    history = healthy()
    history.reward = [0.6] * 10 + [0.3] * 6
    history.dev = [(0, 0.5), (8, 0.6), (16, 0.4)]
    check(history, Watch())


@pytest.mark.parametrize(("reward", "advice"), [(0.0, "easier"), (1.0, "harder")])
def test_groups_that_never_differ_stop_it_with_advice(reward: float, advice: str) -> None:
    history = History(reward=[reward] * 10, flat=10)
    with pytest.raises(TrainingStopped, match="nothing to learn from") as caught:
        check(history, Watch())
    assert advice in caught.value.remedy
