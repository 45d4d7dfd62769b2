"""What the child answers to one request, put together to replies in the parent."""

from dataclasses import dataclass, field
from typing import Any

from wardian.models.calling import ReplyParser
from wardian.models.families import family_named
from wardian.types import (
    Delta,
    Finish,
    Message,
    Reply,
    Request,
    Role,
    Sampling,
    TokenRecord,
    Usage,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a reply comes from, for its record."""

    name: str
    model_sha256: str
    template_sha256: str


@dataclass(slots=True)
class Answer:
    """One sample of a request: feed it the child's messages; `reply` is there after the last."""

    request: Request
    prompt: dict[str, Any]
    origin: Origin
    parser: ReplyParser = field(init=False)
    seconds_to_first_token: float | None = None

    def __post_init__(self) -> None:
        self.parser = ReplyParser(
            {t.name: t.parameters for t in self.request.tools},
            family=family_named(self.prompt["family"]),
            thinking=self.prompt["thinking"],
            first_call=sum(len(m.calls) for m in self.request.messages) + 1,
        )

    def take(self, message: dict[str, Any], seconds: float) -> list[Delta]:
        """Text, or the end. `seconds` since it was asked."""
        if "end" in message:
            return self.parser.finish()
        if self.seconds_to_first_token is None:
            self.seconds_to_first_token = seconds
        return self.parser.feed(message["text"])

    def reply(self, end: dict[str, Any]) -> Reply:
        parser = self.parser
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
            model=self.origin.name,
            tokens=self._record(end),
            seconds_to_first_token=self.seconds_to_first_token,
        )

    def _record(self, end: dict[str, Any]) -> TokenRecord:
        sampling: dict[str, Any] = end["sampling"]
        return TokenRecord(
            prompt_suffix_ids=tuple(self.prompt["ids"]),
            kept_ids=self.prompt["kept"],
            sampled_ids=tuple(end["sampled"]),
            logprobs=tuple(end["logprobs"]),
            constrained=tuple(end["constrained"]),
            sampling=Sampling(
                temperature=sampling["temperature"],
                top_p=sampling["top_p"],
                max_tokens=sampling["max_tokens"],
                seed=sampling["seed"],
                stop=tuple(sampling["stop"]),
                constrain=sampling["constrain"],
            ),
            constraint_sha256=end["constraint_sha256"],
            model_sha256=self.origin.model_sha256,
            template_sha256=self.origin.template_sha256,
        )
