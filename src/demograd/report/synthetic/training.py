"""The losses of networks while they were trained."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from demograd.report.drawing import WIDTH, keys
from demograd.report.lines import Axis, line_chart
from demograd.report.section import Chart, Figure, Key, Section
from demograd.report.synthetic.numbers import NETWORK, REFERENCE, cells
from demograd.report.synthetic.reach import reach
from demograd.report.synthetic.ticks import with_ticks

METRIC = "training_loss"
FEW = 4
"""References whose losses are drawn beside; more would hide the curves."""
_LEAD = "Loss on fresh sequences, mean over training seeds"
_BESIDE = "; level lines are what the references reach on test sequences"


def training_section(rows: pd.DataFrame) -> Section | None:
    """A chart per world, both axes logarithmic."""
    of_networks = rows[(rows["metric"] == METRIC) & (rows["setting"] == NETWORK) & rows["step"].notna()]
    points = pd.DataFrame({"x": of_networks["step"].astype(float), "y": of_networks["value"].astype(float)})
    points[["world", "label"]] = of_networks[["task", "model"]]
    points = points.dropna()
    if points.empty:
        return None
    level = _levels(rows, points)
    every = pd.concat([points, pd.DataFrame(level)]) if level else points
    legend = keys(list(dict.fromkeys(every["label"])))
    charts = [_chart(str(world), of, legend) for world, of in every.groupby("world", sort=False)]
    figure = Figure(tuple(chart for chart in charts if chart), "", legend=legend)
    return Section("training", "Over training", f"{_LEAD}{_BESIDE if level else ''}.", (figure,))


def _levels(rows: pd.DataFrame, curves: pd.DataFrame) -> list[dict[str, Any]]:
    """Both ends of a level line for each reference that a network is held against; none if there are many."""
    compared = {(of.world, of.reference) for of in cells(rows, "loss_ratio")}
    points = []
    for of, loss in cells(rows, "loss", REFERENCE).items():
        curve = curves[curves["world"] == of.world]
        low, high = reach(curve["y"])
        if (of.world, of.reference) in compared and loss.value is not None and low <= loss.value <= high:
            points += [
                {"x": float(step), "y": loss.value, "world": of.world, "label": of.reference}
                for step in (curve["x"].min(), curve["x"].max())
            ]
    return points if len({point["label"] for point in points}) <= FEW else []


def _chart(world: str, points: pd.DataFrame, legend: Sequence[Key]) -> Chart | None:
    step = with_ticks(Axis("step of training", "log", whole=True), points["x"])
    loss = with_ticks(Axis("mean squared error", "log"), points["y"])
    return line_chart(points, world, step, loss, legend, width=WIDTH)
