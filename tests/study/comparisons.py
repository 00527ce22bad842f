"""Comparisons of the leading claim by hand, and what is found of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isnan, nan
from typing import Any

import torch

from demograd.statistics import Interval, MatchingTest
from demograd.statistics.pairs import pair_scores
from demograd.study.language_model.comparison import ClaimComparison
from demograd.study.language_model.findings import LEADING, findings_of
from demograd.study.language_model.objections import ABSURD, BELOW_RESOLUTION, NO_LEARNING
from demograd.study.verdicts import Finding, decide_claims
from demograd.words import Labels

Checks = Sequence[Mapping[str, Any]]
MISMATCHED = 0.3


def comparison(
    specificity: float = 0.1,
    *,
    half: float = 0.02,
    n_sets: int = 8,
    model: str = "smollm2-135m",
    method: str = "GD",
    task: str = "mr",
    labels: Labels = Labels.GOLD,
    weights: str = "trained",
    objection: str = "",
    has_few_label_words: bool = False,
) -> ClaimComparison:
    """Matching by SimAOU: this specificity ± half, above a mismatched score of 0.3; NaN: FT has no scores."""
    side = {"metric": "sim_aou", "setting": "FT", "method": method, "model": model, "weights": weights}
    test = matching_test(specificity, half, n_sets) if not isnan(specificity) else MatchingTest((), 0.1, objection)
    n = sum(pairs.n_sets**2 * pairs.n_queries for pairs in test.pairs)
    sides, of_cell = (side, side | {"setting": "FT_other_sets"}), (f"{method} 0.001",)
    about = (LEADING, task, labels, 16, sides, "SimAOU", "")
    numbers = (test.matched, test.mismatched, test, n, 0)
    return ClaimComparison(*about, *numbers, False, objection, of_cell, has_few_label_words=has_few_label_words)


def matching_test(specificity: float, half: float, n_sets: int) -> MatchingTest:
    """A test of fifty queries whose numbers are these: the pairing matters where the interval leaves out zero, and the
    share is shown to be small where its interval lies within the margin of 10 %."""
    low, high = specificity - half, specificity + half
    matched, matters = MISMATCHED + specificity, low > 0 or high < 0
    share_low, share_high = sorted((low / matched, high / matched))
    p_value, p_opposite = (1e-5 if matters else 0.4), (1.0 if matters else 0.7)
    if specificity < 0:
        p_value, p_opposite = p_opposite, p_value
    has_interval, intervals = n_sets > 2, ((low, high), (share_low, share_high))
    interval, share_interval = (Interval(*bounds, 0.95, "demonstrations", n_sets) for bounds in intervals)
    return MatchingTest(
        (pair_scores(torch.full((n_sets, n_sets, 50, 1), matched)),),
        0.1,
        matched=matched,
        mismatched=MISMATCHED,
        specificity=specificity,
        share=specificity / matched,
        p_value=p_value,
        p_opposite=p_opposite,
        trait_p_value=p_value,
        trait_p_opposite=p_opposite,
        interval=interval if has_interval else None,
        share_interval=share_interval if has_interval else None,
        p_equal=nan if not has_interval else 1e-5 if max(-share_low, share_high) < 0.1 else 0.9,
        identified=1.0 if low > 0 else 1 / n_sets,
    )


def objection(checks: Checks, method: str, task: str, weights: str = "trained") -> str:
    """What the gates of a run object to a comparison, as a run does."""
    rows = [row for row in checks if (row["weights"], row["task"]) == (weights, task) and not row["passed"]]
    for row in rows:
        if row["check"] == "in_context_learning":
            return NO_LEARNING[row["check"], row["undecided"]]
    for row in (row for row in rows if (row["method"] or "").split()[:1] == [method]):
        if row["check"] == "fine_tuning":
            return NO_LEARNING[row["check"], row["undecided"]]
        if row["check"] == "update_size":
            return ABSURD
        if row["check"] == "resolution":
            return f"most updates of {method} {BELOW_RESOLUTION}"
    return ""


def comparisons_of(fake: Any, checks: Checks) -> Iterator[ClaimComparison]:
    """The comparisons of a run folder made by hand (tests/report/conftest.py)."""
    for task in fake.tasks:
        for method in fake.methods:
            about = {"method": method, "task": task, "model": fake.model}
            if method == fake.diverged:
                why = f"{method} diverged at step 12 ({fake.seeds} of {fake.seeds} demonstration sets)"
                yield comparison(nan, **about, objection=why)
                continue
            n_sets = 2 if fake.conditional else fake.seeds
            yield comparison(fake.specificity, **about, n_sets=n_sets, objection=objection(checks, method, task))


def findings(
    comparisons: Iterable[ClaimComparison], checks: Checks, untrained: Sequence[ClaimComparison] = ()
) -> list[Finding]:
    """What a run with these comparisons says."""
    shown = list(comparisons)
    decisions = decide_claims([pair.statement for pair in shown])
    return findings_of(zip(shown, decisions, strict=True), untrained, [{"labels": "gold", **row} for row in checks])
