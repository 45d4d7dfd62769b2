"""`LlamaModel`: a GGUF file answers, through llama.cpp in a child process."""

import asyncio
import hashlib
import json
import logging
import weakref
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wardian.errors import ContextOverflow, ModelError, ModelRefused, ModelUnavailable
from wardian.models.block import check_real_model_allowed
from wardian.models.llamacpp.answers import Answer, Origin
from wardian.models.llamacpp.file import ModelFile
from wardian.models.llamacpp.header import Header
from wardian.models.llamacpp.identity import version_of
from wardian.models.llamacpp.load import (
    DEFAULT_CONTEXT_TOKENS,
    LoadFailed,
    LoadOptions,
    check_memory,
)
from wardian.models.llamacpp.process import Box, LlamaProcess, ProcessDied
from wardian.models.llamacpp.request import encoded
from wardian.models.llamacpp.turns import Turns
from wardian.types import Delta, Reply, Request

LOAD_SECONDS = 60.0
LOAD_BYTES_PER_SECOND = 20e6
"""A slow disk. The wait for a load is bounded by both."""
PROMPT_SECONDS = 60.0
"""For rendering and tokenising; the child bounds the template itself more tightly."""
_LOADING = 0
"""Stands for a request's number while the model is loaded."""
_log = logging.getLogger(__name__)
_INSTALL = "Install it with: pip install 'wardian[local]'."


