"""SimAM_Δ of every head: where in the network fine-tuning changes attention as ICL does."""

import pandas as pd

from demograd.metrics import METRICS
from demograd.report.charts.heat_map import heat_map
from demograd.report.run import ReportedRun
from demograd.report.scores import NEAREST_RATE_NOTE, at_one_rate, plain_rows
from demograd.report.section import Chart, Figure, Section, figure, section
from demograd.report.subject import Variant, by_world, short_labels, variants_of, weights_rank
from demograd.words import Setting

METRIC = "sim_am_delta"
ABSENT = "#d5dae0"
"""The colour of heads without a number: grey, which is no number’s colour."""
_SIDE = 200
_LEAD = (
    "SimAM_Δ is the cosine of two changes of a head’s attention to a query’s tokens: the one that demonstrations in "
    "the prompt make, and the one that fine-tuning makes. Each cell is a head, mean over queries and demonstration "
    "sets: matched pairs only, for of mismatched ones a run keeps the mean over heads, so what belongs to a "
    "demonstration set is in “Matching”."
)
_GREY = "Grey: no number, for every change of attention is below resolution there."
Heads = dict[Variant, pd.DataFrame]
"""Columns x (head), y (layer) and value."""


@section("Head by head", order=165, brief="Heads")
def heads_section(run: ReportedRun) -> Section | None:
    """A heat map per method and weights in the same colours, beside that of reordered ICL; a figure per task."""
    shown = at_one_rate(run.scores)
    of_all = _heads(run.results, Setting.FT)
    tuned = {owner: of_all[owner] for owner in shown if owner in of_all}
    reordered = _heads(run.results, Setting.ICL_REORDERED)
    if not tuned:
        return None
    beside = {owner.untuned: reordered[owner.untuned] for owner in tuned if owner.untuned in reordered}
    values = pd.concat([heads["value"] for heads in (*tuned.values(), *beside.values())]).abs()
    reach = float(values.max()) if values.notna().any() else 0.0
    figures: list[Figure] = []
    for world, members in by_world(owner for owner in shown if owner in tuned).items():
        charts = [_map(tuned[owner], label, reach) for owner, label in short_labels(members).items()]
        ceilings = [owner for owner in dict.fromkeys(owner.untuned for owner in members) if owner in beside]
        charts += [
            _map(beside[owner], ", ".join(["ICL, reordered", *[owner.weights] * (len(ceilings) > 1)]), reach)
            for owner in ceilings
        ]
        counts = [text for owner, label in short_labels(members).items() if (text := _missing(tuned[owner], label))]
        figures += figure(charts, " ".join([_GREY, *counts]) if counts else "", world, small=True)
    notes = (NEAREST_RATE_NOTE,) if any(shown.values()) else ()
    return Section(tuple(figures), f"{_sentence(tuned)} {_LEAD}", notes) if figures else None


def _heads(results: pd.DataFrame, setting: Setting) -> Heads:
    rows = plain_rows(results)
    rows = rows[(rows["metric"] == METRIC) & (rows["setting"] == setting) & rows["head"].notna()]
    rows = rows[rows[["seed", "step"]].isna().all(axis=1) & (rows["selection"] == "all")]
    owners = variants_of(rows)
    places = {owner: place for place, owner in enumerate(dict.fromkeys(owners))}
    maps = pd.DataFrame(
        {
            "x": rows["head"].astype(int),
            "y": rows["layer"].astype(int),
            "value": rows["value"].astype(float),
            "place": [places[owner] for owner in owners],
        }
    )
    return {owner: maps[maps["place"] == place].drop(columns="place") for owner, place in places.items()}


def _map(heads: pd.DataFrame, label: str, reach: float) -> Chart | None:
    if heads["value"].isna().all():
        return None
    return heat_map(
        heads,
        label,
        x="head",
        y="layer",
        value="SimAM_Δ (cosine)",
        colours="signed",
        reach=reach,
        absent=ABSENT,
        width=_SIDE,
        height=max(_SIDE, 6 * heads["y"].nunique()),
    )


def _missing(heads: pd.DataFrame, label: str) -> str:
    n = int(heads["value"].isna().sum())
    return f"{label}: {n} of {len(heads)} heads." if n else ""


def _sentence(tuned: Heads) -> str:
    """The most alike head of the first method, beside its median head."""
    owner, heads = min(tuned.items(), key=lambda item: weights_rank(item[0].weights))
    present = heads.dropna(subset=["value"])
    if present.empty:
        return ""
    best = present.sort_values("value").iloc[-1]
    return (
        f"Of {owner.method} ({owner.weights}) the head most alike ICL is head {best['x']:.0f} of layer "
        f"{best['y']:.0f}, with {METRICS[METRIC].title} {best['value']:.2f}; half of its heads lie "
        f"below {present['value'].median():.2f}."
    )
