"""In-context learning and the parameters over the checkpoints of one model (Shen 2023, Figure 3)."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from demograd.metrics import METRICS
from demograd.report.cell import MINUS, signed
from demograd.report.drawing import keys
from demograd.report.lines import Axis, line_chart
from demograd.report.scores import Scores
from demograd.report.section import Figure, Section
from demograd.report.variant import Variant

METRIC = "parameter_distance"
_PREDICTED = ("accuracy", "label_log_likelihood")
_LEAD = (
    "If ICL were gradient descent that training has built into the weights, it would come and go with them. Here is "
    "what the checkpoints can do in context, beside how far their parameters are from the last one’s."
)


def training_time_section(results: pd.DataFrame, scores: Scores, study: Mapping[str, Any]) -> Section | None:
    """A figure per task and k; nothing for fewer than two checkpoints."""
    order = _checkpoints(study)
    if len(order) < 2:
        return None
    names = {model: _short(model) for model in order}
    shown: dict[tuple[str, int | None, str], list[tuple[Variant, str, str, float | None]]] = {}
    for (of, metric, setting), cell in scores.cells.items():
        if metric in _PREDICTED and setting in ("ZSL", "ICL") and of.selection == "all" and of.model in names:
            shown.setdefault((of.task, of.k, of.weights), []).append((of, metric, setting, cell.value))
    figures = []
    for (task, k, weights), rows in shown.items():
        data = pd.DataFrame(
            {"x": names[of.model], "position": order.index(of.model), "metric": metric, "label": setting, "y": value}
            for of, metric, setting, value in rows
        ).sort_values("position")
        legend = keys(["ZSL", "ICL"])
        charts = [
            line_chart(
                data[data["metric"] == metric], METRICS[metric].title, _axis(names), Axis(METRICS[metric].title), legend
            )
            for metric in _PREDICTED
        ]
        charts.append(_distance(results, names, weights))
        title = f"{task}, k {k}{f', {weights}' * (weights != 'trained')}"
        figures.append(Figure(tuple(chart for chart in charts if chart), _gain(data), title, legend, small=True))
    if not figures and (alone := _distance(results, names, "trained")):
        figures.append(Figure((alone,), "", small=True))
    return Section("training-time", "Over training", _LEAD, tuple(figures)) if figures else None


def _distance(results: pd.DataFrame, names: Mapping[str, str], weights: str) -> Any:
    rows = results[
        (results["metric"] == METRIC)
        & results["layer"].isna()
        & (results["weights"] == weights)
        & results["model"].isin(list(names))
    ]
    if rows.empty:
        return None
    title, order = METRICS[METRIC].title, list(names)
    data = pd.DataFrame(
        {
            "x": rows["model"].map(names),
            "position": rows["model"].map(order.index),
            "label": title,
            "y": rows["value"].astype(float),
        }
    )
    return line_chart(data, f"{title} from the last checkpoint", _axis(names), Axis(title, zero=True), keys([title]))


def _gain(data: pd.DataFrame) -> str:
    """What ICL adds to accuracy at either end."""
    accuracy = data[data["metric"] == "accuracy"].pivot_table(index="position", columns="label", values="y")
    if not {"ICL", "ZSL"} <= set(accuracy):
        return ""
    gain = (accuracy["ICL"] - accuracy["ZSL"]).dropna()
    first, last = (signed(float(value)) for value in (gain.iloc[0], gain.iloc[-1]))
    return f"ICL {MINUS} ZSL in accuracy: {first} at the first checkpoint, {last} at the last."


def _axis(names: Mapping[str, str]) -> Axis:
    return Axis("checkpoint", order=tuple(names.values()))


def _checkpoints(study: Mapping[str, Any]) -> list[str]:
    """The models as the results name them: one that starts with `@` is a revision of the study's model."""
    given: Sequence[str] = study.get("checkpoints") or []
    return [f"{study['model']}{one}" if one.startswith("@") else one for one in given]


def _short(model: str) -> str:
    """`step1000` of `owner/name@step1000` and of `a/folder/step1000`."""
    return model.rpartition("@")[2].rstrip("/").rpartition("/")[2]