class LlamaModel:
    """Answers with a local GGUF file. One child, started when first asked or by `start`.

    Requests of several conversations, tasks and event loops are answered side by side.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str,
        context_tokens: int | None = None,
        sequences: int | None = None,
        threads: int | None = None,
        gpu_layers: int | None = None,
        adapters: Sequence[tuple[Path, float]] = (),
        reply_tokens: int | None = None,
        load_seconds: float | None = None,
    ) -> None:
        """`context_tokens`: of one conversation; None takes the model's own, at most 8192.

        `sequences`: how many conversations and samples are evaluated side by side, at most.
        `threads`: None takes the physical cores this process may use (one for a small file).
        `gpu_layers`: None puts as many layers on a GPU as fit in its free memory, -1 all.
        `adapters`: LoRA files made for this model, each with its scale.
        `reply_tokens`: the longest reply where a request does not say; None is what fits.
        `load_seconds`: how long loading may take; None allows for a slow disk.
        """
        self._name = name
        self._file = ModelFile(path, adapters)
        self._options = LoadOptions(
            path=str(path.absolute()),
            context_tokens=context_tokens,
            sequences=sequences,
            threads=threads,
            gpu_layers=gpu_layers,
            adapters=[(str(adapter.absolute()), scale) for adapter, scale in adapters],
        )
        self._reply_tokens = reply_tokens
        self._load_seconds = load_seconds
        self._process: LlamaProcess | None = None
        self._loaded: dict[str, Any] = {}
        self._refused: dict[str, str] = {}
        """Tool, or `answer` → what llguidance said of a schema it could not take in full."""
        self._origin: Origin | None = None
        self._asked = _LOADING
        self._turns = Turns()

    @property
    def name(self) -> str:
        return self._name

    @property
    def is_local(self) -> bool:
        return True

    @property
    def identity(self) -> dict[str, Any]:
        """The file's hash and what its header says. Raises: ModelUnavailable."""
        header = self._file.header()
        return {
            "engine": "llama.cpp",
            "llama_cpp_python": version_of("llama_cpp_python"),
            "llguidance": version_of("llguidance"),
            "path": str(self._file.path),
            **self._file.identity(),
            "architecture": header.architecture,
            "quantisation": header.quantisation,
            "template_sha256": _template_hash(header),
            "context_tokens": self._loaded.get("context_tokens") or self._planned_context(header),
            "trained_context_tokens": header.trained_context_tokens,
            "reply_tokens": self._reply_tokens,
            "device": self._loaded.get("device"),
            "schemas_not_enforced": dict(self._refused),
        }

    @property
    def pid(self) -> int | None:
        """Of the process that holds the model, while there is one."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Load the model now, so that the first reply need not wait. Raises: ModelError."""
        await self._running()

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Reply]:
        """Deltas, then one `Reply`. Closing it stops the child within a token."""
        async with aclosing(self._ask(request, 1)) as answers:
            async for _, item in answers:
                yield item

    async def sample(self, request: Request, count: int) -> list[Reply]:
        """`count` replies to one prompt, evaluated once; see `wardian.types.Forking`."""
        async with aclosing(self._ask(request, count)) as answers:
            replies = {n: item async for n, item in answers if isinstance(item, Reply)}
        return [replies[n] for n in sorted(replies)]

    async def adopt(self, conversation: str, sample: int) -> None:
        """Go on with this one of the replies that `sample` gave, and forget the others."""
        process = self._process
        if process is None:
            return  # it ended, and forgot all of them
        message = {"op": "adopt", "conversation": conversation, "sample": sample}
        process.post(json.dumps(message).encode())

    async def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await process.close()

    async def _ask(self, request: Request, count: int) -> AsyncGenerator[tuple[int, Delta | Reply]]:
        """What each of `count` samples answers, as it comes, each ending with its reply."""
        check_real_model_allowed(self._name)
        if any(message.images for message in request.messages):
            raise ModelRefused(
                f"{self._name} cannot see images: the local engine reads text only.",
                "Use a model that sees, behind an API or an Ollama server (-m).",
            )
        process = await self._running()
        self._asked += 1
        number = self._asked
        box, open_samples = process.box(number), set(range(count))
        try:
            process.post(encoded(request, number, self._reply_tokens, count))
            async with aclosing(self._answers(process, box, request, count)) as answers:
                async for sample, item in answers:
                    if isinstance(item, Reply):
                        open_samples.discard(sample)
                    yield sample, item
        except ProcessDied as e:
            self._forget(process)
            raise self._crashed(e) from e
        finally:
            process.leave(number)
            if open_samples:
                process.post(json.dumps({"op": "cancel", "id": number}).encode())

    async def _answers(
        self, process: LlamaProcess, box: Box, request: Request, count: int
    ) -> AsyncGenerator[tuple[int, Delta | Reply]]:
        clock = asyncio.get_running_loop().time
        began = clock()
        await self._next(process, box)  # it begins now; requests before it took their time
        prompt = (await self._next(process, box, PROMPT_SECONDS))["prompt"]
        assert self._origin is not None
        answers = [Answer(request, prompt, self._origin) for _ in range(count)]
        writing = count
        while writing:
            message = await self._next(process, box)
            sample: int = message["sample"]
            answer = answers[sample]
            for delta in answer.take(message, clock() - began):
                yield sample, delta
            if "end" in message:
                writing -= 1
                self._note_refused(message["end"]["refused"])
                yield sample, answer.reply(message["end"])

    async def _next(
        self, process: LlamaProcess, box: Box, timeout_seconds: float | None = None
    ) -> dict[str, Any]:
        """The next message about a request."""
        try:
            message = await process.receive(box, timeout_seconds)
        except TimeoutError:
            self._forget(process)
            process.kill()
            raise self._bad_template("it does not come to an end") from None
        if "failed" in message:
            raise self._refusal(message["failed"], message["cause"])
        return message

    def _note_refused(self, refused: dict[str, str]) -> None:
        for name, complaint in refused.items():
            if self._refused.setdefault(name, complaint) is complaint:
                _log.info("The schema of %s is not enforced in full: %s", name, complaint)

    async def _running(self) -> LlamaProcess:
        """The child, started where there is none. Raises: ModelError."""
        async with self._turns.mine():
            if self._process is not None and self._process.is_alive:
                return self._process
            if self._process is not None:
                self._process.kill()
            self._process = None
            process = await self._started()
            self._process = process
            return process

    async def _started(self) -> LlamaProcess:
        if find_spec("llama_cpp") is None or find_spec("llguidance") is None:
            raise ModelUnavailable(
                "The local engine (llama-cpp-python) is not installed.", _INSTALL
            )
        options = await asyncio.to_thread(self._measured)
        limit = self._load_seconds or LOAD_SECONDS + self._file.size_bytes / LOAD_BYTES_PER_SECOND
        process = LlamaProcess()
        try:
            box = process.box(_LOADING)
            process.post(json.dumps({"op": "load", "options": asdict(options)}).encode())
            message = await process.receive(box, limit)
            process.leave(_LOADING)
        except TimeoutError:
            process.kill()
            raise self._unloadable(f"it took longer than {limit:.0f} s") from None
        except ProcessDied as e:
            raise self._unloadable(f"llama.cpp {e}") from e
        except BaseException:
            process.kill()
            raise
        if "failed" in message:
            process.kill()
            raise self._unloadable(message["cause"], message["remedy"])
        self._loaded = message["loaded"]
        _in_memory[process] = self._file.size_bytes
        _log.info("%s runs on: %s", self._name, self._loaded["device"])
        return process

    def _measured(self) -> LoadOptions:
        """How to load it, given what it weighs. Raises: ModelUnavailable."""
        header = self._file.header()
        options = _measured(self._options, header)
        self._origin = Origin(
            name=self._file.path.name,
            model_sha256=self._file.sha256(),
            template_sha256=_template_hash(header),
        )
        try:
            check_memory(options, self._file.size_bytes)
        except LoadFailed as e:
            raise ModelUnavailable(
                f"{self._file.path.name} does not fit: {e}.",
                "Choose a smaller model or quantisation, or close other programs.",
            ) from e
        return options

    def _forget(self, process: LlamaProcess) -> None:
        if self._process is process:
            self._process = None

    def _planned_context(self, header: Header) -> int | None:
        trained = header.trained_context_tokens or DEFAULT_CONTEXT_TOKENS
        return self._options.context_tokens or min(trained, DEFAULT_CONTEXT_TOKENS)

    def _refusal(self, kind: str, cause: Any) -> ModelError:
        if kind == "overflow":
            return ContextOverflow(
                f"The prompt has {cause['prompt_tokens']} tokens and the context of {self._name} "
                f"holds {cause['context_tokens']}.",
                "Shorten the task, or "
                + _more_room(cause["context_tokens"], cause["trained_context_tokens"]),
            )
        if kind == "template":
            return self._bad_template(str(cause))
        return ModelError(
            f"The model {self._name} failed: {cause or kind}.", "Try again, or use another model."
        )

    def _bad_template(self, cause: str) -> ModelError:
        return ModelError(
            f"The chat template in {self._file.path.name} cannot be used: {cause}.",
            "Use another conversion of this model.",
        )

    def _unloadable(self, cause: str, remedy: str = "") -> ModelUnavailable:
        return ModelUnavailable(
            f"{self._file.path.name} could not be loaded: {cause}.",
            remedy or "Download or build it again, or use another model.",
        )

    def _crashed(self, e: ProcessDied) -> ModelError:
        return ModelError(
            f"The process running {self._name} {e}.",
            "Run the task again or resume it: the model is loaded afresh.",
        )


def _more_room(context_tokens: int, trained_tokens: int) -> str:
    if trained_tokens <= context_tokens:
        return "use a model with a larger one: it was trained for no more."
    return (
        "raise it with: agent config set context_tokens N"
        f" (the model was trained for {trained_tokens})."
    )


_in_memory: weakref.WeakKeyDictionary[LlamaProcess, int] = weakref.WeakKeyDictionary()
"""What the children of this process keep mapped: the system counts it as free for the taking."""


def _measured(options: LoadOptions, header: Header) -> LoadOptions:
    taken = sum(size for process, size in list(_in_memory.items()) if process.is_alive)
    return replace(
        options,
        layer_bytes=header.layer_bytes,
        other_bytes=header.other_bytes,
        layer_cell_bytes=header.layer_cell_bytes,
        taken_bytes=taken,
    )


def _template_hash(header: Header) -> str:
    return hashlib.sha256((header.template or "").encode()).hexdigest()
