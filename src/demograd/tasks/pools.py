"""Which examples may be demonstrations, which queries, and which choose a learning rate: three disjoint parts.

No text is in two parts, so nothing that is reported or tuned on was ever shown as a demonstration.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from demograd.tasks.template import Example

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


TextKey = tuple[tuple[str, str], ...]


def text_key(example: Example) -> TextKey:
    """Equal for examples with the same text in every column, whatever their labels."""
    return tuple(sorted(example.fields.items()))


def without_texts_of(used: Iterable[Example], examples: Iterable[Example]) -> list[Example]:
    """`examples` whose text is not that of any example in `used`, in order; labels do not matter."""
    used_texts = set(map(text_key, used))
    return [example for example in examples if text_key(example) not in used_texts]


def _shuffled(examples: Sequence[Example]) -> list[Example]:
    return [examples[i] for i in np.random.default_rng(SPLIT_SEED).permutation(len(examples))]


def repetition_notes(name: str, rows: Sequence[Example], pools: Pools, left_out: int) -> list[str]:
    """A sentence that counts what of these there is, in a data set whose rows are `rows`; nothing where there is none.

    `left_out` of the rows are in no pool, for their texts are word by word in an earlier one.

    Texts are the same here where they differ in case, white space and punctuation alone.
    """
    bare = dict(zip(map(id, rows), _bare(rows), strict=True))  # the pools hold the same objects
    labelled = [(bare[id(example)], example.label) for example in rows]
    labels: dict[str, set[int]] = defaultdict(set)
    for text, label in labelled:
        labels[text].add(label)
    queries = [bare[id(example)] for example in pools.queries]
    shown = {bare[id(example)] for pool in (pools.training, pools.tuning) for example in pool}
    counts = {
        "repeat another": len(labelled) - len(labels),
        "have a text that comes with different labels": sum(len(labels[text]) > 1 for text, _ in labelled),
        "of the queries repeat another query": sum(count - 1 for count in Counter(queries).values()),
        "of the queries have a text that may also be demonstrated": sum(text in shown for text in queries),
    }
    if not any(counts.values()):
        return []
    listing = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)
    out = f"; {left_out:,} are left out, so that no query is word by word a demonstration" if left_out else ""
    return [f"Of the {len(rows):,} examples of {name}, but for case, spaces and punctuation: {listing}{out}."]


class _Letters(dict[int, int | None]):
    """For `str.translate`, which is many times as fast as a regular expression: what is no letter or digit goes."""

    def __missing__(self, code: int) -> int | None:
        self[code] = code if chr(code).isalnum() else None
        return self[code]


_LETTERS = _Letters()


def _bare(examples: Sequence[Example]) -> list[str]:
    texts = ["\n".join(example.fields.values()).casefold() for example in examples]
    return [text.translate(_LETTERS) or text for text in texts]  # what has no letters, such as "?!", is its own text
