"""Comparisons of the leading claim by hand, and what is found of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isnan, nan
from typing import Any

from demograd.statistics import Interval, PairedTest
from demograd.study import make_study
from demograd.study.language_model.comparison import ClaimComparison
from demograd.study.language_model.findings import LEADING, findings_of
from demograd.study.language_model.objections import ABSURD, BELOW_RESOLUTION, NO_LEARNING
from demograd.study.verdicts import Finding, decide_claims
from demograd.words import Control

CONTROLS = (Control.OTHER_DEMONSTRATIONS, Control.PERMUTED_LABELS)
Checks = Sequence[Mapping[str, Any]]


def comparison(
    control: Control,
    difference: float = 0.1,
    *,
    half: float = 0.02,
    n_seeds: int = 8,
    model: str = "smollm2-135m",
    method: str = "GD",
    task: str = "mr",
    weights: str = "trained",
    objection: str = "",
) -> ClaimComparison:
    """FT minus FT on a control in SimAOU: this difference ± half, or none of what has an objection and no number."""
    same = {"metric": "sim_aou", "setting": "FT", "method": method, "model": model, "weights": weights}
    low, high = difference - half, difference + half
    interval = None
    if not isnan(difference) and n_seeds > 1:
        interval = Interval(low, high, 0.95, "demonstrations", n_seeds)
    reason = "" if interval else "one demonstration seed has a value, and a test takes two"
    p_value = nan if interval is None else 0.0001 if low > 0 or high < 0 else 0.5
    test = PairedTest(difference, interval, p_value, nan, n_seeds, 50, reason)
    sides = same, same | {"setting": control.setting.value}
    n = 0 if isnan(difference) else 100
    return ClaimComparison(
        LEADING, task, 16, sides, "SimAOU", "", nan, nan, test, n, 0, False, objection, (f"{method} 0.001",)
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
            for control in CONTROLS:
                about = {"method": method, "task": task, "model": fake.model}
                if method == fake.diverged:
                    why = f"{method} diverged at step 12 ({fake.seeds} of {fake.seeds} demonstration sets)"
                    yield comparison(control, nan, **about, objection=why, n_seeds=0)
                    continue
                n_seeds = 1 if fake.conditional else fake.seeds
                why = objection(checks, method, task)
                yield comparison(control, fake.specificity, **about, n_seeds=n_seeds, objection=why)


def findings(
    comparisons: Iterable[ClaimComparison], checks: Checks, untrained: Sequence[ClaimComparison] = (), **settings: Any
) -> list[Finding]:
    """What a run with these comparisons says."""
    study = make_study({"model": "smollm2-135m", "tasks": ["mr"], **settings})
    shown = list(comparisons)
    decisions = decide_claims([pair.statement for pair in shown])
    return findings_of(study, zip(shown, decisions, strict=True), untrained, checks)
