"""Captions say what intervals are over; layers in words."""

from collections.abc import Iterable

import pandas as pd

from demograd.statistics.number import Number


def interval_note(mark: str, numbers: Iterable[Number]) -> str:
    """The sentence of a caption on intervals, `Upright lines: 95 % intervals over demonstration sets.`

    `mark` is the part of the chart that shows them. Empty if no number has an interval.
    """
    return _interval_note(mark, {number.conditional for number in numbers if number.bounds})


def interval_note_of_points(mark: str, points: pd.DataFrame) -> str:
    """The sentence of `interval_note` for a table of points, with columns low and conditional."""
    return _interval_note(mark, set(points.loc[points["low"].notna(), "conditional"]))


def _interval_note(mark: str, conditional: set[bool]) -> str:
    """`conditional` says of each interval whether it holds for these demonstrations only."""
    if not conditional:
        return ""
    if conditional == {True}:
        return f"{mark}: 95 % intervals, conditional on these demonstrations."
    among = "; some are conditional on these demonstrations" if True in conditional else ""
    return f"{mark}: 95 % intervals over demonstration sets{among}."


def ranges(layers: Iterable[int]) -> str:
    """Layers in words: `0–3, 7`."""
    runs: list[list[int]] = []
    for layer in sorted(layers):
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)
