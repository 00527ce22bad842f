"""Norms of the gradients that FT follows, by layer and step (Deutch 2024, Appendix C and Figure 4)."""

import pandas as pd

from demograd.published import caveats_of
from demograd.report.charts.heat_map import Colours, heat_map
from demograd.report.run import ReportedRun
from demograd.report.scores import NEAREST_RATE_NOTE, at_one_rate
from demograd.report.section import Figure, Section, figure, section
from demograd.report.subject import by_world, is_layer_causal, short_labels, variants_of
from demograd.statistics.number import estimate
from demograd.words import Setting

METRIC = "gradient_norm"
MOST_STEPS = 64
"""More steps are averaged in as many bins."""
_LEAD = (
    "Each cell is the length ‖∇‖₂ of the gradient of the trained parameters of one layer at one step, mean over "
    "demonstration sets: how hard fine-tuning pulls there. Each map has its own colours."
)


@section("Gradient norms", order=170)
def gradient_norms_section(run: ReportedRun) -> Section | None:
    """A heat map per method and weights, a figure per task."""
    results = run.results
    rows = results[(results["metric"] == METRIC) & (results["setting"] == Setting.FT) & results["value"].notna()]
    variants = variants_of(rows)
    measured, shown = set(variants), at_one_rate(run.scores)
    figures: list[Figure] = []
    sentences = []
    for world, members in by_world(member for member in shown if member in measured).items():
        charts = []
        for member, label in short_labels(members).items():
            data, binned = _by_layer_and_step(rows[[owner == member for owner in variants]])
            step = f"step, in bins of {binned}" if binned > 1 else "step"
            colours: Colours = "log" if is_layer_causal(member.method_options) else "linear"
            if (data["value"] > 0).any():
                sentences.append(_sentence(data, label, step.partition(",")[0]))
                value = f"norm ({colours} scale)"
                charts.append(heat_map(data, label, x=step, y="layer", value=value, colours=colours))
        figures += figure(charts, "", world, small=True)
    notes = [f"About the published ones: {caveat.says}" for caveat in caveats_of({"metric": METRIC})]
    notes += [NEAREST_RATE_NOTE] if any(shown.values()) else []
    return Section(tuple(figures), f"{' '.join(sentences[:1])} {_LEAD}".strip(), tuple(notes)) if figures else None


def _sentence(data: pd.DataFrame, label: str, step: str) -> str:
    """Where the gradient is largest, and how many times as large as in the middle of the map."""
    top, middle = data.sort_values("value").iloc[-1], data["value"].median()
    times = f", {estimate(top['value'] / middle).text} times its median" if middle else ""
    return f"{label}: the gradient is largest in layer {top['y']:.0f} at {step} {top['x']:.0f}{times}."


def _by_layer_and_step(rows: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Means over demonstration sets, and how many steps share a column."""
    steps = int(rows["step"].max()) + 1
    binned = -(-steps // MOST_STEPS)
    step = rows["step"].astype(int) // binned * binned
    means = rows["value"].astype(float).groupby([step, rows["layer"].astype(int)]).mean()
    return means.rename_axis(["x", "y"]).rename("value").reset_index(), binned
