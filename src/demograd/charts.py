"""The charts of a run's page for notebooks and papers: Altair charts, to be changed and saved.

```python
run = demograd.open_run("runs/quickstart")
chart = charts.matching(run, metric="sim_aou", weights="trained", width=200)
chart.save("matching.pdf")  # or .svg, .png, .html, .json
```

Every function draws what the section of the page of the same name draws. It takes a `Run`, the folder of one, or a
`ReportedRun`, and:

* `metric`: only the charts of this metric, by its name in `results.parquet`.
* `width`, `height`: pixels of each plot, in place of the page's.
* `about`: columns of `results.parquet` and a value, or a list of values, as `task="trec"`, `method=["GD", "LCGD"]` or
  `weights="trained"`; ICL and ZSL, which have no method, stay beside any.

A single plot is a plain chart (`.properties(width=…, title=…)`); several, and plots with a legend, are concatenated.

All raise UserError where there is no run, a value of `about` is not in it, or it has nothing of this kind to draw.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from demograd.errors import UserError, unknown_name
from demograd.files import run_folder
from demograd.metrics import METRICS
from demograd.report.run import ReportedRun, read_run
from demograd.report.section import Chart, Figure, Key, registered_sections
from demograd.report.sections.matching import AS_SCORED, BEYOND
from demograd.study.run import Run

__all__ = ["along_the_way", "claims", "depth", "heads", "layers", "matching", "performance", "rates", "section"]

AltairChart = alt.Chart | alt.LayerChart | alt.FacetChart | alt.ConcatChart | alt.VConcatChart
Source = Run | ReportedRun | str | Path
"""A run, or the folder of one."""
_COLUMNS = ("model", "weights", "initialisation", "task", "labels", "k", "method", "learning_rate")
"""What `about` can name."""
_SIDES = ("left_side", "right_side")
"""What a comparison of `claims.json` compares."""


def matching(run: Source, *, metric: str | None = None, centred: bool = True, **options: Any) -> AltairChart:
    """Heat maps of ICL on each demonstration set (rows) against FT on each (columns).

    `centred`: beyond the averages of rows and columns, so that the diagonal shows specificity alone; else as scored.
    """
    return section(run, "matching", metric=metric, titled=BEYOND if centred else AS_SCORED, **options)


def layers(run: Source, *, metric: str | None = None, **options: Any) -> AltairChart:
    """SimAOU and SimAM_Δ over the layers, a line per method, beside FT on the other demonstration sets."""
    return section(run, "layers", metric=metric, **options)


def depth(run: Source, *, metric: str | None = None, **options: Any) -> AltairChart:
    """Losses of small networks against their number of layers, beside algorithms of as many steps."""
    return section(run, "depth", metric=metric, **options)


def along_the_way(run: Source, *, metric: str | None = None, **options: Any) -> AltairChart:
    """What fine-tuning has learned after some of its steps, and how alike ICL it is by then."""
    return section(run, "along-the-way", metric=metric, **options)


def rates(run: Source, *, metric: str | None = None, **options: Any) -> AltairChart:
    """Scores, specificity and size of the update over the learning rate."""
    return section(run, "rates", metric=metric, **options)


def performance(run: Source, *, metric: str | None = None, **options: Any) -> AltairChart:
    """What the model predicts in each setting: accuracy and its like."""
    return section(run, "performance", metric=metric, **options)


def heads(run: Source, *, metric: str | None = None, **options: Any) -> AltairChart:
    """Scores of every head of every layer."""
    return section(run, "heads", metric=metric, **options)


def claims(run: Source, *, metric: str | None = None, **options: Any) -> AltairChart:
    """Differences with their intervals and verdicts, a line for each comparison of a claim."""
    return section(run, "claims", metric=metric, **options)


def section(
    run: Source,
    name: str,
    *,
    metric: str | None = None,
    width: int | None = None,
    height: int | None = None,
    titled: str = "",
    **about: Any,
) -> AltairChart:
    """All charts of one section of the page, also of one that `@section` registered in a notebook.

    Args:
        run: a run, or the folder of one.
        name: the section's place in the page's address: `matching` in `report.html#matching`.
        metric: only the charts of this metric.
        width: pixels of each plot; None: the page's.
        height: likewise.
        titled: only the figures whose title has these words.
        about: columns of the results, and the values to draw.

    Raises:
        UserError: see the module.
    """
    sections = {registered.name: registered for registered in registered_sections()}
    if name not in sections:
        raise unknown_name("section of the page", name, sections, "Draw one of these")
    if metric is not None and metric not in METRICS:
        raise unknown_name("metric", metric, METRICS, "`demograd list metrics` describes them")
    reported = _read(run)
    shown = sections[name].make(_only(reported, about))
    figures = [part for part in shown.parts if isinstance(part, Figure) and titled in part.title] if shown else []
    if metric is not None:
        of_metric = [_of_metric(figure, METRICS[metric].title) for figure in figures]
        figures = [figure for figure in of_metric if figure.charts]
    if not figures:
        chosen = " ".join(f"{column}={value!r}" for column, value in ({"metric": metric} | about).items() if value)
        raise UserError(
            f"{reported.path} has nothing to draw of “{sections[name].title}”{f' ({chosen})' if chosen else ''}",
            "a run that measured it",
            "Look at report.html for what this run measured, or name fewer columns",
        )
    return _joined(figures, width, height)


def _read(run: Source) -> ReportedRun:
    if isinstance(run, ReportedRun):
        return run
    return read_run(run.folder.path if isinstance(run, Run) else run_folder(run))


def _only(run: ReportedRun, about: Mapping[str, Any]) -> ReportedRun:
    """The run with no other rows, matrices and comparisons than those about this, or about no such thing."""
    for column, value in about.items():
        if column not in _COLUMNS:
            raise unknown_name("column", column, _COLUMNS, "Choose by these")
        values = list(value) if isinstance(value, list | tuple | set) else [value]
        measured = pd.concat([run.results[column], run.over_tasks[column]]).dropna().unique().tolist()
        if absent := [value for value in values if value not in measured]:
            raise unknown_name(column, str(absent[0]), map(str, measured), "This run has these")
        matching = None if run.matching is None else _rows_about(run.matching, column, values)
        results, over_tasks = (_rows_about(rows, column, values) for rows in (run.results, run.over_tasks))
        claims = _claims_about(run.claims, column, values)
        run = replace(run, results=results, over_tasks=over_tasks, matching=matching, claims=claims)
    return run


def _rows_about(table: pd.DataFrame, column: str, values: Sequence[Any]) -> pd.DataFrame:
    return table[table[column].isna() | table[column].isin(values)]


def _claims_about(record: Mapping[str, Any], column: str, values: Sequence[Any]) -> dict[str, Any]:
    def is_about(comparison: Mapping[str, Any]) -> bool:
        sides = [comparison, *(comparison[name] for name in _SIDES if isinstance(comparison.get(name), Mapping))]
        return all(side.get(column) in (None, *values) for side in sides)

    claims = [
        {**claim, "comparisons": [comparison for comparison in claim["comparisons"] if is_about(comparison)]}
        for claim in record["claims"]
    ]
    return {**record, "claims": claims}


def _of_metric(figure: Figure, title: str) -> Figure:
    """The figure with its charts of one metric: those that it, or they, are titled by (`SimAOU: GD`)."""
    titled = re.compile(rf"{re.escape(title)}(?![\w_])")
    if titled.match(figure.title):
        return figure
    return replace(figure, charts=tuple(chart for chart in figure.charts if titled.match(chart.title)))


def _joined(figures: Sequence[Figure], width: int | None, height: int | None) -> AltairChart:
    """One chart of all figures, in the style of the page."""
    style = figures[0].charts[0].drawing.config
    if len(figures) == len(figures[0].charts) == 1 and not figures[0].legend:
        return _plot(figures[0].charts[0], width, height).properties(config=style)
    rows = [row for figure in figures for row in _rows(figure, width, height)]
    return _independent(alt.vconcat(*rows, spacing=24)).properties(config=style)


def _rows(figure: Figure, width: int | None, height: int | None) -> Iterator[AltairChart]:
    """The plots of a figure beside each other, and its legend beneath."""
    plots = [_plot(chart, width, height) for chart in figure.charts]
    beside = _independent(alt.concat(*plots, columns=3 if figure.small else 2))
    yield beside.properties(title=figure.title) if figure.title else beside
    if figure.legend:
        yield _legend(figure.legend)


def _independent(chart: Any) -> Any:
    """Plots beside each other with colours of their own: one metric's are not another's."""
    return chart.resolve_scale(color="independent", strokeDash="independent", shape="independent", size="independent")


def _plot(chart: Chart, width: int | None, height: int | None) -> Any:
    """A chart of the page under its title; its style is that of the whole, where alone it may stand."""
    drawing = chart.drawing.copy()
    drawing.config = alt.Undefined
    inner = drawing
    while isinstance(inner, alt.FacetChart):
        inner = inner.spec
    for name, pixels in (("width", width), ("height", height)):
        if pixels is not None:
            setattr(inner, name, pixels)
    return drawing.properties(title=chart.title)


def _legend(keys: Sequence[Key]) -> alt.Chart:
    """Each label beside a piece of its line."""
    labels = [key.label for key in keys]
    data = pd.DataFrame({"label": labels, "width": [key.width for key in keys], "start": 0, "end": 1})
    dashes = [[float(part) for part in key.dash.split()] or [1, 0] for key in keys]
    beside = alt.Axis(orient="right", title=None, domain=False, ticks=False, grid=False, labelLimit=400)
    colour = alt.Scale(domain=labels, range=[key.colour for key in keys])
    return (
        alt.Chart(data, width=40, height=alt.Step(18))
        .mark_rule()
        .encode(
            x=alt.X("start:Q", axis=None),
            x2="end:Q",
            y=alt.Y("label:N", sort=labels, axis=beside),
            color=alt.Color("label:N", scale=colour, legend=None),
            strokeDash=alt.StrokeDash("label:N", scale=alt.Scale(domain=labels, range=dashes), legend=None),
            strokeWidth=alt.StrokeWidth("width:Q", scale=None),
        )
    )
