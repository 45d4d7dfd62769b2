"""Recorded prompts of a local model, rendered and tokenised anew with its file."""

import json
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from wardian.errors import ModelError, ModelUnavailable
from wardian.models.calling import ReplyParser
from wardian.models.families import family_named
from wardian.models.llamacpp.load import LoadOptions
from wardian.models.llamacpp.process import LlamaProcess, ProcessDied
from wardian.models.llamacpp.request import encoded
from wardian.types import Message, Request, TokenRecord

SECONDS = 60.0
LOADING = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What came of one reply's record."""

    at: int | None
    """The first id of the prompt that is not what the file gives; None where all are"""
    recorded: str
    """Text from there on, as recorded"""
    rendered: str
    """and as it should be"""
    same_text: bool
    """The prompt reads the same, whatever ids spell it"""
    prompt_tokens: int
    reply: str
    """What the sampled ids say otherwise than the message; empty where they say the same"""


class LlamaChecker:
    """A file's template and vocabulary, in a process of their own; no weights are loaded."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process: LlamaProcess | None = None
        self._asked = LOADING

    async def check(self, request: Request, message: Message, tokens: TokenRecord) -> Checked:
        """`message` answered `request`; those of one conversation in order. Raises: ModelError."""
        process = await self._running()
        self._asked += 1
        more = {
            "op": "check",
            "kept": tokens.kept_ids,
            "suffix": tokens.prompt_suffix_ids,
            "sampled": tokens.sampled_ids,
        }
        box = process.box(self._asked)
        try:
            process.post(encoded(request, self._asked, None, more=more))
            answer = await process.receive(box, SECONDS)
        except (ProcessDied, TimeoutError) as e:
            process.kill()
            self._process = None
            raise ModelError(f"Checking with {self._path.name} broke off: {e}.") from e
        finally:
            process.leave(self._asked)
        if "failed" in answer:
            raise ModelError(f"{self._path.name} cannot render it: {answer['cause']}.")
        found = answer["checked"]
        parser = ReplyParser(
            {tool.name: tool.parameters for tool in request.tools},
            family=family_named(found["family"]),
            thinking=found["thinking"],
            first_call=sum(len(m.calls) for m in request.messages) + 1,
        )
        parser.feed(_until_stop(found["generated"], tokens))
        parser.finish()
        return Checked(
            at=found["at"],
            recorded=found["recorded"],
            rendered=found["rendered"],
            same_text=found["same_text"],
            prompt_tokens=found["prompt_tokens"],
            reply=_otherwise(parser, message),
        )

    async def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await process.close()

    async def _running(self) -> LlamaProcess:
        """Raises: ModelError."""
        if self._process is not None:
            return self._process
        if find_spec("llama_cpp") is None:
            raise ModelUnavailable(
                "The local engine (llama-cpp-python) is not installed.",
                "Install it with: pip install 'wardian[local]'.",
            )
        process = LlamaProcess()
        options = LoadOptions(path=str(self._path), gpu_layers=0, vocab_only=True)
        box = process.box(LOADING)
        try:
            process.post(json.dumps({"op": "load", "options": asdict(options)}).encode())
            answer = await process.receive(box, SECONDS)
        except (ProcessDied, TimeoutError) as e:
            process.kill()
            raise ModelUnavailable(f"{self._path.name} could not be loaded: {e}.") from e
        if "failed" in answer:
            process.kill()
            raise ModelUnavailable(f"{self._path.name} could not be loaded: {answer['cause']}.")
        self._process = process
        return process


def _until_stop(text: str, tokens: TokenRecord) -> str:
    """The text as it was shown: stop strings are sampled, and not part of the reply."""
    stops = tokens.sampling.stop if tokens.sampling else ()
    return text[: min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))]


def _otherwise(parser: ReplyParser, message: Message) -> str:
    said = {
        "content": parser.text,
        "reasoning": parser.reasoning,
        "calls": [(call.name, call.arguments_text) for call in parser.calls],
    }
    recorded = {
        "content": message.content,
        "reasoning": message.reasoning,
        "calls": [(call.name, call.arguments_text) for call in message.calls],
    }
    return next((name for name in said if said[name] != recorded[name]), "")
