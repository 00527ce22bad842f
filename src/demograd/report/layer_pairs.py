"""SimAOU of every layer of ICL with every layer of FT (Deutch 2024, footnote 1 and §7): the relaxed correspondence."""

import pandas as pd

from demograd.report.heat_map import heat_map
from demograd.report.one_rate import SAID, at_one_rate
from demograd.report.points import of_variants, points, short_labels
from demograd.report.scores import Scores
from demograd.report.section import Figure, Section
from demograd.report.variant import world_labels

METRIC = "layer_by_layer_sim_aou"
_LEAD = (
    "cos(u_ICL(l), u_FT(l′)) for every pair of layers. If fine-tuning did in each layer what ICL does there, the "
    "diagonal would stand out; what stands out elsewhere is the same work done in another layer."
)


def layer_pairs_section(results: pd.DataFrame, scores: Scores) -> Section | None:
    """A heat map per method and weights, a figure per task."""
    found = points(results, METRIC)
    shown = at_one_rate(scores)
    variants = [each for each in shown if each in set(found["variant"])]
    worlds = world_labels(variants)
    figures = []
    for world in dict.fromkeys(worlds.values()):
        labels = short_labels([each for each in variants if worlds[each] == world])
        charts, means = [], []
        for each, label in labels.items():
            pairs = of_variants(found, {each: label}).dropna(
                subset=["at", "layer"]
            )  # one row, of what failed as a whole
            data = pd.DataFrame(
                {"x": pairs["at"].astype(int), "y": pairs["layer"].astype(int), "value": pairs["value"]}
            )
            if data["value"].notna().any():
                charts.append(
                    heat_map(data, label, x="layer of FT", y="layer of ICL", value="SimAOU", colours="signed")
                )
                means.append(_same_and_other(data, label))
        if charts:
            figures.append(
                Figure(tuple(charts), " ".join(means), world if len(set(worlds.values())) > 1 else "", small=True)
            )
    notes = (SAID,) if any(shown.values()) else ()
    return Section("layer-pairs", "Every layer with every other", _LEAD, tuple(figures), notes) if figures else None


def _same_and_other(data: pd.DataFrame, label: str) -> str:
    is_same = data["x"] == data["y"]
    best = data.sort_values("value", ascending=False, na_position="last").iloc[0]
    text = f"{label}: {data['value'][is_same].mean():.3f} on the diagonal"
    if not is_same.all():
        text += f", {data['value'][~is_same].mean():.3f} off it"
    text += f"; most alike are ICL’s layer {best['y']:.0f} and FT’s layer {best['x']:.0f} ({best['value']:.3f})."
    missing = int(data["value"].isna().sum())
    return text + f" {missing} of {len(data)} pairs are missing." * (missing > 0)
