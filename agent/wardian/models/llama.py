"""`LlamaModel`: a GGUF file answers, through llama.cpp in a child process."""

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wardian.errors import ContextOverflow, ModelError, ModelUnavailable
from wardian.models.block import check_real_model_allowed
from wardian.models.calling import ReplyParser
from wardian.models.llamacpp.header import Header, HeaderDamaged, read_header
from wardian.models.llamacpp.identity import file_hash, version_of
from wardian.models.llamacpp.load import DEFAULT_CONTEXT_TOKENS, LoadOptions
from wardian.models.llamacpp.process import LlamaProcess, ProcessDied
from wardian.models.llamacpp.request import encoded
from wardian.models.llamacpp.turns import Turns
from wardian.types import (
    Delta,
    Finish,
    Message,
    Reply,
    Request,
    Role,
    TokenRecord,
    Usage,
)

LOAD_SECONDS = 60.0
LOAD_BYTES_PER_SECOND = 20e6
"""A slow disk. The wait for a load is bounded by both."""
PROMPT_SECONDS = 60.0
"""For rendering and tokenising; the child bounds the template itself more tightly."""
_log = logging.getLogger(__name__)
_INSTALL = "Install it with: pip install 'wardian[local]'."


class LlamaModel:
    """Answers with a local GGUF file. One child, started when first asked or by `start`."""

    def __init__(
        self,
        path: Path,
        *,
        name: str,
        context_tokens: int | None = None,
        threads: int | None = None,
        gpu_layers: int = -1,
        reply_tokens: int | None = None,
        load_seconds: float | None = None,
    ) -> None:
        """`context_tokens`: None takes the model's own, at most 8192.

        `threads`: None takes the physical cores this process may use (one for a small file).
        `gpu_layers`: -1 puts all layers on a GPU, where llama.cpp was built for one.
        `reply_tokens`: the longest reply where a request does not say; None is what fits.
        `load_seconds`: how long loading may take; None allows for a slow disk.
        """
        self._path = path
        self._name = name
        self._options = LoadOptions(
            path=str(path.absolute()),
            context_tokens=context_tokens,
            threads=threads,
            gpu_layers=gpu_layers,
        )
        self._reply_tokens = reply_tokens
        self._load_seconds = load_seconds
        self._process: LlamaProcess | None = None
        self._loaded: dict[str, Any] = {}
        self._header: Header | None = None
        self._hash: tuple[tuple[int, int], dict[str, Any]] | None = None
        self._refused: dict[str, str] = {}
        """Tool, or `answer` → what llguidance said of a schema it could not take in full."""
        self._asked = 0
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
        header = self._checked()
        return {
            "engine": "llama.cpp",
            "llama_cpp_python": version_of("llama_cpp_python"),
            "llguidance": version_of("llguidance"),
            "path": str(self._path),
            **self._hashed(),
            "architecture": header.architecture,
            "quantisation": header.quantisation,
            "template_sha256": hashlib.sha256((header.template or "").encode()).hexdigest(),
            "context_tokens": self._loaded.get("context_tokens") or self._planned_context(header),
            "trained_context_tokens": header.trained_context_tokens,
            "reply_tokens": self._reply_tokens,
            "schemas_not_enforced": dict(self._refused),
        }

    async def start(self) -> None:
        """Load the model now, so that the first reply need not wait. Raises: ModelError."""
        async with self._turns.mine():
            await self._running()

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Reply]:
        """Deltas, then one `Reply`. Closing it stops the child within a token."""
        check_real_model_allowed(self._name)
        async with self._turns.mine():
            process = await self._running()
            self._asked += 1
            number, replied = self._asked, False
            try:
                await self._send(process, encoded(request, number, self._reply_tokens))
                async with aclosing(self._answers(process, request, number)) as answers:
                    async for item in answers:
                        replied = isinstance(item, Reply)
                        yield item
            except ProcessDied as e:
                self._process = None
                raise self._crashed(e) from e
            finally:
                if not replied:
                    self._stop(number)

    async def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await process.close()

    async def _answers(
        self, process: LlamaProcess, request: Request, number: int
    ) -> AsyncGenerator[Delta | Reply]:
        clock = asyncio.get_running_loop().time
        began = clock()
        prompt = (await self._next(process, number, PROMPT_SECONDS))["prompt"]
        calls_before = sum(len(m.calls) for m in request.messages)
        parser = ReplyParser(
            [t.name for t in request.tools],
            thinking=prompt["thinking"],
            first_call=calls_before + 1,
        )
        first: float | None = None
        while "end" not in (message := await self._next(process, number)):
            first = clock() - began if first is None else first
            for delta in parser.feed(message["text"]):
                yield delta
        for delta in parser.finish():
            yield delta
        yield self._reply(message["end"], prompt, parser, first)

    async def _next(
        self, process: LlamaProcess, number: int, timeout_seconds: float | None = None
    ) -> dict[str, Any]:
        """The next message about this request; what a cancelled one left behind is passed over."""
        try:
            while (message := await process.receive(timeout_seconds)).get("id") != number:
                pass
        except TimeoutError:
            self._kill()
            raise self._bad_template("it does not come to an end") from None
        if "failed" in message:
            raise self._refusal(message["failed"], message["cause"])
        return message

    def _reply(
        self,
        end: dict[str, Any],
        prompt: dict[str, Any],
        parser: ReplyParser,
        first: float | None,
    ) -> Reply:
        for name, complaint in end["refused"].items():
            if self._refused.setdefault(name, complaint) is complaint:
                _log.info("The schema of %s is not enforced in full: %s", name, complaint)
        finish = Finish.LENGTH if end["finish"] == "length" else Finish.STOP
        if finish is Finish.STOP and parser.calls:
            finish = Finish.CALLS
        return Reply(
            message=Message(
                role=Role.ASSISTANT,
                content=parser.text,
                reasoning=parser.reasoning,
                calls=tuple(parser.calls),
            ),
            finish=finish,
            usage=Usage(
                prompt_tokens=end["prompt_tokens"],
                completion_tokens=len(end["sampled"]),
                cached_tokens=end["cached_tokens"],
                cost_usd=0.0,
            ),
            model=self._path.name,
            tokens=TokenRecord(
                prompt_suffix_ids=tuple(prompt["ids"]),
                kept_ids=prompt["kept"],
                sampled_ids=tuple(end["sampled"]),
                logprobs=tuple(end["logprobs"]),
                constrained=tuple(end["constrained"]),
            ),
            seconds_to_first_token=first,
        )

    async def _running(self) -> LlamaProcess:
        """The child, started where there is none. Raises: ModelError."""
        if self._process is not None and self._process.is_alive:
            return self._process
        if self._process is not None:
            self._kill()
        if find_spec("llama_cpp") is None or find_spec("llguidance") is None:
            raise ModelUnavailable(
                "The local engine (llama-cpp-python) is not installed.", _INSTALL
            )
        await asyncio.to_thread(self._checked)
        size = self._path.stat().st_size
        limit = self._load_seconds or LOAD_SECONDS + size / LOAD_BYTES_PER_SECOND
        process = LlamaProcess()
        self._process = process
        try:
            await process.send(
                json.dumps({"op": "load", "options": asdict(self._options)}).encode()
            )
            message = await process.receive(limit)
        except TimeoutError:
            self._kill()
            raise self._unloadable(f"it took longer than {limit:.0f} s") from None
        except ProcessDied as e:
            self._process = None
            raise self._unloadable(f"llama.cpp {e}") from e
        except BaseException:
            self._kill()
            raise
        if "failed" in message:
            self._kill()
            raise self._unloadable(message["cause"])
        self._loaded = message["loaded"]
        return process

    async def _send(self, process: LlamaProcess, line: bytes) -> None:
        try:
            await process.send(line)
        except asyncio.CancelledError:
            self._kill()  # half a line may be sent: nothing that follows could be understood
            raise

    def _stop(self, number: int) -> None:
        """Make the child leave this request; where it cannot be told, end it."""
        if self._process is not None and not self._process.send_now({"op": "cancel", "id": number}):
            self._kill()

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()

    def _checked(self) -> Header:
        """The header, read once. Raises: ModelUnavailable."""
        if self._header is not None:
            return self._header
        if self._path.is_dir():
            raise ModelUnavailable(
                f"The model {self._path} is a directory.", "Name the GGUF file inside it."
            )
        try:
            self._header = read_header(self._path)
        except FileNotFoundError as e:
            raise ModelUnavailable(
                f"The model file {self._path} does not exist.",
                "Check the path, or use the built-in model with: -m tiny.",
            ) from e
        except OSError as e:
            raise ModelUnavailable(
                f"The model file {self._path} cannot be read: {e.strerror}.",
                "Check its permissions.",
            ) from e
        except HeaderDamaged as e:
            raise ModelUnavailable(
                f"The model file {self._path} {e}.", "Download or build it again."
            ) from e
        return self._header

    def _planned_context(self, header: Header) -> int | None:
        trained = header.trained_context_tokens or DEFAULT_CONTEXT_TOKENS
        return self._options.context_tokens or min(trained, DEFAULT_CONTEXT_TOKENS)

    def _hashed(self) -> dict[str, Any]:
        stat = self._path.stat()
        key = (stat.st_size, stat.st_mtime_ns)
        if self._hash is None or self._hash[0] != key:
            self._hash = key, file_hash(self._path, stat.st_size)
        return self._hash[1]

    def _refusal(self, kind: str, cause: Any) -> ModelError:
        if kind == "overflow":
            return ContextOverflow(
                f"The prompt has {cause['prompt_tokens']} tokens and the context of {self._name} "
                f"holds {cause['context_tokens']}.",
                "Shorten the task, or raise the context"
                f" (the model was trained for {cause['trained_context_tokens']} tokens).",
            )
        if kind == "template":
            return self._bad_template(str(cause))
        return ModelError(
            f"The model {self._name} failed: {cause or kind}.", "Try again, or use another model."
        )

    def _bad_template(self, cause: str) -> ModelError:
        return ModelError(
            f"The chat template in {self._path.name} cannot be used: {cause}.",
            "Use another conversion of this model.",
        )

    def _unloadable(self, cause: str) -> ModelUnavailable:
        return ModelUnavailable(
            f"{self._path.name} could not be loaded: {cause}.",
            "Download or build it again, or use another model.",
        )

    def _crashed(self, e: ProcessDied) -> ModelError:
        return ModelError(
            f"The process running {self._name} {e}.",
            "Run the task again or resume it: the model is loaded afresh.",
        )
