"""A linear system, state by state: a network's error beside that of least squares (von Oswald 2023b)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from demograd.metrics import Decision
from demograd.report.cell import Cell
from demograd.report.synthetic.decision import all_of, within
from demograd.report.synthetic.numbers import REFERENCE, Subject, cells_at, written

LEAST_SQUARES = "regularised least squares"
"""As the results name the reference."""
AS_GOOD = (0.9, 1.1)
"""Between which the ratio of a network's error to that of least squares must lie at each position."""


def ratios_by_position(rows: pd.DataFrame) -> dict[Subject, dict[float, Cell]]:
    """Network → states seen → its error over that of least squares in the same world."""
    references = {
        of.world: by_t
        for of, by_t in cells_at(rows, "loss_by_position", REFERENCE).items()
        if of.reference == LEAST_SQUARES
    }
    return {
        of: {t: divided(error, references[of.world][t]) for t, error in by_t.items() if t in references[of.world]}
        for of, by_t in cells_at(rows, "loss_by_position").items()
        if of.world in references
    }


def divided(error: Cell, by: Cell) -> Cell:
    """One error over another, which is taken as it is: its own interval does not enter.

    Both were tested on the same sequences, whose luck is in both errors: the interval is wider than it need be.
    """
    if error.value is None:
        return error
    if not by.value:
        return replace(by, value=None, status=by.status if by.value is None else "nothing to divide by")
    low, high = (None if bound is None else bound / by.value for bound in (error.low, error.high))
    return replace(error, value=error.value / by.value, std=None, low=low, high=high, places=3)


def as_good_everywhere(ratios: Sequence[Cell]) -> Decision:
    """Whether an error is within a tenth of another's at each of these positions."""
    return all_of(*(within(ratio, AS_GOOD, "the ratio of errors at some position") for ratio in ratios))


def extremes(ratios: Mapping[float, Cell]) -> str:
    """The largest ratio and where it is; the smallest too, where it is under the bound."""
    known = {t: ratio for t, ratio in ratios.items() if ratio.value is not None}
    if not known:
        return next(iter(ratios.values())).text
    in_order = sorted(known, key=lambda t: known[t].value or 0.0)
    smallest, largest = in_order[0], in_order[-1]
    text = f"the largest ratio is {written(known[largest])}, with {largest:g} states seen"
    if (known[smallest].value or 0.0) < AS_GOOD[0]:
        text += f"; the smallest is {written(known[smallest])}, with {smallest:g}"
    return text
