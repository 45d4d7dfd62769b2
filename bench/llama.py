"""The local engine against the same llama.cpp, in one run, on models with random weights.

    python bench/llama.py              # all figures
    python bench/llama.py prefix       # prompt tokens evaluated over a run of 20 steps
    python bench/llama.py decode       # tokens a second, one conversation
    python bench/llama.py samples      # several replies to one prompt
    python bench/llama.py mask         # the constraint, at a vocabulary of 128,000
    python bench/llama.py start        # load, first token, `agent run -m tiny`

Random weights cost what trained ones do. Baselines: the high-level API of llama-cpp-python for what
it evaluates; llama.cpp's own functions in a bare loop, greedy sampler included, for speed. Speeds
are by processor time, of the model's process and this one together: other work counts less. That
of decoding is by the clock, too, since the two processes work side by side.
"""

import asyncio
import ctypes
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from wardian.models.llama import LlamaModel
from wardian.models.llamacpp.api import llama
from wardian.models.llamacpp.constraint import Constraint
from wardian.models.llamacpp.grammar import GrammarMaker
from wardian.models.llamacpp.load import Loaded, LoadOptions, load
from wardian.models.llamacpp.vocab import Vocabulary
from wardian.types import Message, Reply, Request, Role, Sampling, ToolSpec

THREADS = 1
STEPS = 20
REPLY_TOKENS = 64
DECODE_PAIRS = 9
_SUPPORT = Path(__file__).parents[1] / "tests" / "support" / "random_gguf.py"
SYSTEM = Message(
    role=Role.SYSTEM, content="You work step by step with the tools you are given. " * 12
)
TASK = Message(role=Role.USER, content="Find the files that mention the budget and add them up.")
RESULT = "line 17: the budget of this quarter is 1200; see the other file."
TOOLS = tuple(
    ToolSpec(
        name=name,
        description=f"What {name} does, in a sentence as long as such sentences are.",
        parameters={
            "type": "object",
            "properties": {
                "path": {"type": "string", "maxLength": 80, "description": "Which file."},
                "first_line": {"type": "integer", "minimum": 1},
                "mode": {"enum": ["text", "bytes", "lines"]},
            },
            "required": ["path"],
            "additionalProperties": False,
        },
    )
    for name in ("read_file", "search", "write_file", "list_files")
)


