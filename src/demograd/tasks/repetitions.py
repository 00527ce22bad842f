"""Texts that come more than once in a data set: counted, and said, since each is a reason to doubt a number."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from demograd.tasks.example import Example
from demograd.tasks.pools import Pools


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
