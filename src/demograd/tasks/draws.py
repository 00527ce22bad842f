"""Seeded draws of examples, their orders, and their controls. Every draw is a function of recorded whole numbers."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import IntEnum
from itertools import islice
from math import factorial
from typing import NamedTuple

import numpy as np

from demograd.errors import UserError, quoted, shortened_list
from demograd.tasks.pools import TextKey, text_key
from demograd.tasks.prompts import MOST_ORDERS
from demograd.tasks.template import Example


class Stream(IntEnum):
    """What a draw is for: the same seed gives independent draws in each stream."""

    DEMONSTRATIONS = 0
    QUERIES = 1
    TUNING = 2
    ORDER = 3
    BALANCE = 4
    LABELS = 5
    LETTERS = 6
    RANDOM_LABELS = 7


def generator(stream: Stream, *seeds: int) -> np.random.Generator:
    """The random numbers of one stream. Raises UserError for a negative seed."""
    for seed in seeds:
        if seed < 0:
            raise UserError(f"Seed {quoted(seed)}", "a whole number from 0", "Choose another seed")
    return np.random.default_rng([int(stream), *seeds])


def draw(pool: Sequence[Example], n: int, seed: int, stream: Stream) -> list[Example]:
    """`n` examples, uniform without replacement; a smaller draw with the same seed is the start of a larger one.

    Raises UserError when n is under 1 or more than there are.
    """
    _refuse_count(n, len(pool), stream)
    return [pool[i] for i in generator(stream, seed).permutation(len(pool))[:n]]


def draw_demonstrations(
    pool: Sequence[Example], k: int, seed: int, n_classes: int, *, balanced: bool = False
) -> list[Example]:
    """`k` demonstrations. `balanced` gives every class k / n_classes, and one more to seeded classes where that is not
    whole.

    Raises UserError when the pool (or a class of it) has not enough.
    """
    return draw_demonstration_sets(pool, k, [seed], n_classes, balanced=balanced)[0]


def draw_demonstration_sets(
    pool: Sequence[Example], k: int, seeds: Sequence[int], n_classes: int, *, balanced: bool
) -> list[list[Example]]:
    """A set of `k` demonstrations per seed, no text of which is in an earlier set.

    Each set is read from its seed's own random order of the pool. `balanced` gives all sets the class counts that the
    first seed draws: where k / n_classes is not whole, the same classes have one more in every set.

    Raises UserError when a seed comes twice, and when the pool (or a class of it) has not enough.
    """
    _refuse_count(k, len(pool), Stream.DEMONSTRATIONS)
    if len(set(seeds)) < len(seeds):
        raise UserError(
            f"Seeds {shortened_list(seeds)} of demonstration sets", "each seed once", "Remove what is repeated"
        )
    quota = _quota(k, seeds[0], n_classes) if balanced and seeds else None
    used: set[TextKey] = set()
    sets: list[list[Example]] = []
    for seed in seeds:
        order = (pool[i] for i in generator(Stream.DEMONSTRATIONS, seed).permutation(len(pool)))
        demonstrations = _take((example for example in order if text_key(example) not in used), k, quota)
        if len(demonstrations) < k:
            raise _too_few(demonstrations, k, quota, len(sets), len(seeds))
        used.update(map(text_key, demonstrations))
        sets.append(demonstrations)
    return sets


def _take(order: Iterable[Example], k: int, quota: Counter[int] | None) -> list[Example]:
    """The first `k`, or those that fill the quota of each class; fewer where `order` ends before."""
    if quota is None:
        return list(islice(order, k))
    left = quota.copy()
    chosen: list[Example] = []
    for example in order:
        if left[example.label] > 0:
            left[example.label] -= 1
            chosen.append(example)
            if len(chosen) == k:
                break
    return chosen


def _too_few(
    demonstrations: Sequence[Example], k: int, quota: Counter[int] | None, sets: int, all_sets: int
) -> UserError:
    """The error for a draw that ended with these `demonstrations`, after so many complete sets."""
    counts = Counter(example.label for example in demonstrations)
    short = ", ".join(f"{counts[c]} of {n} in class {c}" for c, n in sorted((quota or {}).items()) if counts[c] < n)
    if not sets:
        return UserError(
            f"A balanced draw of {quoted(k)} demonstrations finds only {short}",
            "enough examples of every class",
            "Lower k, or draw without balancing",
        )
    left = short or f"{len(demonstrations)} of {k}"
    return UserError(
        f"{all_sets} sets of {quoted(k)} demonstrations that share no text",
        f"at most {sets} such set{'s' * (sets != 1)}, which this task has: the next finds only {left}",
        "Lower the number of sets or k, or give more data" + (", or draw without balancing" if quota else ""),
    )


def _quota(k: int, seed: int, n_classes: int) -> Counter[int]:
    extra = generator(Stream.BALANCE, seed).permutation(n_classes)[: k % n_classes]
    return Counter({label: k // n_classes + int(label in extra) for label in range(n_classes)})


def reorder(examples: Sequence[Example], seed: int, permutation: int) -> list[Example]:
    """The same examples in order number `permutation`: 0 leaves them, and no two numbers give the same order.

    Raises UserError when there are not so many orders, or the number is not below `MOST_ORDERS`.
    """
    if permutation >= MOST_ORDERS:
        raise UserError(
            f"Order number {quoted(permutation)}", f"a number below {MOST_ORDERS:,}", "Ask for fewer orders"
        )
    if not 0 <= permutation < factorial(len(examples)):
        raise UserError(
            f"Order number {quoted(permutation)} of {len(examples)} demonstrations",
            f"a number from 0 to {len(examples)}! - 1: there are no more orders",
            "Ask for fewer orders, or for more demonstrations",
        )
    rng = generator(Stream.ORDER, seed)
    orders = dict.fromkeys([tuple(range(len(examples)))])
    while len(orders) <= permutation:
        orders[tuple(rng.permutation(len(examples)).tolist())] = None
    return [examples[i] for i in list(orders)[permutation]]


def permute_labels(demonstrations: Sequence[Example], n_classes: int, seed: int) -> list[Example]:
    """The same texts in the same order, every label wrong, and of each class as many as before wherever that can be.

    It can unless one class has more than half of the demonstrations: of n demonstrations, m of that class, no more than
    the n − m others can take its label. All of these then do, which is as close to m as wrong labels come, and what it
    loses goes to the other classes evenly. With two classes the labels are flipped. Otherwise the labels are moved on
    from class to class, the classes in a seeded order: a class of which others have as many is renamed as a whole.

    Which text has which label does not depend on the order of the demonstrations, unless two texts are the same.

    Raises UserError for fewer than two classes.
    """
    if n_classes < 2:
        raise UserError(f"{n_classes} classes", "at least two, so that a label can be wrong", "Use another task")
    rng = generator(Stream.LABELS, seed)
    ranks = rng.permutation(n_classes)
    by_text = sorted(range(len(demonstrations)), key=lambda i: sorted(demonstrations[i].fields.items()))
    shuffled = [by_text[i] for i in rng.permutation(len(by_text))]
    places = sorted(shuffled, key=lambda i: ranks[demonstrations[i].label])  # class by class
    labels = [demonstrations[i].label for i in places]
    ((most, m),) = Counter(labels).most_common(1)
    if can_keep_class_counts(labels):
        wrong = labels[m:] + labels[:m]  # no class is longer than m, so each place gets the label of another
    else:
        others = [label for label in labels if label != most]
        rest = [int(label) for label in np.argsort(ranks) if label != most]
        spare = iter([*others, *(rest[i % len(rest)] for i in range(m - len(others)))])
        wrong = [most if label != most else next(spare) for label in labels]
    relabelled = dict(zip(places, wrong, strict=True))
    return [replace(example, label=relabelled[i]) for i, example in enumerate(demonstrations)]


def draw_labels(demonstrations: Sequence[Example], n_classes: int, seed: int, set_seed: int) -> list[Example]:
    """The same texts in the same order, each with a label drawn uniformly from all classes (Min 2022's random labels).

    By chance 1 / n_classes of the labels are right. The draw is a function of both seeds, of the labels and of the
    demonstration set: each set has labels of its own.
    """
    labels = generator(Stream.RANDOM_LABELS, seed, set_seed).integers(n_classes, size=len(demonstrations)).tolist()
    return [replace(example, label=label) for example, label in zip(demonstrations, labels, strict=True)]


def can_keep_class_counts(labels: Sequence[int]) -> bool:
    """Whether `permute_labels` leaves as many of each class: none has more than half."""
    return 2 * max(Counter(labels).values()) <= len(labels)


_NOUNS = {
    Stream.DEMONSTRATIONS: ("demonstrations", "k"),
    Stream.QUERIES: ("queries", "queries"),
    Stream.TUNING: ("tuning queries", "queries"),
}
"""What is drawn from a pool, and the option that says how many."""


def _refuse_count(n: int, available: int, stream: Stream) -> None:
    noun, option = _NOUNS[stream]
    if n < 1:
        raise UserError(f"{quoted(n)} {noun} were asked for ({option})", "at least 1", "Ask for more")
    if n > available:
        raise UserError(
            f"{quoted(n)} {noun} were asked for ({option})",
            f"at most {available}, which this task has: of data without a validation split, at most a third is held "
            "out for queries and a tenth for tuning; the rest may be demonstrations",
            f"Lower {option}, or give more data",
        )


PERMUTATIONS = 5
"""How many orders a released run drew; it used one of them."""


class ReleasedOrders(NamedTuple):
    """The same demonstrations in the order in which ICL showed them, and in that in which FT trained on them."""

    icl: list[Example]
    ft: list[Example]


def released_orders(demonstrations: Sequence[Example], seed: int, permutation: int) -> ReleasedOrders:
    """The orders of a released run with this seed and permutation: equal for permutation 0, different ones otherwise.

    A run seeded NumPy once, and drew five orders when it made the prompts. The run that trained made the prompts too,
    and then drew five more for training. So permutation p was the p-th of one five in ICL, and of another five in FT.

    **Raises:** UserError if `permutation` is not one of the five.
    """
    if not 0 <= permutation < PERMUTATIONS:
        expected = f"0 to {PERMUTATIONS - 1}, which the released runs drew"
        raise UserError(f"Permutation {permutation} as released", expected, "Choose one of these")
    if permutation == 0:  # as drawn
        return ReleasedOrders(list(demonstrations), list(demonstrations))
    rng = np.random.RandomState(seed)  # the legacy generator: its numbers are those of the released runs
    orders = [rng.permutation(len(demonstrations)) for _ in range(2 * PERMUTATIONS)]
    icl, ft = orders[permutation], orders[PERMUTATIONS + permutation]
    return ReleasedOrders([demonstrations[i] for i in icl], [demonstrations[i] for i in ft])
