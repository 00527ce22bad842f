"""How sparse attention matrices are, beside what constructions of gradient descent need (Shen 2023, Figure 2)."""

import pandas as pd

from demograd.report.cell import number
from demograd.report.drawing import WIDTH, keys
from demograd.report.lines import Axis, line_chart
from demograd.report.section import Entry, Figure, Group, Head, Row, Section, Table
from demograd.report.variant import WEIGHTS

METRIC = "sparsity_ratio"
DIMENSIONS = (2, 10, 64, 576, 2048)
_LEAD = (
    "The constructions that make one layer of linear attention a step of gradient descent need most weights to be "
    "exactly zero. This is the share of a trained model’s attention weights whose magnitude is under a threshold."
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


def sparsity_section(results: pd.DataFrame) -> Section | None:
    """Curves against the threshold and by layer, and what the construction requires."""
    rows = results[(results["metric"] == METRIC) & results["value"].notna()]
    if rows.empty:
        return None
    models = rows["model"].nunique()
    rows = rows.assign(
        label=rows["weights"] if models < 2 else rows["weights"] + ", " + rows["model"],
        y=rows["value"].astype(float),
        at=rows["at"].astype(float),
    )
    names = sorted(set(rows["label"]), key=lambda label: (_rank(label), label))
    over_all = rows[rows["layer"].isna()].groupby(["label", "at"], as_index=False)["y"].mean()
    layers = rows[rows["layer"].notna()].groupby(["label", "at", "layer"], as_index=False)["y"].mean()
    spread = layers.groupby(["label", "at"])["y"].agg(low="min", high="max").reset_index()
    legend, thresholds = keys(names), tuple(sorted(set(over_all["at"])))
    share, threshold = Axis("share of weights", zero=True), Axis("threshold", "log", ticks=thresholds)
    with_spread = over_all.merge(spread, how="left").assign(x=over_all["at"])
    by_threshold = line_chart(with_spread, "By threshold", threshold, share, legend, width=WIDTH)
    parts: list[Figure | Table] = []
    if by_threshold:
        caption = "" if layers.empty else "Upright lines: from the least to the most sparse layer."
        parts.append(Figure((by_threshold,), caption, legend=legend))
    of_threshold = keys([f"under {at:g}" for at in thresholds])
    data = layers.assign(
        x=layers["layer"].astype(float), label_of=layers["label"], label=[f"under {at:g}" for at in layers["at"]]
    )
    by_layer = [
        line_chart(data[data["label_of"] == name], name, Axis("layer", whole=True), share, of_threshold)
        for name in names
    ]
    if any(by_layer):
        charts = tuple(chart for chart in by_layer if chart)
        parts.append(Figure(charts, "", "By layer", of_threshold, small=True))
    return Section("sparsity", "How sparse are the attention matrices?", _LEAD, (*parts, _construction()))


def _construction() -> Table:
    entries = tuple(Entry(number(zeros_of_construction(d), 4)) for d in DIMENSIONS)
    heads = (Head("construction"), *(Head(f"d = {d:,}") for d in DIMENSIONS))
    return Table(
        heads, (Group("", (Row("exact zeros", entries, "von Oswald 2023a"),)),), "What a construction needs", _FORMULA
    )


def _rank(label: str) -> int:
    weights = label.split(",")[0]
    return WEIGHTS.index(weights) if weights in WEIGHTS else len(WEIGHTS)
