"""Over training: checkpoints of a language model (Shen 2023, Figure 3), and the losses of small networks."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from demograd.metrics import METRICS
from demograd.report.charts.drawing import WIDTH, keys
from demograd.report.charts.lines import Axis, line_chart, reach, with_ticks
from demograd.report.networks import by_subject
from demograd.report.run import ReportedRun
from demograd.report.section import Chart, Figure, Section, figure, section
from demograd.statistics.number import MINUS, estimate, signed
from demograd.words import Setting, task_label

DISTANCE = "parameter_distance"
_PREDICTED = ("accuracy", "label_log_likelihood")
_LEAD = (
    "If ICL were gradient descent that training has built into the weights, it would come and go with them. Here is "
    "what the checkpoints can do in context, beside how far their parameters are from the last one’s."
)


@section("Over training", order=227, brief="Training time")
def training_time_section(run: ReportedRun) -> Section | None:
    """Performance and parameter distance over checkpoints: a figure per task and k, from two checkpoints on."""
    checkpoints = _checkpoints(run.study)
    if len(checkpoints) < 2:
        return None
    worlds: dict[tuple[str, int | None, str, int | None], list[dict[str, Any]]] = {}
    for (variant, metric, setting), number in run.scores.numbers.items():
        is_shown = metric in _PREDICTED and setting in (Setting.ZSL, Setting.ICL) and variant.selection == "all"
        if is_shown and variant.model in checkpoints:
            position = list(checkpoints).index(variant.model)
            point = {"x": checkpoints[variant.model], "position": position, "metric": metric, "label": setting}
            about = (task_label(variant.task, variant.labels), variant.k, variant.weights, variant.initialisation)
            worlds.setdefault(about, []).append({**point, "y": number.value})
    axis = Axis("checkpoint", order=tuple(checkpoints.values()))
    figures: list[Figure] = []
    for (task, k, weights, initialisation), points in worlds.items():
        data, legend = pd.DataFrame(points).sort_values("position"), keys(["ZSL", "ICL"])
        titles = {metric: METRICS[metric].title for metric in _PREDICTED}
        charts = [
            line_chart(data[data["metric"] == metric], title, axis, Axis(title), legend)
            for metric, title in titles.items()
        ]
        charts.append(_distance(run.results, checkpoints, axis, weights))
        title = f"{task}, k {k}{f', {weights}' * (weights != 'trained')}"
        title += f", initialisation {initialisation}" * bool(initialisation)
        figures += figure(charts, _gain(data), title, legend, small=True)
    figures = figures or [*figure([_distance(run.results, checkpoints, axis, "trained")], small=True)]
    sentence = next((part.caption for part in figures if part.caption), "")
    return Section(tuple(figures), f"{sentence} {_LEAD}".strip()) if figures else None


def _distance(results: pd.DataFrame, checkpoints: Mapping[str, str], axis: Axis, weights: str) -> Chart | None:
    is_shown = (results["metric"] == DISTANCE) & results["layer"].isna() & (results["weights"] == weights)
    rows = results[is_shown & results["model"].isin(list(checkpoints))]
    title, order = METRICS[DISTANCE].title, list(checkpoints)
    names, positions = rows["model"].map(checkpoints), rows["model"].map(order.index)
    data = pd.DataFrame({"x": names, "position": positions, "label": title, "y": rows["value"].astype(float)})
    return line_chart(data, f"{title} from the last checkpoint", axis, Axis(title, zero=True), keys([title]))


def _gain(data: pd.DataFrame) -> str:
    """The sentence on what ICL adds to accuracy at the first and the last checkpoint."""
    accuracy = data[data["metric"] == "accuracy"].pivot_table(index="position", columns="label", values="y")
    if not {"ICL", "ZSL"} <= set(accuracy):
        return ""
    gain = (accuracy["ICL"] - accuracy["ZSL"]).dropna()
    first, last = (signed(float(value)) for value in (gain.iloc[0], gain.iloc[-1]))
    return f"ICL {MINUS} ZSL in accuracy: {first} at the first checkpoint, {last} at the last."


def _checkpoints(study: Mapping[str, Any]) -> dict[str, str]:
    """The models as the results name them, with their short names: `step1000` of `owner/name@step1000` and of
    `a/folder/step1000`. One that starts with `@` is a revision of the study's model."""
    revisions = study.get("checkpoints") or []
    models = [f"{study['model']}{revision}" if revision.startswith("@") else revision for revision in revisions]
    return {model: model.rpartition("@")[2].rstrip("/").rpartition("/")[2] for model in models}


TRAINING_LOSS = "training_loss"
FEW = 4
"""References whose losses are drawn beside; more would hide the curves."""
_LOSS_LEAD = "Loss on fresh sequences, mean over training seeds"
_BESIDE = "; level lines are what the references reach on test sequences"


@section("Over training", order=40, brief="Training time")
def training_section(run: ReportedRun) -> Section | None:
    """Losses of small networks in training: a chart per world, both axes logarithmic."""
    rows = run.networks_at_context
    losses = rows[(rows["metric"] == TRAINING_LOSS) & (rows["setting"] == Setting.TF) & rows["step"].notna()]
    points = pd.DataFrame({"x": losses["step"].astype(float), "y": losses["value"].astype(float)})
    points[["world", "label"]] = losses[["task", "model"]]
    points = points.dropna()
    if points.empty:
        return None
    levels = list(_levels(rows, points))
    has_levels = 0 < len({level["label"] for level in levels}) <= FEW
    data = pd.concat([points, pd.DataFrame(levels)]) if has_levels else points
    legend, charts = keys(list(dict.fromkeys(data["label"]))), []
    for world, curves in data.groupby("world", sort=False):
        step = with_ticks(Axis("step of training", "log", whole=True), curves["x"])
        loss = with_ticks(Axis("mean squared error", "log"), curves["y"])
        charts.append(line_chart(curves, str(world), step, loss, legend, width=WIDTH))
    ends = points.sort_values("x", kind="stable").groupby(["world", "label"], sort=False)["y"].last()
    last = ends.sort_values().reset_index().iloc[0]
    sentence = f"The lowest at the end is that of “{last['label']}” in {last['world']}: {estimate(last['y']).text}."
    return Section(figure(charts, legend=legend), f"{_LOSS_LEAD}{_BESIDE * has_levels}. {sentence}")


def _levels(rows: pd.DataFrame, curves: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Both ends of a level line for each reference that a network is held against."""
    compared = {(subject.world, subject.reference) for subject in by_subject(rows, "loss_ratio")}
    for subject, loss in by_subject(rows, "loss", Setting.REFERENCE).items():
        curve = curves[curves["world"] == subject.world]
        low, high = reach(curve["y"])
        if (subject.world, subject.reference) in compared and loss.value is not None and low <= loss.value <= high:
            for step in (curve["x"].min(), curve["x"].max()):
                yield {"x": float(step), "y": loss.value, "world": subject.world, "label": subject.reference}
