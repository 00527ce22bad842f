"""The losses of networks while they were trained."""

from collections.abc import Sequence

import pandas as pd

from demograd.report.drawing import WIDTH, keys
from demograd.report.lines import Axis, line_chart
from demograd.report.section import Chart, Figure, Key, Section
from demograd.report.synthetic.numbers import NETWORK, REFERENCE, cells
from demograd.report.synthetic.ticks import with_ticks

METRIC = "training_loss"
FEW = 4
"""References whose losses are drawn beside; more would hide the curves."""
_LEAD = (
    "Loss on fresh sequences, mean over training seeds; level lines are what references reach on the test sequences."
)


def training_section(rows: pd.DataFrame) -> Section | None:
    """A chart per world, both axes logarithmic."""
    curves = rows[(rows["metric"] == METRIC) & (rows["setting"] == NETWORK) & rows["step"].notna()]
    points = pd.DataFrame(
        {"world": curves["task"], "label": curves["model"], "x": curves["step"].astype(float),
         "y": curves["value"].astype(float)}
    ).dropna()  # fmt: skip
    points = points[points["x"] > 0]
    if points.empty:
        return None
    compared = {(of.world, of.reference) for of in cells(rows, "loss_ratio")}
    level = []
    for of, loss in cells(rows, "loss", REFERENCE).items():
        steps = points["x"][points["world"] == of.world]
        if (of.world, of.reference) in compared and not steps.empty:
            level += [{"world": of.world, "label": of.reference, "x": x, "y": loss.value}
                      for x in (steps.min(), steps.max())]  # fmt: skip
    if len({(one["world"], one["label"]) for one in level}) > FEW * points["world"].nunique():
        level = []
    every = pd.concat([points, pd.DataFrame(level)]) if level else points
    legend = keys(list(dict.fromkeys(every["label"])))
    charts = [_chart(str(world), of, legend) for world, of in every.groupby("world", sort=False)]
    figure = Figure(tuple(chart for chart in charts if chart), "", legend=legend)
    return Section("training", "Over training", _LEAD if level else _LEAD.split(";")[0] + ".", (figure,))


def _chart(world: str, points: pd.DataFrame, legend: Sequence[Key]) -> Chart | None:
    step = with_ticks(Axis("step of training", "log", whole=True), points["x"])
    loss = with_ticks(Axis("mean squared error", "log"), points["y"])
    return line_chart(points, world, step, loss, legend, width=WIDTH)
