"""Which losses one logarithmic chart can show."""

import pandas as pd

WITHIN = 1e6
"""Losses that are so many times larger or smaller than the median of their chart would press all others flat: those are
of networks that explode, these zero but for rounding."""


def reach(losses: pd.Series) -> tuple[float, float]:
    """The smallest and the largest loss that a chart of these can show."""
    median = float(losses.median())
    return median / WITHIN, median * WITHIN
