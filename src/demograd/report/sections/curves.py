"""Curves of small networks: against the scale of inputs, layers, examples, states, mixed weights and training."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from demograd.report.charts.drawing import WIDTH, keys
from demograd.report.charts.lines import Axis, line_chart, reach, with_ticks
from demograd.report.run import ReportedRun
from demograd.report.section import Section, figure, section
from demograd.statistics.number import estimate
from demograd.words import Setting, listed

_LOSS = Axis("mean squared error", "log")


@dataclass(frozen=True)
class Curve:
    """A section with a metric against a column of the results."""

    name: str
    title: str
    lead: str
    metric: str
    x: Axis
    y: Axis = _LOSS
    column: str = "at"
    """The column of the results that holds x."""
    to: str = "towards"
    """The word between a network and what stands in `method`, where that tells its lines apart."""
    brief: str = ""
    """What the contents bar calls it."""
    leading: str = ""
    """What stands in `method` of the line that the sentence is of; empty: of the first."""


CURVES = (
    Curve(
        "sensitivity-over-training",
        "When do their sensitivities agree?",
        "Cosine of the sensitivities ∂ŷ/∂x of network and reference, after so many steps of training.",
        "sensitivity_cosine",
        Axis("step of training", "log", whole=True),
        Axis("cosine"),
        column="step",
        to="against",
        brief="Sensitivities",
    ),
    Curve(
        "copying",
        "Does the first layer make tokens (x, y)?",
        "Of a plain sequence x, y, x, y, … a layer has to copy each y into the token of its x before the next can take "
        "a step. Norm of the derivative of an x’s token after the first layer, by its own contents, the next token’s, "
        "which are its y, and the mean of the others’.",
        "copying_sensitivity",
        Axis("step of training", "log", whole=True),
        Axis("norm of the derivative"),
        column="step",
        to="by its",
        brief="Copying",
        leading="next token",
    ),
    Curve(
        "distance-from-multiples",
        "When do its matrices become those of the theorem?",
        "How far each layer’s A is from the multiples of Σ⁻¹ and its B from those of I, after so many steps of "
        "training: relative Frobenius distance, mean over layers; 0 where it is one.",
        "multiple_distance",
        Axis("step of training", "log", whole=True),
        Axis("distance", "log"),
        column="step",
        to="with",
        brief="A and B",
    ),
    Curve(
        "input-scale",
        "Outside the range of training",
        "Every x is multiplied by a factor before its y is computed. Networks were trained at 1, and references "
        "tuned at 1: where both are the same algorithm, both change alike.",
        "loss_at_scale",
        Axis("factor of the inputs"),
        brief="Input scale",
    ),
    Curve(
        "task-scale",
        "With larger or smaller tasks",
        "Every w is multiplied by a factor. Gradient descent from zero is linear in the examples’ y, so its loss grows "
        "as the square.",
        "loss_at_task_scale",
        Axis("factor of w"),
        brief="Task scale",
    ),
    Curve(
        "noise",
        "With noise on every y",
        "Noise of this standard deviation is added to every y, the query’s too: its variance is in every loss.",
        "loss_at_noise",
        Axis("standard deviation of the noise"),
        brief="Noise",
    ),
    Curve(
        "distractors",
        "With distractors",
        "The y of so many examples is drawn from N(0, 1) and says nothing about w.",
        "loss_with_distractors",
        Axis("distractors among the examples", whole=True),
        brief="Distractors",
    ),
    Curve(
        "recurrence",
        "One layer, again and again",
        "Each network of one layer is applied to its own tokens again, as often as said; its y take a share of every "
        "update, and its x none. Gradient descent takes steps of the same share of its best rate for one step.",
        "loss_repeated",
        Axis("times applied, or steps", whole=True),
        brief="Recurrence",
    ),
    Curve(
        "depth",
        "Against the number of layers",
        "A layer of a network beside a step of an algorithm.",
        "loss_by_layers",
        Axis("layers, or steps", whole=True),
        brief="Layers",
    ),
    Curve(
        "context",
        "Against the number of examples",
        "The same networks and references with fewer or more examples than they were trained and tuned on.",
        "loss",
        Axis("examples in context", whole=True),
        column="k",
        brief="Examples",
    ),
    Curve(
        "trained-context",
        "Against the number of examples in training",
        "Networks that were trained, and references that were tuned, for as many examples as they are tested on.",
        "loss_by_context",
        Axis("examples in context, in training too", whole=True),
        brief="Context",
    ),
    Curve(
        "position",
        "State by state",
        "The error in the next state of a linear system, after so many states.",
        "loss_by_position",
        Axis("states seen", whole=True),
        brief="States",
    ),
    Curve(
        "few-shot",
        "Regression from few examples, after training on systems",
        "The states are x, y, x, y, … of a regression problem, which nobody was trained on; the error in y, after so "
        "many pairs.",
        "few_shot_loss",
        Axis("pairs seen", whole=True),
        brief="Few-shot",
    ),
    Curve(
        "probes",
        "What can be read off the tokens?",
        "The error of the best linear probe of the tokens, layer by layer, relative to that of saying zero: 0 where it "
        "can be read off, 1 where nothing of it can.",
        "probe_error",
        Axis("layers passed", whole=True),
        Axis("relative error", zero=True),
        to="of",
        brief="Probes",
    ),
    Curve(
        "interpolation",
        "Between trained and constructed weights",
        "Weights on the straight line from the trained ones (0) to the construction (1). If both are the same "
        "algorithm in the same place, the line is flat.",
        "loss_interpolated",
        Axis("share of the construction"),
        Axis("mean squared error", zero=True),
        brief="Mixed weights",
    ),
)


def curve_section(run: ReportedRun, curve: Curve) -> Section | None:
    """A chart per world that has a curve."""
    points = curve_points(run.networks if curve.column == "k" else run.networks_at_context, curve)
    is_network = points["setting"] == Setting.TF
    legend = keys(list(dict.fromkeys([*points["label"][is_network], *points["label"][~is_network]])))
    charts, n_left_out = [], 0
    for world, curves in points.groupby("world", sort=False):
        shown = curves
        if curve.y.scale == "log":
            shown = curves[curves["y"].between(*reach(curves["y"]))]
            n_left_out += int(curves["y"].notna().sum()) - len(shown)
        x, y = (with_ticks(axis, shown[name]) for axis, name in ((curve.x, "x"), (curve.y, "y")))
        charts.append(line_chart(shown, str(world), x, y, legend, width=WIDTH))
    caption = "Upright lines: 95 % intervals."
    if n_left_out:
        caption += f" Left out: {n_left_out} losses a million times larger or smaller than the median of their chart."
    figures = figure(charts, caption + _diverged(points), legend=legend)
    return Section(figures, f"{_sentence(points, curve)} {curve.lead}".strip()) if figures else None


def _sentence(points: pd.DataFrame, curve: Curve) -> str:
    """Both ends of the first network's line in the first world, of its lines the one that the question is about."""
    networks = points[points["setting"] == Setting.TF].dropna(subset=["x", "y"])
    networks = networks[networks["label"].str.endswith(curve.leading)]
    if networks.empty:
        return ""
    world, label = networks.iloc[0][["world", "label"]]
    line = networks[(networks["world"] == world) & (networks["label"] == label)].sort_values("x")
    first, last = (
        f"{estimate(end['y'], end['low'], end['high']).with_bounds} at {end['x']:g}"
        for end in line.iloc[[0, -1]].to_dict("records")
    )
    return f"In {world}, {curve.y.title} of “{label}” goes from {first} to {last} ({curve.x.title})."


