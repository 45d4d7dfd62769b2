"""The model in service: replaced in one step, with a way back that restores exactly what was."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardian.errors import ConfigurationError
from wardian.models.choices import Choice, Choices


@pytest.fixture
def choices(tmp_path: Path) -> Choices:
    return Choices(tmp_path / "config.toml", tmp_path / "models")


def test_a_rollback_restores_the_former_choice_with_its_adapter_and_server(
    choices: Choices, tmp_path: Path
) -> None:
    before = '# mine\nmodel = "x"\nbase_url = "http://h/v1"\nadapter = "a.gguf"\nseed = 3\n'
    (tmp_path / "config.toml").write_text(before)
    choices.use("local:better")
    assert choices.now() == Choice(model="local:better")
    assert "seed = 3" in (tmp_path / "config.toml").read_text()
    choices.roll_back()
    assert choices.now() == Choice(model="x", base_url="http://h/v1", adapter="a.gguf")
    assert "# mine" in (tmp_path / "config.toml").read_text()


def test_where_nothing_was_chosen_a_rollback_chooses_nothing(choices: Choices) -> None:
    choices.use("tiny")
    choices.roll_back()
    assert choices.now() == Choice()
    with pytest.raises(ConfigurationError, match="no former choice"):
        choices.roll_back()


def test_a_server_s_model_keeps_the_server_s_address(choices: Choices, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('model = "a"\nbase_url = "http://h/v1"\n')
    choices.use("b")
    assert choices.now() == Choice(model="b", base_url="http://h/v1")


def test_choosing_the_model_in_service_changes_nothing(choices: Choices, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('model = "gguf:a"\nadapter = "a.gguf"\n')
    choices.use("gguf:a")
    assert choices.now().adapter == "a.gguf"
    assert choices.history() == []


def test_after_a_change_by_hand_the_last_choice_is_the_former_one(
    choices: Choices, tmp_path: Path
) -> None:
    choices.use("a")
    choices.use("b")
    (tmp_path / "config.toml").write_text('model = "by hand"\n')
    assert choices.roll_back().after.model == "b"
    assert choices.roll_back().after.model == "a"


def test_a_torn_line_costs_only_itself(choices: Choices, tmp_path: Path) -> None:
    choices.use("a")
    choices.use("b")
    log = tmp_path / "models" / "choices.jsonl"
    log.write_bytes(log.read_bytes() + b'{"how": "us')
    choices.use("c")
    assert [change.after.model for change in choices.history()] == ["a", "b", "c"]
    assert choices.roll_back().after.model == "b"


def test_damaged_settings_are_refused_before_anything_is_kept(
    choices: Choices, tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_text("model = [")
    with pytest.raises(ConfigurationError):
        choices.use("a")
    assert not (tmp_path / "models" / "choices.jsonl").exists()


@given(moves=st.lists(st.sampled_from(["a", "b", "c", "back"]), max_size=12))
@settings(max_examples=30)
def test_rollbacks_take_back_choices_in_turn(
    moves: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("choices")
    choices = Choices(folder / "config.toml", folder / "models")
    stack: list[str | None] = [None]
    for move in moves:
        if move != "back":
            choices.use(move)
            stack += [move] if move != stack[-1] else []
        elif len(stack) > 1:
            stack.pop()
            choices.roll_back()
        assert choices.now().model == stack[-1]
    former = choices.former()
    assert (former.model if former else None) == (stack[-2] if len(stack) > 1 else None)


_KILLED = """
import json, os, signal, sys
from pathlib import Path
from wardian.models.choices import Choices
WATCHED = ("open", "os.rename", "os.remove", "os.mkdir", "fcntl.flock", "os.truncate")
def killed_before(step, choices, how):
    seen = 0
    def watch(event, arguments):
        nonlocal seen
        seen += event in WATCHED
        if seen == step and event in WATCHED:
            os.kill(os.getpid(), signal.SIGKILL)
    if not (child := os.fork()):
        sys.addaudithook(watch)
        choices.use("new") if how == "use" else choices.roll_back()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
how, step, code = sys.argv[2], 0, -signal.SIGKILL
while code == -signal.SIGKILL:
    step += 1
    folder = Path(sys.argv[1], str(step))
    folder.mkdir()
    choices = Choices(folder / "config.toml", folder / "models")
    choices.use("first")
    choices.use("old")
    code = killed_before(step, choices, how)
    now, former = choices.now().model, choices.former()
    choices.use("later")
    back = choices.roll_back().after.model
    print(json.dumps([code, now, former and former.model, back]))
"""


@pytest.mark.parametrize("how", ["use", "rollback"])
def test_killed_at_any_moment_the_old_model_or_the_new_one_is_in_service(
    how: str, tmp_path: Path
) -> None:
    """The process dies before its k-th step on the disk, for every k."""
    command = [sys.executable, "-P", "-c", _KILLED, str(tmp_path), how]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    after = [json.loads(line) for line in done.stdout.splitlines()]
    new = "new" if how == "use" else "first"
    assert len(after) > 4
    assert after[-1][:2] == [0, new], "the last one was not killed"
    for code, now, former, back in after[:-1]:
        assert code == -signal.SIGKILL
        assert now in ("old", new)
        assert former == {"old": "first", "new": "old", "first": None}[now]
        assert back == now
