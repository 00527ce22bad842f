"""The panels of a synthetic run's first screen: how well networks and algorithms predict, whether for the same reason,
and whether alike elsewhere too."""

from typing import Any

import pandas as pd

from demograd.report.charts.drawing import keys
from demograd.report.charts.headed_dots import headed_dots
from demograd.report.charts.headings import PANEL, Heading
from demograd.report.charts.lines import line_chart, reach, with_ticks
from demograd.report.network_answer import network_findings
from demograd.report.network_world import NetworkWorld
from demograd.report.networks import by_subject
from demograd.report.panels import Panel, bounded
from demograd.report.run import ReportedRun
from demograd.report.sections.comparison import CLAIM
from demograd.report.sections.curves import CURVES, Curve, curve_points
from demograd.report.sections.training import TRAINING_LOSS
from demograd.statistics import Verdict
from demograd.statistics.number import Number, number_of
from demograd.words import Setting, Subject, listed

_WIDE = 20.0
"""Times the smallest loss, from which on the largest asks for a logarithmic axis."""
_NETWORK, _UNTRAINED, _ALGORITHM = "network", "before training", "algorithm"
_MARKS = {Verdict.SUPPORTED: "✓", Verdict.CONTRADICTED: "✗", Verdict.UNDECIDED: "?"}
_SENSITIVITY = (
    "sensitivity",
    "how a prediction changes with the query’s x, ∂ŷ/∂x; the same algorithm has a cosine of 1",
)
_ONE_LINE = "where a network is an algorithm, their lines are one."
_ELSEWHERE = {
    "input-scale": ("Alike elsewhere too?", f"With larger or smaller inputs than in training: {_ONE_LINE}"),
    "position": ("Alike at each state?", f"As more states of a system are seen: {_ONE_LINE}"),
    "context": ("Alike elsewhere too?", f"With fewer or more examples than in training: {_ONE_LINE}"),
}
"""Curve → title and lead of its panel; the first that was measured is drawn."""


def losses_panel(run: ReportedRun, world: NetworkWorld) -> Panel | None:
    """The loss of each network, before training too, and of each algorithm, as dots with intervals."""
    rows = run.networks_at_context
    untrained = _before_training(rows, world.name)
    of_networks, of_references = by_subject(rows, "loss"), by_subject(rows, "loss", Setting.REFERENCE)
    learners = [(_NETWORK, name, of_networks[Subject(world.name, name, "")]) for name in world.networks]
    learners += [(_ALGORITHM, name, of_references[Subject(world.name, "", name)]) for name in world.references]
    points = [{"row": row, "series": series, **bounded(loss)} for row, (series, _, loss) in enumerate(learners)]
    points += [
        {"row": row, "series": _UNTRAINED, **bounded(untrained[name])}
        for row, name in enumerate(world.networks)
        if name in untrained
    ]
    data = pd.DataFrame(points).dropna(subset=["value"])
    if data.empty:
        return None
    low, high = reach(data["value"])
    in_reach = data[data["value"].between(low, high)]
    is_wide = bool(in_reach["value"].max() > _WIDE * in_reach["value"].min())
    data = in_reach if is_wide else data[data["value"] <= high]  # near zero a linear axis has a place
    series = [name for name in (_NETWORK, _UNTRAINED, _ALGORITHM) if name in set(data["series"])]
    headings = [Heading(name, loss.with_bounds.partition(" (")[0]) for _, name, loss in learners]
    drawing = headed_dots(data, "", headings, series, x="mean squared error", is_log=is_wide, is_one_line=True)
    lead = "Error on new sequences; less is better."
    lead += f" {world.more} more stand below." if world.more else ""
    places = set(zip(data["row"], data["series"], strict=True))
    names: dict[Any, str] = {row: name for row, (_, name, _) in enumerate(learners)}
    absent = [
        f"{names[point['row']]}{' before training' * (point['series'] == _UNTRAINED)}"
        for point in points
        if point["value"] is not None and (point["row"], point["series"]) not in places
    ]
    lead += f" Too far off to draw: {listed(absent)}." if absent else ""
    words = (
        [(_UNTRAINED, "the network’s error in its first batch, mean over training seeds")]
        if _UNTRAINED in series
        else []
    )
    settings = {_NETWORK: Setting.TF, _ALGORITHM: Setting.REFERENCE}
    numbers = tuple((settings[kind], loss) for kind, _, loss in learners)
    return Panel("network-losses", world.titled("How well do they predict?"), lead, (drawing,), tuple(words), numbers)


