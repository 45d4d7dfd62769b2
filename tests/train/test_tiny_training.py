"""Training the built-in model: resumable, reproducible, and the same in llama.cpp."""

import json
from pathlib import Path

import jinja2
import llama_cpp
import pytest
import torch

from wardian.evals.suites.experts import Step
from wardian.train.tiny.chat import TEMPLATE, call_text
from wardian.train.tiny.data import Row, make_shard, read_shard
from wardian.train.tiny.export_gguf import write_gguf
from wardian.train.tiny.fit import Plan, Training, batch_loss, learn_tokenizer, trained
from wardian.train.tiny.generate import Writer
from wardian.train.tiny.muon import orthogonal

PLAN = Plan(
    shards=1,
    batch_tokens=600,
    letter_merges=50,
    warmup_shards=0.1,
    decay_shards=0.5,
    width=32,
    layers=2,
    heads=1,
    hidden=32,
)
ROW = Row(
    family="counting",
    prompt="How many lines are in a.txt?",
    calls=(
        (Step(name="python", arguments={"code": 'print(len(open("a.txt").readlines()))'}), "3"),
    ),
    answer="3",
)


class Interrupted(Exception):
    """Raised by a listener to stop a run where a kill would."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "data"
    folder.mkdir()
    make_shard(folder, seed=0, shard=0, rows=60)
    return folder


def _run(out: Path, data: Path, stop_after: int | None = None) -> Training:
    out.mkdir(exist_ok=True)
    if not (out / "data").exists():
        (out / "data").symlink_to(data)
    training = Training(out, PLAN, learn_tokenizer(out, PLAN))
    training.resume()

    def watch() -> None:
        if training.step == stop_after:
            training.save()
            raise Interrupted

    training.run(lambda _: None, after_step=watch)
    return training


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Training:
    return _run(tmp_path_factory.mktemp("finished"), data)


def _weights(training: Training) -> list[float]:
    return [float(x) for p in training.network.parameters() for x in p.detach().flatten()[:50]]


def test_an_interrupted_run_ends_with_the_same_weights(
    finished: Training, tmp_path: Path, data: Path
) -> None:
    with pytest.raises(Interrupted):
        _run(tmp_path, data, stop_after=5)
    resumed = _run(tmp_path, data)
    assert resumed.step == finished.step > 5
    assert _weights(resumed) == _weights(finished)


def test_a_run_is_not_resumed_under_another_plan(finished: Training) -> None:
    plan = Plan(**{**finished.plan_values(), "seed": 1})
    other = Training(finished.out, plan, finished.tokenizer)
    with pytest.raises(ValueError, match="another plan"):
        other.resume()


def test_training_lowers_the_loss(finished: Training, tmp_path: Path, data: Path) -> None:
    fresh = Training(tmp_path, PLAN, finished.tokenizer)
    network, tokenizer = trained(finished.out)
    batch = [tokenizer.encode_spans(row.spans()) for row in read_shard(data, 0)[:8]]
    with torch.no_grad():
        before = float(batch_loss(fresh.network, batch, 0))
        after = float(batch_loss(network, batch, 0))
    assert after < 0.8 * before


def test_padding_does_not_change_the_loss(finished: Training, data: Path) -> None:
    long = finished.tokenizer.encode_spans(read_shard(data, 0)[0].spans())
    short = finished.tokenizer.encode_spans(ROW.spans())
    with torch.no_grad():
        parts = [float(batch_loss(finished.network, [e], 0)) * sum(e[1]) for e in (long, short)]
        whole = float(batch_loss(finished.network, [long, short], 0))
    assert whole == pytest.approx(sum(parts) / (sum(long[1]) + sum(short[1])), rel=1e-4)


def test_only_what_the_model_writes_is_learned(finished: Training) -> None:
    tokenizer = finished.tokenizer
    ids, learned = tokenizer.encode_spans(ROW.spans())
    written = tokenizer.decode(i for i, mine in zip(ids, learned, strict=True) if mine)
    assert written == f"{call_text(ROW.calls[0][0])}<|im_end|>3<|im_end|>"


def test_the_chat_template_renders_what_training_wrote() -> None:
    step, result = ROW.calls[0]
    call = {"function": {"name": step.name, "arguments": step.arguments}}
    messages = [
        {"role": "system", "content": "not rendered"},
        {"role": "user", "content": ROW.prompt},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": result},
        {"role": "assistant", "content": ROW.answer},
    ]
    environment = jinja2.Environment()
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    rendered = environment.from_string(TEMPLATE).render(messages=messages)
    assert rendered == "".join(span.text for span in ROW.spans()) + "\n"


def test_writing_with_kept_keys_is_writing_without(finished: Training) -> None:
    ids = finished.tokenizer.encode_spans(ROW.spans())[0]
    writer = Writer(finished.network, finished.tokenizer)
    writer.feed(ids[:20])
    with torch.no_grad():
        whole = finished.network.logits(finished.network(torch.tensor([ids])))[0, -1]
    assert torch.allclose(writer.feed(ids[20:]), whole, atol=1e-4)


def test_llama_cpp_computes_the_same_network(finished: Training, tmp_path: Path) -> None:
    network, tokenizer = finished.network, finished.tokenizer
    write_gguf(tmp_path / "m.gguf", network, tokenizer)
    model = llama_cpp.Llama(
        str(tmp_path / "m.gguf"), n_ctx=512, n_threads=1, logits_all=True, verbose=False
    )
    ids = tokenizer.encode_spans(ROW.spans())[0]
    model.eval(ids)
    with torch.no_grad():
        mine = network.logits(network(torch.tensor([ids])))[0]
    assert torch.allclose(torch.tensor(model.scores[: len(ids)]), mine, atol=0.03)
    model.close()


def test_orthogonal_updates_have_singular_values_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((2, 24, 8), (2, 8, 24), (1, 16, 16)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
        assert values.min() > 0.3
        assert values.max() < 1.4
