"""The manual's pictures: each is drawn when the site is built, from a small simulation whose truth is known, or, those
of the findings, from what was collected of a run.

python docs/hooks/pictures.py FOLDER        # or by mkdocs, as pictures/NAME.svg of the site
"""

import sys
from collections.abc import Callable
from pathlib import Path

import altair as alt
import findings_pictures
import numpy as np
import pandas as pd
import torch
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from scipy.stats import t

from demograd import Observation, metrics
from demograd.report.charts.drawing import COLOURS, DASHES, HEIGHT, SMALL, WIDTH, as_chart, panel_header
from demograd.report.charts.heat_map import FRAME
from demograd.report.section import Chart
from demograd.statistics import match, mean_of_parts

SETS, QUERIES = 8, 60


def on_files(files: Files, config: MkDocsConfig) -> None:
    """mkdocs: the pictures are files of the site."""
    for name, draw in PICTURES.items():
        files.append(File.generated(config, f"pictures/{name}.svg", content=draw().svg))
    for name, chart in findings_pictures.pictures().items():
        files.append(File.generated(config, f"pictures/{name}.svg", content=chart.svg))


def naive_metrics() -> Chart:
    """What two updates score that have nothing in common, by their length."""
    lengths = np.linspace(0.05, 4, 80)
    z, r, r_ = torch.eye(3)
    rows = []
    for length in lengths:
        zsl, icl, ft = (_outputs(h) for h in (z, z + length * r, z + length * r_))
        for title, score in (("SimAOU_norm", metrics.sim_aou_norm), ("SimAOU", metrics.sim_aou)):
            rows.append({"label": title, "x": length, "y": score(zsl, icl, ft).item()})
    lines = _labelled_lines(
        pd.DataFrame(rows),
        "length of the updates beside that of h_ZSL",
        "score of unrelated updates",
        reach=(-0.02, 0.5),
    )
    return as_chart(
        lines,
        "What two updates score that have nothing in common",
        "SimAOU is zero at any length; SimAOU_norm rises with the length of the updates, past a quarter at 1.7",
    )


def matching() -> Chart:
    """Two matrices of equal mean: in one, fine-tuning on a set does what in-context learning does with that set."""
    matrices = []
    for own_share in (0.0, 0.6):
        scores = _matched_scores(own_share)
        test = match(torch.from_numpy(scores))
        p_value = f"p = {test.p_value:.1g}" if test.p_value > 0.001 else "p < 0.001"
        panel = f"matched {test.matched:.2f}, mismatched {test.mismatched:.2f}, {p_value}"
        icl, ft = np.indices((SETS, SETS))
        values = {"panel": panel, "y": icl.ravel(), "x": ft.ravel(), "value": scores.mean(axis=-1).ravel()}
        matrices.append(pd.DataFrame(values))
    base = alt.Chart().encode(
        x=alt.X("x:O", title="FT on set", axis=alt.Axis(labelAngle=0, grid=False)),
        y=alt.Y("y:O", title="ICL with set", axis=alt.Axis(grid=False)),
    )
    cells = base.mark_rect().encode(color=alt.Color("value:Q", title="similarity", scale=alt.Scale(scheme="viridis")))
    frames = base.transform_filter("datum.x === datum.y").mark_rect(fillOpacity=0, stroke=FRAME, strokeWidth=1)
    data = pd.concat(matrices)
    maps = alt.layer(cells, frames, data=data).properties(width=300, height=300)
    panels = alt.Column("panel:N", title=None, sort=list(dict.fromkeys(data["panel"])), header=panel_header())
    return as_chart(
        maps.facet(column=panels),
        "Two matrices with high similarities",
        "In the left matrix rows and columns differ, and the diagonal does not stand out; in the right one it does",
    )


