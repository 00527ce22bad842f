"""A linear system, state by state: a network's error beside that of least squares (von Oswald 2023b)."""

from collections.abc import Mapping, Sequence

import pandas as pd

from demograd.report.networks import Subject, by_subject_and_at, written
from demograd.report.numbers import Number
from demograd.report.synthetic.decision import all_of, within
from demograd.statistics import Decision

LEAST_SQUARES = "regularised least squares"
"""As the results name the reference."""
AS_GOOD = (0.9, 1.1)
"""Between which the ratio of a network's error to that of least squares must lie at each position."""


def ratios_by_position(rows: pd.DataFrame) -> dict[Subject, dict[float, Number]]:
    """Network → number of states seen → its error over that of least squares."""
    every = by_subject_and_at(rows, "loss_ratio_by_position")
    return {of: ratios for of, ratios in every.items() if of.reference == LEAST_SQUARES}


def as_good_everywhere(ratios: Sequence[Number]) -> Decision:
    """Whether an error is within a tenth of another's at each of these positions."""
    return all_of(*(within(ratio, AS_GOOD, "the ratio of errors at some position") for ratio in ratios))


def extremes(ratios: Mapping[float, Number]) -> str:
    """The largest ratio and where it is; the smallest too, where it is under the bound."""
    known = {t: ratio.value for t, ratio in ratios.items() if ratio.value is not None}
    if not known:
        return next(iter(ratios.values())).text
    largest, smallest = max(known, key=known.__getitem__), min(known, key=known.__getitem__)
    text = f"the largest ratio is {written(ratios[largest])}, with {largest:g} states seen"
    if known[smallest] < AS_GOOD[0]:
        text += f"; the smallest is {written(ratios[smallest])}, with {smallest:g}"
    return text
