"""Sparsity of attention matrices, beside what constructions of gradient descent need (Shen 2023, Figure 2): of language
models, and of trained and constructed small networks."""

import pandas as pd

from demograd.report.charts.drawing import WIDTH, keys
from demograd.report.charts.lines import Axis, line_chart
from demograd.report.run import ReportedRun
from demograd.report.section import Entry, Figure, Group, Head, Section, Table, TableRow, figure, section
from demograd.report.subject import weights_rank
from demograd.statistics.number import estimate, formatted

METRIC = "sparsity_ratio"
PRODUCTS = "sparsity_ratio_products"
DIMENSIONS = (2, 10, 64, 576, 2048)
_LEAD = (
    "The constructions that make one layer of linear attention a step of gradient descent need most weights to be "
    "exactly zero. This is the share of a trained model’s attention weights whose magnitude is under a threshold."
)
_PRODUCTS_LEAD = (
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
_FORMULA = (
    "With x of d numbers and y of one, tokens (x, y), the construction of von Oswald 2023a has W_K = W_Q = diag(I, 0), "
    "W_V = [[0, 0], [W₀, −1]] and P = (η/N) I, each (d + 1) × (d + 1): d, d, d + 1 and d + 1 weights are not zero, so "
    "the share of exact zeros is 1 − (4d + 2) / (4 (d + 1)²). With W₀ = 0 it is larger by d / (4 (d + 1)²)."
)


def zeros_of_construction(d: int) -> float:
    """Share of exact zeros in W_K, W_Q, W_V and P of a linear attention layer that makes a GD step from W₀, for x of d
    numbers and y of one: the four matrices whose small weights are counted in a trained model.

    **Source:** von Oswald 2023a, Proposition 1.
    """
    return 1 - (4 * d + 2) / (4 * (d + 1) ** 2)


@section("How sparse are the attention matrices?", order=220, brief="Sparsity")
def sparsity_section(run: ReportedRun) -> Section | None:
    """Products of small networks and constructions where there are any, then factors, and what a construction needs."""
    rows = run.results[run.results["value"].notna()]
    # a language model's seed is that of a draw of its untrained weights, which has no row over all draws
    rows = rows[rows["seed"].isna() | rows["task"].isna()]
    factors = _labelled(rows[rows["metric"] == METRIC])
    if factors.empty:
        return None
    products = _products(rows[rows["metric"] == PRODUCTS])
    parts: list[Table | Figure] = [*products, *_factors(factors, has_products=bool(products)), _construction()]
    lead = _PRODUCTS_LEAD if products else _LEAD
    return Section(tuple(parts), f"{_sentence(factors)} {lead}")


def _sentence(factors: pd.DataFrame) -> str:
    """The share under the smallest threshold of the first network, beside that of a construction."""
    whole = factors[factors["layer"].isna()]
    whole = whole.assign(rank=[weights_rank(name) for name in whole["weights"]]).sort_values(
        ["rank", "at"], kind="stable"
    )
    if whole.empty:
        return ""
    first = whole.iloc[0]
    share, needed = (
        estimate(100 * float(first["value"])).text,
        estimate(100 * zeros_of_construction(DIMENSIONS[2])).text,
    )
    return (
        f"{share} % of the attention weights ({first['label']}) are under {float(first['at']):g} in magnitude; a "
        f"construction for {DIMENSIONS[2]} inputs has {needed} % exact zeros."
    )


def _labelled(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with a column `label` of weights and model; small networks, over all layers, have their world's name."""
    is_small, world = rows["task"].notna(), rows["task"].astype(str)
    names = (rows["model"] + " in " + world).where(rows["weights"] != "constructed", "for " + world)
    rows = rows.assign(model=names.where(is_small, rows["model"]))
    rows = rows[~is_small | rows["layer"].isna()]
    several = rows["model"].nunique() > 1
    return rows.assign(label=rows["weights"] + ", " + rows["model"] if several else rows["weights"])


def _products(rows: pd.DataFrame) -> tuple[Figure, ...]:
    """A chart per world."""
    points = _with_spread(rows.assign(label=rows["model"], world=rows["task"]), ["world", "label"])
    legend = keys(list(dict.fromkeys(points["label"])))
    threshold = Axis("threshold, of the largest entry", "log", ticks=tuple(sorted(set(points["x"]))))
    share = Axis("share of entries", zero=True)
    charts = [
        line_chart(curves, str(world), threshold, share, legend, width=WIDTH)
        for world, curves in points.groupby("world", sort=False)
    ]
    return figure(charts, _OF_PRODUCTS, "Products", legend)


def _with_spread(rows: pd.DataFrame, about: list[str]) -> pd.DataFrame:
    """Shares over all layers by threshold x, with low and high of the least and the most sparse layer."""
    rows = rows.assign(x=rows["at"].astype(float), y=rows["value"].astype(float))
    layers = rows[rows["layer"].notna()].groupby([*about, "x", "layer"], sort=False)["y"].mean()
    spread = layers.groupby([*about, "x"], sort=False).agg(low="min", high="max").reset_index()
    whole = rows[rows["layer"].isna()].groupby([*about, "x"], sort=False, as_index=False)["y"].mean()
    return whole.merge(spread, how="left")


def _factors(rows: pd.DataFrame, has_products: bool) -> tuple[Figure, ...]:
    """Charts of the sparsity of factors against the threshold, and by layer."""
    labels = sorted(set(rows["label"]), key=lambda label: (weights_rank(label.split(",")[0]), label))
    points = _with_spread(rows, ["label"]).sort_values(["label", "x"])
    thresholds = tuple(sorted(set(points["x"])))
    share = Axis("share of weights", zero=True)
    legend, threshold = keys(labels), Axis("threshold", "log", ticks=thresholds)
    has_layers = bool(rows["layer"].notna().any())
    caption = "Upright lines: from the least to the most sparse layer." if has_layers else ""
    by_threshold = figure(
        [line_chart(points, "By threshold", threshold, share, legend, width=WIDTH)],
        _OF_FACTORS if has_products else caption,
        "Factors" if has_products else "",
        legend,
    )
    layers = rows[rows["layer"].notna()].groupby(["label", "at", "layer"], as_index=False)["value"].mean()
    layers = layers.assign(x=layers["layer"].astype(float), y=layers["value"].astype(float))
    layers["line"] = [f"under {float(at):g}" for at in layers["at"]]
    key = keys([f"under {at:g}" for at in thresholds])
    charts = [
        line_chart(curves.assign(label=curves["line"]), label, Axis("layer", whole=True), share, key)
        for label, curves in ((label, layers[layers["label"] == label]) for label in labels)
    ]
    return (*by_threshold, *figure(charts, "", "By layer", key, small=True))


def _construction() -> Table:
    entries = tuple(Entry(formatted(zeros_of_construction(d), 4)) for d in DIMENSIONS)
    heads = (Head("construction"), *(Head(f"d = {d:,}") for d in DIMENSIONS))
    return Table(
        heads,
        (Group("", (TableRow("exact zeros", entries, "von Oswald 2023a"),)),),
        "What a construction needs",
        _FORMULA,
    )
