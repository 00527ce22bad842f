"""Grids of outcomes: a row and a column meet in a mark that says passed, failed or undecided, by shape and colour."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from demograd.report.charts.drawing import COLOURS, as_chart
from demograd.report.section import Chart

CELL, LABELS = 86, 200
"""Pixels of a column, and at most of the rows' labels."""
_ROW, _LINE, _LETTERS = 26, 14, 14
_SYMBOLS = {
    "passed": ("✓", COLOURS[2]),
    "failed": ("✗", COLOURS[1]),
    "undecided": ("?", COLOURS[7]),
}
"""Outcome → its mark and colour."""


def outcome_grid(data: pd.DataFrame, title: str, columns: Sequence[str]) -> Chart:
    """A chart of `data`, with columns row, column and outcome (`passed`, `failed`, `undecided`, or several as `2 failed
    of 3`); a pair that is absent is an empty cell. `columns`: in their order.
    """
    rows = list(dict.fromkeys(data["row"]))
    kinds = data["outcome"].map(lambda outcome: next(kind for kind in _SYMBOLS if kind in outcome))
    counts = data["outcome"].where(data["outcome"] != kinds, "")
    counts = counts.str.replace("failed|undecided|passed", "", regex=True).str.replace("  ", " ")
    texts = kinds.map(lambda kind: _SYMBOLS[kind][0]) + (" " + counts).where(counts != "", "")
    cells = data.assign(kind=kinds, text=texts)
    wrapped = [_wrapped(column) for column in columns]
    n_lines = max(text.count("|") for text in wrapped) + 1
    wrapped = ["|" * (n_lines - 1 - text.count("|")) + text for text in wrapped]  # all end above the first row
    above = alt.Axis(
        orient="top",
        labelAngle=0,
        labelPadding=_LINE * (n_lines - 1) + 6,
        labelExpr="split(datum.label, '|')",
        labelLineHeight=_LINE,
        grid=False,
        ticks=False,
    )
    base = alt.Chart(cells.assign(column=cells["column"].map(dict(zip(columns, wrapped, strict=True))))).encode(
        x=alt.X("column:N", title=None, sort=wrapped, scale=alt.Scale(domain=wrapped), axis=above),
        y=alt.Y("row:N", title=None, sort=rows, axis=alt.Axis(labelLimit=LABELS, grid=False, ticks=False)),
    )
    grounds = base.mark_rect(color="#e9ecef", opacity=0.6, stroke="#ffffff", strokeWidth=2)
    marks = base.mark_text(fontSize=14, fontWeight="bold").encode(
        text="text:N",
        color=alt.Color(
            "kind:N",
            scale=alt.Scale(domain=list(_SYMBOLS), range=[colour for _, colour in _SYMBOLS.values()]),
            legend=None,
        ),
    )
    chart = alt.layer(grounds, marks, width=CELL * len(columns), height=_ROW * len(rows))
    spoken = "; ".join(f"{row['row']}, {row['column']}: {row['outcome']}" for row in data.to_dict("records"))
    return as_chart(chart, title, spoken)


def _wrapped(text: str) -> str:
    """Its lines, separated by `|`."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) >= _LETTERS:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "|".join(lines)