def validity() -> Chart:
    """What the gate looks at, in three simulated models."""
    rows = []
    for name, zsl, icl in _simulated_models():
        check = metrics.check_in_context_learning([zsl] * SETS, icl, resamples=300)
        for change in check.changes:
            if change.measure != "accuracy" and change.interval:
                rows.append(
                    {
                        "model": f"{name}: {'open' if check.passed else 'closed'}",
                        "measure": "format (not counted)" if change.measure == "format" else change.measure,
                        "change": change.difference,
                        "low": change.interval.low,
                        "high": change.interval.high,
                        "against zero": "better" if change.is_better else "worse" if change.is_worse else "undecided",
                    }
                )
    changes = pd.DataFrame(rows)
    panels = [_changes(measure, of_measure) for measure, of_measure in changes.groupby("measure", sort=False)]
    return as_chart(
        alt.concat(*panels, columns=2),
        "What the gate looks at",
        "Changes in AUC, calibrated accuracy, likelihood and format of three simulated models, with 98.3 % intervals",
    )


def _changes(measure: str, changes: pd.DataFrame) -> alt.LayerChart:
    """ICL minus ZSL of each model in one measure; better, worse and undecided differ in shape and colour."""
    against_zero = ["better", "worse", "undecided"]
    base = alt.Chart(changes).encode(
        y=alt.Y("model:N", title=None, sort=None, axis=alt.Axis(labelLimit=300)),
        color=alt.Color("against zero:N", scale=alt.Scale(domain=against_zero, range=[*COLOURS[2:0:-1], COLOURS[7]])),
    )
    shapes = alt.Scale(domain=against_zero, range=["triangle-up", "triangle-down", "circle"])
    points = base.mark_point(filled=True, size=90, opacity=1).encode(
        x=alt.X("change:Q", title="ICL minus ZSL"), shape=alt.Shape("against zero:N", scale=shapes)
    )
    intervals = base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q")
    zero = alt.Chart(pd.DataFrame({"change": [0.0]})).mark_rule(strokeDash=[4, 3]).encode(x="change:Q")
    return alt.layer(zero, intervals, points).properties(width=SMALL, height=100, title=measure)


def statistics() -> Chart:
    """How often three 95 % intervals cover the truth, by the number of demonstration sets."""
    random, repetitions = np.random.default_rng(0), 400
    rows = []
    for n_sets in (3, 5, 7, 10, 15, 20):
        covered: dict[str, list[bool]] = {}
        for _ in range(repetitions):
            table = _table(random, n_sets)
            crossed, conditional = mean_of_parts(table, "demonstrations"), mean_of_parts(table, "queries")
            half = t.ppf(0.975, table.size - 1) * table.std(ddof=1) / table.size**0.5
            for label, low, high in (
                ("sets and queries", crossed.interval(0.95).low, crossed.interval(0.95).high),
                ("queries alone", conditional.interval(0.95).low, conditional.interval(0.95).high),
                ("all values as independent", table.mean() - half, table.mean() + half),
            ):
                covered.setdefault(label, []).append(low <= 0 <= high)
        rows += [{"label": label, "x": n_sets, "y": float(np.mean(hits))} for label, hits in covered.items()]
    lines = _labelled_lines(pd.DataFrame(rows), "demonstration sets", "share of intervals that cover", reach=(0, 1))
    promised = alt.Chart(pd.DataFrame({"y": [0.95]})).mark_rule(strokeDash=[1, 3]).encode(y="y:Q")
    return as_chart(
        alt.layer(promised, lines),
        "How often a 95 % interval covers the truth",
        "The interval over sets and queries covers in about 95 of 100 cases; the two others in far fewer",
    )


PICTURES: dict[str, Callable[[], Chart]] = {
    "naive-metrics": naive_metrics,
    "matching": matching,
    "validity": validity,
    "statistics": statistics,
}
"""By the names of their files."""


def _outputs(h: torch.Tensor) -> Observation:
    """One query of a network with one layer, of which nothing but the attention output matters here."""
    return Observation(h[None, None], [torch.zeros(1, 1, 1)], torch.zeros(1, 2), torch.tensor([0]))