for position, curve in enumerate(CURVES):
    section(curve.title, order=49 + position, name=curve.name, brief=curve.brief)(partial(curve_section, curve=curve))


def _diverged(points: pd.DataFrame) -> str:
    """` Not drawn, for they diverged: linear, 5 layers at 1.5 and 2.`, for the caption; empty if no point diverged.

    A network that diverged in training has no x, and is not counted.
    """
    diverged = points[points["y"].isna() & points["status"].astype(str).str.startswith("diverged:")]
    clauses = [
        f"{label} at {listed([f'{x:g}' for x in sorted(set(rows['x']))])}"
        for label, rows in diverged.groupby("label", sort=False)
    ]
    return f" Not drawn, for they diverged: {'; '.join(clauses)}." if clauses else ""


def curve_points(rows: pd.DataFrame, curve: Curve) -> pd.DataFrame:
    """The points of a curve in the worlds that have more than one x.

    Columns x, y, low, high, world, setting, status and label.
    """
    is_final = rows["step"].isna() | (curve.column == "step")
    chosen = rows[(rows["metric"] == curve.metric) & is_final & rows[curve.column].notna()]
    towards = chosen["method"][chosen["setting"] == Setting.TF].nunique() > 1
    numbers = {"x": curve.column, "y": "value", "low": "ci_low", "high": "ci_high"}
    points = pd.DataFrame({name: chosen[column].astype(float) for name, column in numbers.items()})
    points[["world", "setting", "status"]] = chosen[["task", "setting", "status"]]
    points["label"] = [_label(row, curve.to if towards else "") for row in chosen.to_dict("records")]
    n_x = points.dropna(subset=["y"]).groupby("world")["x"].nunique()
    return points[points["world"].isin(n_x[n_x > 1].index)]


def _label(row: Mapping[Any, Any], to: str) -> str:
    """The name of a line: the network, and what it is held against or mixed with if that differs; or the reference."""
    if row["setting"] != Setting.TF:
        return str(row["method"])
    return f"{row['model']}, {to} {row['method']}" if to else str(row["model"])
