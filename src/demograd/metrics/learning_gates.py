"""The first checks before any score counts: was anything learned, in context or by FT?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from demograd.metrics.observations import require_same_queries
from demograd.metrics.predictions import (
    auc,
    calibrated_correct,
    credit,
    format_log_likelihood,
    normalised_label_log_likelihood,
    resampled_auc,
)
from demograd.observe.observation import Observation
from demograd.statistics.intervals import conditional_interval, interval_over_demonstrations, statistic_interval
from demograd.statistics.number import estimate
from demograd.statistics.verdict import SEEDS_TO_DECIDE, Interval, Over

MEASURES = ("AUC", "calibrated accuracy", "likelihood among the label words")
"""Any of these that improves opens a gate, and any that falls closes it. Plain accuracy does neither: a bias that
happens to suit the classes' shares raises it, and one that does not lowers it, with nothing learned or lost of a
query."""
ACCURACY = "accuracy"
"""Reported, and counts for nothing."""
FORMAT = "format"
"""The label words' likelihood among all words: reported, and counts for nothing."""
FAMILY_ERROR = 0.05
"""Chance that any of `MEASURES` is called better or worse where nothing changed."""


class Learning(StrEnum):
    """What a gate says."""

    LEARNED = "learned"
    NOTHING = "nothing learned"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Change:
    """ICL or FT minus ZSL in one measure of performance, paired by query, averaged over demonstration sets."""

    measure: str
    difference: float
    """NaN (missing) where the measure is undefined."""
    interval: Interval | None

    @property
    def is_better(self) -> bool:
        """Whether the interval lies above zero."""
        return self.interval is not None and self.interval.low > 0

    @property
    def is_worse(self) -> bool:
        """Whether the interval lies below zero."""
        return self.interval is not None and self.interval.high < 0

    def __str__(self) -> str:
        if self.difference != self.difference:
            return f"{self.measure} missing"
        bounds = (self.interval.low, self.interval.high) if self.interval else ()
        return f"{self.measure} {estimate(self.difference, *bounds).signed}{'' if bounds else ' [no interval]'}"


@dataclass(frozen=True)
class Gains:
    """What a setting has over zero-shot, on one demonstration set."""

    auc: float
    """NaN (missing) where the queries are all of one class."""
    calibrated_accuracy: float
    likelihood: float
    """Among the label words, of the gold one; mean over queries, in nats."""


def learned(zsl: Observation, other: Observation) -> Gains:
    """What ICL, or FT after any of its steps, has learned: its score minus zero-shot's in each of the gates' measures.

    For curves, and to compare methods where they have learned equally much; `check_learning` says whether the mean over
    demonstration sets is more than chance.

    Raises:
        ValueError: observations that do not match, or that are not finite.
    """
    require_same_queries(ZSL=zsl, other=other)

    def gain(score: Callable[[Observation], Float[Tensor, " queries"]]) -> float:
        return (score(other).double() - score(zsl).double()).mean().item()

    return Gains(auc(other) - auc(zsl), gain(calibrated_correct), gain(normalised_label_log_likelihood))


@dataclass(frozen=True)
class LearningCheck:
    """A gate: whether ICL, or FT, learned anything that zero-shot does not have."""

    outcome: Learning
    message: str
    changes: tuple[Change, ...]
    """One for each of `MEASURES`, in its order, then `ACCURACY` and `FORMAT`."""

    @property
    def passed(self) -> bool:
        """Whether the gate is open."""
        return self.outcome == Learning.LEARNED

    @property
    def better(self) -> list[str]:
        """Those of `MEASURES` that are shown to be above zero-shot's."""
        return [change.measure for change in self.changes[: len(MEASURES)] if change.is_better]


def check_in_context_learning(
    zsl: Sequence[Observation], icl: Sequence[Observation], *, resamples: int = 2000, seed: int = 0
) -> LearningCheck:
    """Is there in-context learning? One ZSL and one ICL observation per demonstration set; see `check_learning`."""
    return check_learning(zsl, icl, "in-context learning", resamples=resamples, seed=seed)


def check_fine_tuning(
    zsl: Sequence[Observation], ft: Sequence[Observation], *, resamples: int = 2000, seed: int = 0
) -> LearningCheck:
    """Did fine-tuning learn anything? One ZSL and one FT observation per demonstration set; see `check_learning`."""
    return check_learning(zsl, ft, "fine-tuning", resamples=resamples, seed=seed)