def _matched_scores(own_share: float) -> np.ndarray:
    """SimAOU [ICL sets, FT sets, queries] of updates with much in common, and of more or less of it with each set."""
    random, width = np.random.default_rng(3), 64
    common = random.standard_normal((QUERIES, width))
    of_set, noise_icl, noise_ft = random.standard_normal((3, SETS, QUERIES, width))
    loud_icl, loud_ft = random.uniform(0.7, 1.6, (2, SETS, 1, 1))  # main effects: how much of the common part a set has
    icl = loud_icl * common + own_share * of_set + (1 - own_share**2) ** 0.5 * noise_icl
    ft = loud_ft * common + own_share * of_set + (1 - own_share**2) ** 0.5 * noise_ft
    icl, ft = (u / np.linalg.norm(u, axis=-1, keepdims=True) for u in (icl, ft))
    return np.einsum("iqd,jqd->ijq", icl, ft)


def _simulated_models() -> list[tuple[str, Observation, list[Observation]]]:
    """Name, ZSL, and ICL on each demonstration set: two classes, whose log-odds carry a little of the gold label."""
    random = np.random.default_rng(1)
    gold = torch.from_numpy(np.arange(QUERIES) % 2)
    sign = 2.0 * gold.numpy() - 1
    before = 0.3 * sign + random.standard_normal(QUERIES)

    def observed(log_odds: np.ndarray, format_: float) -> Observation:
        halves = torch.from_numpy(np.stack([-log_odds, log_odds], axis=-1) / 2)
        scores = (halves.log_softmax(dim=-1) + format_).float()
        return Observation(torch.zeros(QUERIES, 1, 1), [torch.zeros(1, 1, 1)] * QUERIES, scores, gold)

    def of_sets(learned: float, bias: float, format_: float) -> list[Observation]:
        noise = 0.3 * random.standard_normal((SETS, QUERIES)) + 0.2 * random.standard_normal((SETS, 1))
        return [observed(before + learned * sign + bias + of_set, format_) for of_set in noise]

    zsl = observed(before, -3.0)
    return [
        ("learns the labels", zsl, of_sets(1.0, 0.0, -1.0)),
        ("learns the format", zsl, of_sets(0.0, 0.0, -1.0)),
        ("answers one class", zsl, of_sets(0.0, 2.5, -1.0)),
    ]


def _table(random: np.random.Generator, n_sets: int, n_queries: int = 100) -> np.ndarray:
    """Scores [sets, queries] around zero, in which sets differ a little and queries more."""
    return (
        0.2 * random.standard_normal((n_sets, 1))
        + 0.5 * random.standard_normal((1, n_queries))
        + random.standard_normal((n_sets, n_queries))
    )


def _labelled_lines(data: pd.DataFrame, x: str, y: str, reach: tuple[float, float]) -> alt.LayerChart:
    """A line per label, which stands at its right end: colours and dashes alone would need a legend."""
    labels = list(dict.fromkeys(data["label"]))
    base = alt.Chart(data).encode(
        x=alt.X("x:Q", title=x),
        y=alt.Y("y:Q", title=y, scale=alt.Scale(domain=reach)),
        color=alt.Color("label:N", scale=alt.Scale(domain=labels, range=COLOURS[: len(labels)]), legend=None),
    )
    dashes = alt.Scale(domain=labels, range=[list(dash) or [1, 0] for dash in DASHES[: len(labels)]])
    line = base.mark_line(strokeWidth=2.5).encode(strokeDash=alt.StrokeDash("label:N", scale=dashes, legend=None))
    ends = base.transform_filter(alt.datum.x == float(data["x"].max())).mark_text(align="left", dx=6, fontSize=12)
    return alt.layer(line, ends.encode(text="label:N")).properties(width=WIDTH, height=HEIGHT + 60)


if __name__ == "__main__":
    for picture, draw in PICTURES.items():
        Path(sys.argv[1], f"{picture}.svg").write_text(draw().svg, encoding="utf-8")
