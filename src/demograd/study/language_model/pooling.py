"""Matching pooled over tasks: the sum of their specificities, each matrix permuted within itself."""

from collections.abc import Sequence
from dataclasses import replace

from demograd.statistics import MatchingTest, pool
from demograd.study.language_model.comparison import ClaimComparison
from demograd.study.language_model.objections import NO_LEARNING
from demograd.words import listed


def pooled_over_tasks(comparisons: Sequence[ClaimComparison], margin: float) -> list[ClaimComparison]:
    """A comparison over all tasks for each that was made on several by matching. Tasks on which nothing was learned are
    no part of it: there is no learning to compare. Nor are those with too few label words for the metric. Where a task
    has no matrix for another reason, nothing is pooled: the mean of the others would be that of a luckier choice. Of
    several initialisations, which share their sets, the first stands."""
    families: dict[tuple[object, ...], dict[str, ClaimComparison]] = {}
    for comparison in comparisons:
        is_comparable = comparison.objection not in NO_LEARNING.values() and not comparison.has_few_label_words
        if comparison.is_of_matching and is_comparable:
            sides = tuple(tuple(sorted(side.items())) for side in comparison.sides if isinstance(side, dict))
            about = (comparison.claim, comparison.labels, comparison.k, sides)
            families.setdefault(about, {}).setdefault(comparison.task, comparison)
    by_task = [list(family.values()) for family in families.values()]
    return [
        _pooled(family, margin)
        for family in by_task
        if len(family) > 1 and not any(comparison.objection for comparison in family)
    ]


def _pooled(family: Sequence[ClaimComparison], margin: float) -> ClaimComparison:
    first = family[0]
    tests = [comparison.test for comparison in family if isinstance(comparison.test, MatchingTest)]
    test = pool(tests, margin=margin)
    ceilings = [comparison.ceiling for comparison in family if comparison.ceiling is not None]
    return replace(
        first,
        task=listed(comparison.task for comparison in family),
        place="" if len({comparison.place for comparison in family}) > 1 else first.place,
        one_rate_each=any(comparison.one_rate_each for comparison in family),
        left=test.matched,
        right=test.mismatched,
        test=test,
        n=sum(comparison.n for comparison in family),
        n_missing=sum(comparison.n_missing for comparison in family),
        ceiling=pool(ceilings, margin=margin) if len(ceilings) == len(family) else None,
        cell_labels=tuple(dict.fromkeys(label for comparison in family for label in comparison.cell_labels)),
    )
