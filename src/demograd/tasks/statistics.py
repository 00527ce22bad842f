"""How large a task is, in examples and in tokens of a tokenizer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from demograd.tasks.draws import Stream, generator
from demograd.tasks.encoding import encode, encode_with_answers
from demograd.tasks.task import Task
from demograd.tasks.template import Example
from demograd.tasks.tokenizer import Tokenizer, separator_ids

COUNTED = 2000
"""Most examples of a pool whose tokens are counted: the first, of an order that is shuffled."""
DRAWS = 100
"""Seeded orders of them in which the demonstrations that fit are counted."""


@dataclass(frozen=True)
class TokenCounts:
    """Tokens of text and answer, without BOS and separator."""

    examples: int
    """How many were counted: all of a task, or `COUNTED` of each larger pool."""
    mean: float
    median: float
    percentile_95: float
    max: int


@dataclass(frozen=True)
class Fitting:
    """How many demonstrations fit a context window with the longest query, over `DRAWS` draws."""

    fewest: int
    median: float


@dataclass(frozen=True)
class Statistics:
    """What `demograd list tasks --statistics` says of a task."""

    training: int
    """Examples that may be demonstrations."""
    tuning: int
    """Examples that choose learning rates."""
    queries: int
    class_shares: tuple[float, ...]
    """Share of each class among all examples, in class order; they sum to 1."""
    tokens: TokenCounts
    fitting: Fitting | None
    """None: no context window was given."""


def task_statistics(
    task: Task, tokenizer: Tokenizer, context_window: int | None = None, separator: str = "newline"
) -> Statistics:
    """Sizes, class balance and token counts of `task`, and the demonstrations that fit `context_window` tokens.

    **Raises:** UserError for a tokenizer that makes special tokens of the task's texts, or runs text and answer
    together.
    """
    pools = (task.pools.training, task.pools.tuning, task.pools.queries)
    labels = [example.label for pool in pools for example in pool]
    training, tuning, queries = (_token_counts(task, tokenizer, pool[:COUNTED]) for pool in pools)
    counts = np.concatenate([training, tuning, queries])
    fitting = None
    if context_window is not None:
        longest = _longest_query(task, tokenizer, task.pools.queries[:COUNTED], queries)
        per_demonstration = training + len(separator_ids(tokenizer, separator))
        fitting = _fitting(per_demonstration, context_window - 1 - longest)  # 1: BOS
    return Statistics(
        training=len(task.pools.training),
        tuning=len(task.pools.tuning),
        queries=len(task.pools.queries),
        class_shares=tuple((np.bincount(labels, minlength=len(task.label_words)) / len(labels)).tolist()),
        tokens=TokenCounts(
            examples=len(counts),
            mean=float(counts.mean()),
            median=float(np.median(counts)),
            percentile_95=float(np.percentile(counts, 95)),
            max=int(counts.max()),
        ),
        fitting=fitting,
    )


def _token_counts(task: Task, tokenizer: Tokenizer, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
    texts = [task.text(example) + task.answer(example.label) for example in examples]
    return np.array([len(tokens) for tokens in encode(tokenizer, texts)], dtype=np.int64)


def _longest_query(
    task: Task, tokenizer: Tokenizer, queries: Sequence[Example], counts: Int[np.ndarray, " queries"]
) -> int:
    """Tokens of the longest query without its answer, and of the longest answer."""
    answers = [task.answer(label) for label in range(len(task.label_words))]
    encoded = encode_with_answers(tokenizer, [task.text(queries[0])], answers)
    sizes = np.array([len(answer) for answer in encoded.answers])
    return int((counts - sizes[[query.label for query in queries]]).max() + sizes.max())


def _fitting(per_demonstration: Int[np.ndarray, " pool"], room: int) -> Fitting:
    fitting = []
    for seed in range(DRAWS):
        order = generator(Stream.DEMONSTRATIONS, seed).permutation(len(per_demonstration))
        fitting.append(int(np.searchsorted(per_demonstration[order].cumsum(), room, side="right")))
    return Fitting(min(fitting), float(np.median(fitting)))
