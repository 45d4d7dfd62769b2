"""Greedy writing with the network itself, to measure a checkpoint without llama.cpp."""

import json

import torch
from torch import Tensor
from torch.nn import functional

from wardian.evals.suites.experts import Step
from wardian.evals.suites.tiny.problem import Problem
from wardian.train.tiny.chat import END, NEWLINE, result_turn, user_turn
from wardian.train.tiny.execution import (
    MAX_STEPS,
    Episode,
    Workshop,
    as_if_fresh,
    contents_of,
    fill,
)
from wardian.train.tiny.network import Attention, Layer, TinyNetwork, rotate
from wardian.train.tiny.tokenizer import TinyTokenizer

MAX_NEW = 300
MAX_POSITIONS = 2048


class Writer:
    """One conversation, token after token, with keys and values kept."""

    def __init__(self, network: TinyNetwork, tokenizer: TinyTokenizer) -> None:
        self.network, self.tokenizer = network, tokenizer
        self.length = 0
        self.kept: list[tuple[Tensor, Tensor] | None] = [None] * network.shape.layers

    @torch.inference_mode()
    def feed(self, ids: list[int]) -> Tensor:
        """Add tokens; the logits after the last."""
        cos, sin = self.network.angles(len(ids), self.length)
        x = self.network.embedding(torch.tensor([ids]))
        mask = torch.ones(len(ids), self.length + len(ids), dtype=torch.bool).tril(self.length)
        for place, layer in enumerate(self.network.layers):
            assert isinstance(layer, Layer)
            x = x + self._attend(place, layer.attention, layer.attention_norm(x), cos, sin, mask)
            h = layer.feed_norm(x)
            x = x + layer.down(functional.silu(layer.gate(h)) * layer.up(h))
        self.length += len(ids)
        return self.network.logits(self.network.norm(x[0, -1]))

    def _attend(
        self, place: int, part: Attention, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor
    ) -> Tensor:
        split = (1, x.shape[1], part.heads, part.head_width)
        q = rotate(part.q_norm(part.q(x).view(split)).transpose(1, 2), cos, sin)
        k = rotate(part.k_norm(part.k(x).view(split)).transpose(1, 2), cos, sin)
        v = part.v(x).view(split).transpose(1, 2)
        before = self.kept[place]
        if before is not None:
            k, v = torch.cat((before[0], k), 2), torch.cat((before[1], v), 2)
        self.kept[place] = (k, v)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        joined: Tensor = part.o(mixed.transpose(1, 2).reshape(1, x.shape[1], -1))
        return joined

    def write(self, prompt: list[int]) -> str:
        """Greedy text until the end token."""
        end = self.tokenizer.ids[END]
        logits = self.feed(prompt)
        made: list[int] = []
        while len(made) < MAX_NEW and self.length < MAX_POSITIONS:
            best = int(logits.argmax())
            logits = self.feed([best])
            if best == end:
                break
            made.append(best)
        return self.tokenizer.decode(made)


async def attempt(
    network: TinyNetwork, tokenizer: TinyTokenizer, shop: Workshop, problem: Problem
) -> Episode:
    """The model's own episode; a call that cannot be read ends it."""
    fill(shop.folder, problem.files)
    writer = Writer(network, tokenizer)
    turn = user_turn(problem.prompt)
    calls: list[tuple[Step, str]] = []
    answer = ""
    for _ in range(MAX_STEPS):
        answer = writer.write(tokenizer.encode_spans(turn)[0])
        if not answer.startswith("<tool_call>"):
            break
        try:
            call = json.loads(answer.removeprefix("<tool_call>").removesuffix("</tool_call>"))
            step = Step(name=call["name"], arguments=call["arguments"])
            result = await shop.call(step)
        except (ValueError, KeyError, TypeError) as error:
            return Episode(calls=tuple(calls), answer=f"{answer} {error!r}", files={})
        result = as_if_fresh(result, sum(s.name == "python" for s, _ in calls) + 1)
        calls.append((step, result))
        turn = [NEWLINE, *result_turn(result)]
    files, folders = contents_of(shop.folder)
    return Episode(calls=tuple(calls), answer=answer, files=files, folders=folders)
