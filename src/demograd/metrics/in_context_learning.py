"""The first check before any score counts: is there in-context learning at all?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from demograd.metrics.comparable import require_same_queries
from demograd.metrics.decision import SEEDS_TO_DECIDE
from demograd.metrics.interval import Interval, Over
from demograd.metrics.performance import (
    auc,
    credit,
    label_log_likelihood,
    normalised_label_log_likelihood,
    resampled_auc,
)
from demograd.metrics.statistics import conditional_interval, interval_over_demonstrations, statistic_interval
from demograd.observe.observation import Observation

FAMILY_ERROR = 0.05
"""Chance that any of the three improvements is called one (or a loss) where there is none."""


@dataclass(frozen=True)
class Improvement:
    """ICL minus ZSL in one measure of performance, paired by query, averaged over seeds."""

    measure: str
    difference: float
    """NaN (missing) where the measure is undefined."""
    interval: Interval | None

    @property
    def shown(self) -> bool:
        """Whether the interval lies above zero."""
        return self.interval is not None and self.interval.low > 0

    def __str__(self) -> str:
        bounds = f"[{self.interval.low:+.3f}, {self.interval.high:+.3f}]" if self.interval else "[no interval]"
        return f"{self.measure} {self.difference:+.3f} {bounds}"


@dataclass(frozen=True)
class InContextLearningCheck:
    """Check 1: does ICL improve accuracy, AUC or label likelihood over ZSL?"""

    passed: bool
    message: str
    improvements: tuple[Improvement, ...]
    caveat: str | None = None
    """What a check that passed leaves open, as a clause."""


def check_in_context_learning(
    zsl: Sequence[Observation], icl: Sequence[Observation], *, resamples: int = 2000, seed: int = 0
) -> InContextLearningCheck:
    """Passed if at least one of accuracy, AUC and label log-likelihood improves, its interval above zero.

    One ZSL and one ICL observation per demonstration seed (repeat ZSL's where the seeds share it). Each of the three
    intervals has level 1 − 0.05 / 3, so that looking at three does not make chance three times as likely to pass. With
    five seeds or more they are over demonstrations; with fewer, where those could decide nothing, they are
    conditional on these demonstrations, and the message says so. Where the likelihood alone improves, what was learned
    may be the format, that one of the label words comes next: the message says that too, and how the likelihood
    among the label words changed.

    **Raises:** ValueError for observations that do not match, or a different number of them.
    """
    for z, i in zip(zsl, icl, strict=True):
        require_same_queries(ZSL=z, ICL=i)
    over: Over = "demonstrations" if len(icl) >= SEEDS_TO_DECIDE else "queries"
    interval_of_mean = interval_over_demonstrations if over == "demonstrations" else conditional_interval
    level = 1 - FAMILY_ERROR / 3

    def share(measure: str, difference: float, interval: Interval | None) -> Improvement:
        """Of what lies between 0 and 1, so that no difference is past ±1."""
        if interval is not None:
            interval = replace(interval, low=max(interval.low, -1.0), high=min(interval.high, 1.0))
        return Improvement(measure, difference, interval)

    def improvement(measure: str, gain: Float[Tensor, "seeds queries"]) -> Improvement:
        return Improvement(
            measure, gain.mean().item(), interval_of_mean(gain, level=level, resamples=resamples, seed=seed)
        )

    def auc_gain(s: int, queries: Int[np.ndarray, "resamples chosen"]) -> Float[np.ndarray, " resamples"]:
        return resampled_auc(icl[s], queries) - resampled_auc(zsl[s], queries)

    pairs = list(zip(zsl, icl, strict=True))

    def likelihood_gain(
        likelihood: Callable[[Observation], Float[Tensor, " queries"]],
    ) -> Float[Tensor, "seeds queries"]:
        return torch.stack([likelihood(i).double() - likelihood(z).double() for z, i in pairs])

    accuracy = improvement("accuracy", torch.stack([credit(i).double() - credit(z).double() for z, i in pairs]))
    improvements = (
        share("accuracy", accuracy.difference, accuracy.interval),
        share(
            "AUC",
            float(np.mean([auc(i) - auc(z) for z, i in pairs])),
            statistic_interval(
                auc_gain, len(pairs), len(zsl[0].gold), over=over, level=level, resamples=resamples, seed=seed
            ),
        ),
        improvement("label log-likelihood", likelihood_gain(label_log_likelihood)),
    )
    among_words = improvement("among the label words", likelihood_gain(normalised_label_log_likelihood))
    passed = any(each.shown for each in improvements)
    finding = "in-context learning improves on zero-shot" if passed else "no in-context learning here"
    caveat = None
    if [each.shown for each in improvements] == [False, False, True] and not among_words.shown:
        caveat = "only the label words became likelier: what was learned may be the format only"
        finding += f", but {caveat}"
    label = next((each.interval.label for each in improvements if each.interval), "no interval")
    message = f"{finding}: {', '.join(map(str, (*improvements, among_words)))} ({label})"
    return InContextLearningCheck(passed, message, improvements, caveat)
