"""SimAOU of every layer of ICL with every layer of FT (Deutch 2024, footnote 1 and §7): the relaxed correspondence."""

import pandas as pd

from demograd.report.charts.heat_map import heat_map
from demograd.report.run import ReportedRun
from demograd.report.scores import NEAREST_RATE_NOTE, at_one_rate, points
from demograd.report.section import Figure, Section, figure, section
from demograd.report.subject import by_world, short_labels

METRIC = "layer_by_layer_sim_aou"
_LEAD = (
    "cos(u_ICL(l), u_FT(l′)) for every pair of layers. If fine-tuning did in each layer what ICL does there, the "
    "diagonal would stand out; what stands out elsewhere is the same work done in another layer."
)


@section("Every layer with every other", order=160, brief="Layer pairs")
def layer_pairs_section(run: ReportedRun) -> Section | None:
    """A heat map per method and weights, a figure per task."""
    pairs, shown = points(run.results, METRIC), at_one_rate(run.scores)
    measured = set(pairs["variant"])
    figures: list[Figure] = []
    for world, variants in by_world(variant for variant in shown if variant in measured).items():
        charts, means = [], []
        for variant, label in short_labels(variants).items():
            # what failed as a whole is one row without layers
            rows = pairs[pairs["variant"] == variant].dropna(subset=["at", "layer"])
            data = pd.DataFrame({"x": rows["at"].astype(int), "y": rows["layer"].astype(int), "value": rows["value"]})
            if data["value"].notna().any():
                charts.append(
                    heat_map(data, label, x="layer of FT", y="layer of ICL", value="SimAOU", colours="signed")
                )
                means.append(_same_and_other(data, label))
        figures += figure(charts, " ".join(means), world, small=True)
    notes = (NEAREST_RATE_NOTE,) if any(shown.values()) else ()
    if not figures:
        return None
    first = figures[0].caption.partition(";")[0]
    return Section(tuple(figures), f"{first}. {_LEAD}", notes)


def _same_and_other(data: pd.DataFrame, label: str) -> str:
    is_same = data["x"] == data["y"]
    best = data.sort_values("value", ascending=False, na_position="last").iloc[0]
    text = f"{label}: {data['value'][is_same].mean():.3f} on the diagonal"
    if not is_same.all():
        text += f", {data['value'][~is_same].mean():.3f} off it"
    text += f"; most alike are ICL’s layer {best['y']:.0f} and FT’s layer {best['x']:.0f} ({best['value']:.3f})."
    missing = int(data["value"].isna().sum())
    return text + f" {missing} of {len(data)} pairs are missing." * (missing > 0)
