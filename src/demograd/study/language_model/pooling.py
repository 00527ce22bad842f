"""Matching pooled over tasks: the sum of their specificities, each matrix permuted within itself."""

from collections.abc import Sequence
from dataclasses import replace

from demograd.statistics import MatchingTest, pool
from demograd.study.language_model.comparison import ClaimComparison


def pooled_over_tasks(comparisons: Sequence[ClaimComparison], margin: float) -> list[ClaimComparison]:
    """A comparison over all tasks for each that was made on several, by matching and without an objection. Tasks on
    which nothing was learned are no part of it: there is no learning to compare."""
    families: dict[tuple[object, ...], list[ClaimComparison]] = {}
    for comparison in comparisons:
        if isinstance(comparison.test, MatchingTest) and not comparison.objection:
            sides = tuple(tuple(sorted(side.items())) for side in comparison.sides if isinstance(side, dict))
            about = (comparison.claim, comparison.labels, comparison.k, sides)
            families.setdefault(about, []).append(comparison)
    return [_pooled(family, margin) for family in families.values() if len(family) > 1]


def _pooled(family: Sequence[ClaimComparison], margin: float) -> ClaimComparison:
    first = family[0]
    tests = [comparison.test for comparison in family if isinstance(comparison.test, MatchingTest)]
    test = pool(tests, margin=margin)
    return replace(
        first,
        task=f"{len(family)} tasks",
        left=test.matched,
        right=test.mismatched,
        test=test,
        n=sum(comparison.n for comparison in family),
        n_missing=sum(comparison.n_missing for comparison in family),
        cell_labels=tuple(dict.fromkeys(label for comparison in family for label in comparison.cell_labels)),
    )
