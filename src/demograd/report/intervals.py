"""What a figure's caption says of the intervals that it draws: whether they hold beyond these demonstrations."""

from collections.abc import Iterable

import pandas as pd

from demograd.report.cell import Cell


def said_of_cells(drawn: str, cells: Iterable[Cell]) -> str:
    """`Upright lines: 95 % intervals over demonstration sets.`; of the cells that are drawn."""
    return _said(drawn, {cell.conditional for cell in cells if cell.bounds})


def said_of_points(drawn: str, points: pd.DataFrame) -> str:
    """The same of `points`, with columns low and conditional."""
    return _said(drawn, set(points.loc[points["low"].notna(), "conditional"]))


def _said(drawn: str, conditional: set[bool]) -> str:
    """`conditional`: of each interval, whether it holds for these demonstrations only; empty: none is drawn."""
    if not conditional:
        return ""
    if conditional == {True}:
        return f"{drawn}: 95 % intervals, conditional on these demonstrations."
    among = "; some are conditional on these demonstrations" if True in conditional else ""
    return f"{drawn}: 95 % intervals over demonstration sets{among}."
