"""Where an axis has ticks: at whole numbers that were measured, and few on a logarithm."""

from dataclasses import replace
from math import ceil, floor, log10

import pandas as pd

from demograd.report.lines import Axis

FEW = 12
"""Whole numbers that each have a tick."""


def with_ticks(axis: Axis, values: pd.Series) -> Axis:
    """The axis for these values."""
    known = values.dropna()
    if axis.scale == "log":
        return replace(axis, ticks=log_ticks(known[known > 0]))
    if axis.whole and known.nunique() <= FEW:
        return replace(axis, ticks=tuple(sorted(set(known))))
    return axis


def log_ticks(values: pd.Series) -> tuple[float, ...]:
    """Powers of ten; 1, 2 and 5 times those where there would be fewer than three; nothing for less than three of
    either, where ticks are better left to fall as they do."""
    if values.empty:
        return ()
    low, high = float(values.min()), float(values.max())
    powers = [10.0**power for power in range(floor(log10(low)), ceil(log10(high)) + 1)]
    for factors in ((1,), (1, 2, 5)):
        ticks = tuple(float(f"{factor * power:.3g}") for power in powers for factor in factors)
        inside = tuple(tick for tick in ticks if low <= tick <= high)
        if len(inside) >= 3:
            return inside
    return ()
