"""Norms of the gradients that FT follows, by layer and step (Deutch 2024, Appendix C and Figure 4)."""

import pandas as pd

from demograd.published import caveats_of
from demograd.report.heat_map import Colours, heat_map
from demograd.report.one_rate import SAID, at_one_rate
from demograd.report.options import is_layer_causal
from demograd.report.points import short_labels
from demograd.report.scores import Scores
from demograd.report.section import Figure, Section
from demograd.report.variant import variant, world_labels

METRIC = "gradient_norm"
MOST_STEPS = 64
"""More steps are averaged in as many bins."""
_LEAD = "‖∇‖₂ of the trained parameters of each layer at each step, mean over demonstration sets."


def gradient_norms_section(results: pd.DataFrame, scores: Scores) -> Section | None:
    """A heat map per method and weights, a figure per task."""
    rows = results[(results["metric"] == METRIC) & (results["setting"] == "FT") & results["value"].notna()]
    if rows.empty:
        return None
    of_rows = [variant(row) for row in rows.to_dict("records")]
    shown = at_one_rate(scores)
    worlds = world_labels([each for each in shown if each in set(of_rows)])
    figures = []
    for world in dict.fromkeys(worlds.values()):
        labels = short_labels([each for each in worlds if worlds[each] == world])
        charts = []
        for each, label in labels.items():
            data, binned = _by_layer_and_step(rows[[one == each for one in of_rows]])
            step = f"step, in bins of {binned}" if binned > 1 else "step"
            colours: Colours = "log" if is_layer_causal(each.method_options) else "linear"
            if (data["value"] > 0).any():
                charts.append(
                    heat_map(data, label, x=step, y="layer", value=f"norm ({colours} scale)", colours=colours)
                )
        if charts:
            figures.append(Figure(tuple(charts), "", world if len(set(worlds.values())) > 1 else "", small=True))
    told = tuple(f"About the published ones: {caveat.says}" for caveat in caveats_of({"metric": METRIC}))
    told += (SAID,) if any(shown.values()) else ()
    return Section("gradient-norms", "Gradient norms", _LEAD, tuple(figures), told) if figures else None


def _by_layer_and_step(rows: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Means over demonstration sets, and how many steps share a column."""
    steps = int(rows["step"].max()) + 1
    binned = -(-steps // MOST_STEPS)
    step = rows["step"].astype(int) // binned * binned
    means = rows["value"].astype(float).groupby([step, rows["layer"].astype(int)]).mean()
    return means.rename_axis(["x", "y"]).rename("value").reset_index(), binned
