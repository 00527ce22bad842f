"""Sparsity of trained and constructed small networks, beside that of a language model (Shen 2023, Figure 2)."""

from dataclasses import replace

import pandas as pd

from demograd.report.drawing import WIDTH, keys
from demograd.report.lines import Axis, line_chart
from demograd.report.section import Figure, Section
from demograd.report.sparsity import METRIC, sparsity_section

PRODUCTS = "sparsity_ratio_products"
_LEAD = (
    "The constructions that make one layer of linear attention a step of gradient descent need most weights to be "
    "exactly zero. What a layer does depends on the products KᵀQ and PV alone, so those are counted first; then the "
    "factors K, Q, V and P, the only ones that a language model has in common with them."
)
_OF_PRODUCTS = (
    "Products KᵀQ and PV of networks and of references as layers: share of the entries with a magnitude under the "
    "threshold times the largest entry of their matrix, for a factor can go from one product into the other. Idle "
    "entries, which can change no prediction, do not count (in linear systems all do). Upright: "
    "from the least to the most sparse layer."
)
_OF_FACTORS = (
    "Factors K, Q, V and P: share of weights with a magnitude under the threshold itself. They say how a small network "
    "was trained rather than what it does, for any invertible matrix can go from Kᵀ into Q: a full K is dense whatever "
    "KᵀQ is. Of a language model there are factors only."
)


def synthetic_sparsity_section(results: pd.DataFrame) -> Section | None:
    """Products of small networks and constructions, then factors, as on a language model’s page."""
    over_seeds = results[results["seed"].isna()]
    factors = sparsity_section(_factors(over_seeds[over_seeds["metric"] == METRIC]))
    products = _products(over_seeds[(over_seeds["metric"] == PRODUCTS) & over_seeds["value"].notna()])
    if factors is None or products is None:
        return factors
    first, *rest = factors.parts
    first = replace(first, caption=_OF_FACTORS, title="Factors") if isinstance(first, Figure) else first
    return replace(factors, lead=_LEAD, parts=(products, first, *rest))


def _factors(rows: pd.DataFrame) -> pd.DataFrame:
    """Of small networks over all their few layers."""
    is_small = rows["task"].notna()
    in_world = rows["model"] + " in " + rows["task"]
    names = in_world.where(rows["weights"] != "constructed", "for " + rows["task"])
    rows = rows.assign(model=names.where(is_small, rows["model"]))
    return rows[~is_small | rows["layer"].isna()]


def _products(rows: pd.DataFrame) -> Figure | None:
    """A chart per world."""
    points = pd.DataFrame({"x": rows["at"].astype(float), "y": rows["value"].astype(float)})
    points[["world", "label", "layer"]] = rows[["task", "model", "layer"]]
    layers = points[points["layer"].notna()].groupby(["world", "label", "x"], sort=False)["y"]
    spread = layers.agg(low="min", high="max").reset_index()
    whole = points[points["layer"].isna()].merge(spread, how="left")
    legend = keys(list(dict.fromkeys(whole["label"])))
    threshold = Axis("threshold, of the largest entry", "log", ticks=tuple(sorted(set(whole["x"]))))
    share = Axis("share of entries", zero=True)
    charts = [
        line_chart(of, str(world), threshold, share, legend, width=WIDTH)
        for world, of in whole.groupby("world", sort=False)
    ]
    drawn = tuple(chart for chart in charts if chart)
    return Figure(drawn, _OF_PRODUCTS, "Products", legend) if drawn else None
