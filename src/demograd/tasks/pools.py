"""Which examples may be demonstrations, which queries, and which choose a learning rate: three disjoint parts.

No text is in two parts, so nothing that is reported or tuned on was ever shown as a demonstration.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from demograd.tasks.example import Example

SPLIT_SEED = 0
"""Seed of the one shuffle that decides the parts. Fixed: queries must not depend on anything a user sets."""
QUERY_CUT = 2000
"""Most examples that become queries; published runs cut their shuffled validation data there."""
TUNING_CUT = 500
"""Most examples that are kept for choosing learning rates."""


@dataclass(frozen=True)
class Pools:
    """The three parts, each in its fixed shuffled order."""

    training: tuple[Example, ...]
    tuning: tuple[Example, ...]
    queries: tuple[Example, ...]

    def fingerprint(self) -> str:
        """SHA-256 over all examples, in order, with the part that each is in."""
        digest = hashlib.sha256()
        for part in (self.training, self.tuning, self.queries):
            for example in part:
                digest.update(json.dumps([sorted(example.fields.items()), example.label]).encode() + b"\n")
            digest.update(b"\n")
        return digest.hexdigest()


def split(examples: Sequence[Example], validation: Sequence[Example] | None = None) -> Pools:
    """The parts of a source.

    Queries are `validation`, where the source has its own, else part of `examples`: after the fixed shuffle the first
    2,000, but at most a third (small data must keep demonstrations). Then 500, at most a tenth, for tuning; then
    training. An example with the text of one in an earlier part is left out: SST2 alone repeats 371 texts.
    """
    shuffled = _shuffled(examples)
    if validation is None:
        cut = min(QUERY_CUT, max(1, len(shuffled) // 3))
        queries, rest = shuffled[:cut], shuffled[cut:]
    else:
        queries, rest = _shuffled(validation)[:QUERY_CUT], shuffled
    rest = without_texts_of(queries, rest)
    cut = min(TUNING_CUT, len(examples) // 10)
    tuning = rest[:cut]
    return Pools(tuple(without_texts_of(tuning, rest[cut:])), tuple(tuning), tuple(queries))


def without_texts_of(used: Iterable[Example], examples: Iterable[Example]) -> list[Example]:
    """`examples` whose text is not that of any example in `used`, in order; labels do not matter."""
    used_texts = {tuple(sorted(example.fields.items())) for example in used}
    return [example for example in examples if tuple(sorted(example.fields.items())) not in used_texts]


def _shuffled(examples: Sequence[Example]) -> list[Example]:
    return [examples[i] for i in np.random.default_rng(SPLIT_SEED).permutation(len(examples))]