def check_learning(
    zsl: Sequence[Observation],
    other: Sequence[Observation],
    learner: Literal["in-context learning", "fine-tuning"],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> LearningCheck:
    """Open where AUC, calibrated accuracy or the likelihood among the label words is significantly above zero-shot's,
    and none of these significantly below.

    One ZSL and one other observation per demonstration set (repeat ZSL's where the sets share it). Significant: the
    interval leaves out zero. Each interval has level 1 − 0.05 / 3 (Bonferroni), so that looking at three measures does
    not make chance three times as likely to be taken for something. With five sets or more they are over
    demonstrations. With fewer nothing is decided; the intervals are then conditional on these demonstrations, and the
    message says what was seen on them. Nothing is decided either where no measure has an interval: with fewer than two
    queries.

    Raises:
        ValueError: observations that do not match, are not finite, or a different number of them.
    """
    pairs = list(zip(zsl, other, strict=True))
    for before, after in pairs:
        require_same_queries(ZSL=before, **{"ICL" if learner == "in-context learning" else "FT": after})
    over: Over = "demonstrations" if len(pairs) >= SEEDS_TO_DECIDE else "queries"
    interval_of_mean = interval_over_demonstrations if over == "demonstrations" else conditional_interval
    level = 1 - FAMILY_ERROR / len(MEASURES)

    def mean_change(
        measure: str, score: Callable[[Observation], Float[Tensor, " queries"]], *, is_share: bool
    ) -> Change:
        gain = torch.stack([score(after).double() - score(before).double() for before, after in pairs])
        interval = interval_of_mean(gain, level=level)
        return Change(measure, gain.mean().item(), _of_shares(interval) if is_share else interval)

    def auc_gain(s: int, queries: Int[np.ndarray, "resamples queries_of_resample"]) -> Float[np.ndarray, " resamples"]:
        before, after = pairs[s]
        return resampled_auc(after, queries) - resampled_auc(before, queries)

    auc_interval = statistic_interval(
        auc_gain, len(pairs), len(zsl[0].gold), over=over, level=level, resamples=resamples, seed=seed
    )
    changes = (
        Change("AUC", float(np.mean([auc(after) - auc(before) for before, after in pairs])), _of_shares(auc_interval)),
        mean_change("calibrated accuracy", calibrated_correct, is_share=True),
        mean_change("likelihood among the label words", normalised_label_log_likelihood, is_share=False),
        mean_change(ACCURACY, credit, is_share=True),
        mean_change(FORMAT, format_log_likelihood, is_share=False),
    )
    outcome, finding = _outcome(changes[: len(MEASURES)], learner, len(pairs))
    label = next((change.interval.label for change in changes if change.interval), "no interval")
    listed = ", ".join(str(change) for change in changes if change.difference == change.difference)
    return LearningCheck(outcome, f"{finding}: {listed} ({label})", changes)


def _outcome(changes: Sequence[Change], learner: str, n_sets: int) -> tuple[Learning, str]:
    """The gate, and its finding in words."""
    better = [change.measure for change in changes if change.is_better]
    worse = [change.measure for change in changes if change.is_worse]
    learned = bool(better) and not worse
    nothing = "no in-context learning here" if learner == "in-context learning" else "fine-tuning learned nothing here"
    if learned:
        finding = f"{learner} improves on zero-shot in {_and(better)}"
    else:
        finding = f"{nothing}, {'worse in ' + _and(worse) if worse else 'nothing is shown to improve'}"
        finding += f" (better in {_and(better)})" if better else ""
    if not any(change.interval for change in changes):
        return Learning.UNDECIDED, f"undecided whether there is {learner}: there is no interval"
    if n_sets < SEEDS_TO_DECIDE:
        sets = f"{n_sets} demonstration set{'s' * (n_sets != 1)}, and at least {SEEDS_TO_DECIDE} decide"
        return Learning.UNDECIDED, f"undecided with {sets}; on these demonstrations {finding}"
    return Learning.LEARNED if learned else Learning.NOTHING, finding


def _and(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _of_shares(interval: Interval | None) -> Interval | None:
    """The interval of a difference of shares, which lies within ±1."""
    return interval and replace(interval, low=max(interval.low, -1.0), high=min(interval.high, 1.0))