def make_gguf(path: Path, **options: Any) -> Path:
    spec = importlib.util.spec_from_file_location("random_gguf", _SUPPORT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: Path = module.make_gguf(path, **options)
    return made


async def ask(model: LlamaModel, request: Request) -> tuple[Reply, float, float]:
    """The reply; processor seconds and seconds between its first text and its end."""
    first: tuple[float, float] | None = None
    async for item in model.stream(request):
        first = first or (spent(model), time.perf_counter())
        if isinstance(item, Reply):
            return item, spent(model) - first[0], time.perf_counter() - first[1]
    raise AssertionError


def spent(model: LlamaModel | None = None) -> float:
    """Processor seconds so far: of this process, and of the model's."""
    seconds = time.process_time()
    if model is not None:
        for thread in Path(f"/proc/{model.pid}/task").iterdir():
            seconds += int((thread / "schedstat").read_text().split()[0]) / 1e9
    return seconds


async def run(model: LlamaModel, names: list[str]) -> tuple[int, int]:
    """Prompt tokens told and evaluated over runs of 20 steps, interleaved step by step."""
    histories = {n: [SYSTEM, replace(TASK, content=f"{TASK.content} ({n})")] for n in names}
    told = evaluated = 0
    for step in range(STEPS):
        for name, messages in histories.items():
            request = Request(
                messages=tuple(messages),
                tools=TOOLS,
                sampling=Sampling(temperature=1.0, seed=step, max_tokens=24, constrain=False),
                conversation=name,
            )
            reply, *_ = await ask(model, request)
            told += reply.usage.prompt_tokens
            evaluated += reply.usage.prompt_tokens - reply.usage.cached_tokens
            messages += [reply.message, Message(role=Role.USER, content=RESULT)]
    return told, evaluated


def high_level(path: Path, names: list[str]) -> tuple[int, int]:
    """The same with llama-cpp-python's own chat completions."""
    from llama_cpp import Llama

    engine = Llama(str(path), n_ctx=8192, n_threads=THREADS, verbose=False)
    evaluate, counted = engine.eval, [0]

    def counting(tokens: Any) -> None:
        counted[0] += len(tokens)
        evaluate(tokens)

    engine.eval = counting
    functions: Any = [{"type": "function", "function": asdict(t)} for t in TOOLS]
    histories: dict[str, list[Any]] = {
        n: [
            {"role": "system", "content": SYSTEM.content},
            {"role": "user", "content": f"{TASK.content} ({n})"},
        ]
        for n in names
    }
    told = written = 0
    for step in range(STEPS):
        for messages in histories.values():
            answer: Any = engine.create_chat_completion(
                messages, tools=functions, max_tokens=24, temperature=1.0, seed=step
            )
            told += answer["usage"]["prompt_tokens"]
            written += answer["usage"]["completion_tokens"]
            content = answer["choices"][0]["message"]["content"] or ""
            messages += [
                {"role": "assistant", "content": content},
                {"role": "user", "content": RESULT},
            ]
    engine.close()
    return told, max(0, counted[0] - written)


def bench_prefix(folder: Path) -> None:
    print(f"Prompt tokens evaluated over {STEPS} steps, of those told")
    for architecture in ("qwen3", "qwen35", "mamba"):
        # Without marker tokens: random weights would write them as often as words.
        path = make_gguf(
            folder / "p.gguf", architecture=architecture, context_tokens=8192, user_defined=()
        )
        for names in (["a"], ["a", "b"]):

            async def ours(path: Path = path, names: list[str] = names) -> tuple[int, int]:
                model = LlamaModel(path, name="bench", threads=THREADS)
                try:
                    return await run(model, names)
                finally:
                    await model.close()

            told, evaluated = asyncio.run(ours())
            theirs_told, theirs = high_level(path, names)
            print(
                f"  {architecture:7} {len(names)} conversation(s): {evaluated / told:6.1%} of"
                f" {told}   high-level API: {theirs / theirs_told:6.1%} of {theirs_told}"
            )


class Bare:
    """llama.cpp's functions in the plainest loop: decode, greedy sampler, decode."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded, self.api = loaded, loaded.api
        self.memory = self.api.llama_get_memory(loaded.context)
        chain = self.api.llama_sampler_chain_init(self.api.llama_sampler_chain_default_params())
        self.api.llama_sampler_chain_add(chain, self.api.llama_sampler_init_greedy())
        self.chain = chain

    def read(self, prompt: list[int]) -> int:
        """Evaluate a prompt; the first token after it."""
        api, context = self.api, self.loaded.context
        api.llama_memory_clear(self.memory, True)
        for begin in range(0, len(prompt), 512):
            part = prompt[begin : begin + 512]
            ids = (ctypes.c_int32 * len(part))(*part)
            assert api.llama_decode(context, api.llama_batch_get_one(ids, len(part))) == 0
        token: int = api.llama_sampler_sample(self.chain, context, -1)
        return token

    def write(self, token: int, count: int) -> None:
        """Decode `count` tokens, one by one."""
        api, context = self.api, self.loaded.context
        for _ in range(count):
            one = (ctypes.c_int32 * 1)(token)
            assert api.llama_decode(context, api.llama_batch_get_one(one, 1)) == 0
            token = api.llama_sampler_sample(self.chain, context, -1)


def worth_measuring(folder: Path) -> Path:
    """About 230 MB: a token costs what it does with a small real model."""
    path = folder / "medium.gguf"
    return make_gguf(path, width=512, layers=12, fillers=32_000, context_tokens=4096)


def question(samples_seed: int | None = None, **more: Any) -> Request:
    sampling = Sampling(
        temperature=0.0 if samples_seed is None else 1.0, seed=samples_seed, max_tokens=REPLY_TOKENS
    )
    return Request(messages=(SYSTEM, TASK), sampling=sampling, **more)


def bench_decode(folder: Path) -> None:
    path = worth_measuring(folder)
    bare = Bare(load(llama(), LoadOptions(path=str(path), threads=THREADS)))
    pairs: list[list[float]] = []
    """Milliseconds a token: processor time of ours and of the bare loop, and by the clock."""

    async def main() -> None:
        model = LlamaModel(path, name="bench", threads=THREADS)
        reply, *_ = await ask(model, question(conversation="c"))
        assert reply.tokens is not None
        prompt = list(reply.tokens.prompt_suffix_ids)
        for _ in range(DECODE_PAIRS):
            reply, cpu, wall = await ask(model, question(conversation="c"))
            written = reply.usage.completion_tokens - 1  # the first came with the prompt
            token = bare.read(prompt)
            began = spent(), time.perf_counter()
            bare.write(token, written)
            bare_cpu, bare_wall = spent() - began[0], time.perf_counter() - began[1]
            pairs.append([x / written * 1e3 for x in (cpu, bare_cpu, wall, bare_wall)])
        await model.close()

    print(
        f"Decode, one conversation, {THREADS} thread, {path.stat().st_size / 1e6:.0f} MB;"
        f" {DECODE_PAIRS} pairs, ours and llama.cpp's in turn"
    )
    asyncio.run(main())
    for what, at in (("processor time", 0), ("clock", 2)):
        ours, theirs = [p[at] for p in pairs], [p[at + 1] for p in pairs]
        ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
        print(
            f"  by {what}: {ratio:.3f} x (median of the pairs), {min(theirs) / min(ours):.3f} x"
            f" (quickest); {statistics.median(ours):.2f} ms a token, {min(ours):.2f} at best,"
            f" bare loop {statistics.median(theirs):.2f} and {min(theirs):.2f}"
        )


def bench_samples(folder: Path) -> None:
    path = worth_measuring(folder)
    bare = Bare(load(llama(), LoadOptions(path=str(path), threads=THREADS)))

    async def sampled(count: int) -> tuple[float, list[Reply]]:
        """Of a model that has read nothing yet."""
        model = LlamaModel(path, name="bench", threads=THREADS)
        await ask(model, Request(messages=(TASK,), sampling=Sampling(max_tokens=1)))
        began = spent(model)
        replies = await model.sample(question(samples_seed=1), count)
        seconds = spent(model) - began
        await model.close()
        return seconds, replies

    print(f"Several samples of up to {REPLY_TOKENS} tokens after one prompt, on {THREADS} thread")
    for count in (1, 2, 4, 8):
        ours, replies = asyncio.run(sampled(count))
        written = [r.usage.completion_tokens for r in replies]
        assert replies[0].tokens is not None
        prompt = list(replies[0].tokens.prompt_suffix_ids)
        began = spent()
        for tokens in written:
            bare.write(bare.read(prompt), tokens)
        theirs = spent() - began
        print(
            f"  N = {count}: {sum(written) / ours:6.1f} tokens/s, one by one"
            f" {sum(written) / theirs:6.1f}: {theirs / ours:.2f} x (prompt of {len(prompt)})"
        )


CODE = """import pathlib
for path in sorted(pathlib.Path('.').rglob('*.txt')):
    text = path.read_text()
    if 'budget' in text.lower():
        print(path, sum(map(int, text.split())))
"""
CALLS = tuple(
    json.dumps({"name": name, "arguments": arguments})
    for name, arguments in (
        ("read_file", {"path": "src/accounts/budget.py", "first_line": 17, "mode": "lines"}),
        ("python", {"code": CODE}),
    )
)


def bench_mask(folder: Path) -> None:
    path = make_gguf(folder / "wide.gguf", width=32, layers=1, fillers=128_000)
    loaded = load(llama(), LoadOptions(path=str(path), threads=THREADS))
    vocabulary = Vocabulary(loaded.api, loaded.vocab)
    began = time.perf_counter()
    maker = GrammarMaker(vocabulary)
    indexed = time.perf_counter() - began
    code = {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]}
    tools = [{"name": t.name, "parameters": t.parameters} for t in TOOLS]
    tools.append({"name": "python", "parameters": code})
    print(f"Constraint at a vocabulary of {vocabulary.size}; indexed once in {indexed:.2f} s")
    longest_first = sorted(range(vocabulary.size), key=lambda i: -len(vocabulary.piece(i)))
    for what, texts in (("calls as models write them", CALLS), ("random tokens", ())):
        costs = sorted(_mask_costs(maker, vocabulary, tools, texts, longest_first))
        print(
            f"  {what}: median {statistics.median(costs):.3f} ms, mean"
            f" {statistics.fmean(costs):.3f} ms, 95 of 100 below"
            f" {costs[len(costs) * 95 // 100]:.3f} ms ({len(costs)} tokens)"
        )


def _mask_costs(
    maker: GrammarMaker,
    vocabulary: Vocabulary,
    tools: list[dict[str, Any]],
    texts: tuple[str, ...],
    longest_first: list[int],
) -> list[float]:
    """Processor milliseconds a token to mask and to follow it; of `texts`, or at random."""
    rng = np.random.default_rng(0)
    costs: list[float] = []
    for round_ in range(10):
        rest = texts[round_ % len(texts)].encode() if texts else b""
        constraint = Constraint(lambda: maker, vocabulary, tools=tools)
        constraint.take(vocabulary.named("<tool_call>") or -1)
        while constraint.in_force and (rest or not texts) and len(costs) < 1500:
            logits = rng.standard_normal(vocabulary.size, np.float32)
            began = time.thread_time()
            constraint.mask(logits)
            masked = time.thread_time()
            token = int(logits.argmax())
            if rest:
                token = next(
                    i for i in longest_first if rest.startswith(vocabulary.piece(i) or b"?")
                )
                rest = rest[len(vocabulary.piece(token)) :]
            chosen = time.thread_time()
            assert constraint.take(token)
            costs.append((masked - began + time.thread_time() - chosen) * 1e3)
    return costs


def bench_start(folder: Path) -> None:
    path = worth_measuring(folder)
    began = time.perf_counter()
    load(llama(), LoadOptions(path=str(path), threads=THREADS))
    print(f"Load: llama.cpp alone {time.perf_counter() - began:.2f} s (imports excluded)")

    async def main() -> None:
        model = LlamaModel(path, name="bench", threads=THREADS)
        began = time.perf_counter()
        await model.start()
        loaded = time.perf_counter() - began
        reply, *_ = await ask(model, question(conversation="c"))
        again, *_ = await ask(model, question(conversation="c"))
        first, later = reply.seconds_to_first_token, again.seconds_to_first_token
        print(f"  child started and loaded {loaded:.2f} s; first token after {first:.2f} s")
        print(f"  ({reply.usage.prompt_tokens} tokens), the second time {later * 1e3:.0f} ms")  # type: ignore[operator]  # it answered
        await model.close()

    asyncio.run(main())
    seconds = sorted(wall(folder) for _ in range(3))
    print(f"  agent run -m tiny, start to answer: {seconds[1]:.2f} s (of {seconds})")


def wall(folder: Path) -> float:
    home = tempfile.mkdtemp(dir=folder)
    environment = {**os.environ, "WARDIAN_HOME": home}
    command = [sys.executable, "-P", "-m", "wardian", "run", "-m", "tiny", "What is 12 plus 30?"]
    began = time.perf_counter()
    subprocess.run(command, cwd=home, env=environment, check=True, capture_output=True)
    return time.perf_counter() - began


PARTS: dict[str, Callable[[Path], None]] = {
    "prefix": bench_prefix,
    "decode": bench_decode,
    "samples": bench_samples,
    "mask": bench_mask,
    "start": bench_start,
}


def main() -> None:
    chosen = sys.argv[1:] or list(PARTS)
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen:
            PARTS[name](Path(folder))


if __name__ == "__main__":
    main()