def _before_training(rows: pd.DataFrame, world: str) -> dict[str, Number]:
    """Network → its loss on the first batch, before any step; without those of which none is recorded."""
    first = rows[(rows["metric"] == TRAINING_LOSS) & (rows["task"] == world) & (rows["step"] == 1)]
    return {str(row["model"]): number_of(row) for row in first.to_dict("records")}


def sensitivities_panel(run: ReportedRun, world: NetworkWorld) -> Panel | None:
    """How alike the sensitivities of the leading network and of each algorithm are, each with its verdict."""
    cosines = by_subject(run.networks_at_context, "sensitivity_cosine")
    verdicts = {item.subject: item.finding.verdict for item in network_findings(run).get(CLAIM, [])}
    network = world.networks[0]
    pairs = [(Subject(world.name, network, reference), reference) for reference in world.references]
    pairs = [(pair, reference) for pair, reference in pairs if pair in cosines and cosines[pair].value is not None]
    if not pairs:
        return None
    headings = [
        Heading(f"{_MARKS[verdicts[pair]] if pair in verdicts else ''} {reference}".strip(), cosines[pair].with_bounds)
        for pair, reference in pairs
    ]
    data = pd.DataFrame({"row": row, "series": "", **bounded(cosines[pair])} for row, (pair, _) in enumerate(pairs))
    drawing = headed_dots(data, "", headings, [""], x="cosine of sensitivities (1: alike)")
    shown = {verdicts[pair] for pair, _ in pairs if pair in verdicts}
    meanings = {
        Verdict.SUPPORTED: "✓: the same algorithm, by losses too",
        Verdict.CONTRADICTED: "✗: not the same",
        Verdict.UNDECIDED: "?: undecided",
    }
    marks = "; ".join(meaning for verdict, meaning in meanings.items() if verdict in shown)
    lead = f"“{network}” beside each algorithm{f'. {marks}' * bool(marks)}."
    numbers = tuple((Setting.TF, cosines[pair]) for pair, _ in pairs)
    title = world.titled("For the same reason?")
    return Panel("sensitivities", title, lead, (drawing,), (_SENSITIVITY,), numbers)


def elsewhere_panel(run: ReportedRun, world: NetworkWorld) -> Panel | None:
    """The losses of the leading network and of the algorithms where something is not as in training, as lines."""
    curves = {curve.name: curve for curve in CURVES}
    panels = (_curve_panel(run, world, curves[name], *words) for name, words in _ELSEWHERE.items())
    return next((panel for panel in panels if panel is not None), None)


def _curve_panel(run: ReportedRun, world: NetworkWorld, curve: Curve, title: str, lead: str) -> Panel | None:
    points = curve_points(run.networks if curve.column == "k" else run.networks_at_context, curve)
    labels = [world.networks[0], *world.references]
    shown = points[(points["world"] == world.name) & points["label"].isin(labels)].dropna(subset=["y"])
    shown, measured = shown[shown["y"].between(*reach(shown["y"]))], set(shown["label"])
    if world.networks[0] not in set(shown["label"]):
        return None
    legend = tuple(key for key in keys(labels) if key.label in set(shown["label"]))
    if absent := [label for label in labels if label in measured - set(shown["label"])]:
        lead += f" Not drawn, for it would need another axis: {listed(absent)}."
    x, y = (with_ticks(axis, shown[name]) for axis, name in ((curve.x, "x"), (curve.y, "y")))
    drawing = line_chart(shown, "", x, y, legend, width=PANEL)
    if drawing is None:
        return None
    return Panel("elsewhere", world.titled(title), lead, (drawing,), legend=legend)
