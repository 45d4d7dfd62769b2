"""How well the redaction does on the labelled set: recall by kind, and false positives."""

from collections import Counter, defaultdict
from dataclasses import dataclass

from wardian_policies.redaction.labelled import Sample, samples
from wardian_policies.redaction.pseudonyms import Pseudonyms
from wardian_policies.redaction.redactor import Detectors, Redactor


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One kind of the labelled set."""

    kind: str
    layer: str
    """`none` for texts in which nothing is to be found"""
    samples: int
    found: int
    """Texts in which the value was hidden; for `none`, texts in which anything was"""

    @property
    def share(self) -> float:
        return self.found / self.samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The labelled set through the redaction."""

    seed: int
    rates: tuple[Rate, ...]
    clean_bytes: int
    """Of the texts with nothing in them"""

    def recall(self, layer: str) -> float:
        of_layer = [rate for rate in self.rates if rate.layer == layer]
        return sum(rate.found for rate in of_layer) / sum(rate.samples for rate in of_layer)

    @property
    def false_positive_share(self) -> float:
        return self.recall("none")


def measure(seed: int = 1, count: int = 40) -> Measured:
    """Every sample alone, through all layers, as before a model that is not local."""
    found: dict[tuple[str, str], Counter[bool]] = defaultdict(Counter)
    clean_bytes = 0
    for sample in samples(seed, count):
        found[sample.kind, sample.layer][was_hidden(sample)] += 1
        clean_bytes += len(sample.text.encode()) if sample.layer == "none" else 0
    rates = tuple(
        Rate(kind=kind, layer=layer, samples=counts.total(), found=counts[True])
        for (kind, layer), counts in found.items()
    )
    return Measured(seed=seed, rates=rates, clean_bytes=clean_bytes)


def was_hidden(sample: Sample) -> bool:
    known = {"REGISTERED": sample.value} if sample.layer == "known" else {}
    redactor = Redactor(known, Detectors(True, True, True), Pseudonyms(b"k" * 32))
    after = redactor.text(sample.text)
    if sample.layer == "none":
        return after != sample.text
    if sample.layer == "known":
        return "[REDACTED:REGISTERED]" in after and sample.value not in after
    return sample.value not in after
