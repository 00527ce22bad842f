"""The verdicts on small networks: whether each predicts as each reference does, and for the same reason."""

from collections.abc import Mapping
from math import log
from typing import Any

from demograd.report.charts.dots import Dot, dot_chart
from demograd.report.networks import DEFINITIONS, Subject, by_subject, worlds_of
from demograd.report.run import ReportedRun
from demograd.report.section import NOTHING, Entry, Head, Section, Table, TableRow, entry, figure, grouped, section
from demograd.statistics import Number

CLAIM = "same-algorithm"
SHOWN = (
    "loss_ratio",
    "sensitivity_cosine",
    "sensitivity_distance",
    "prediction_difference",
    "squared_prediction_difference",
    "implicit_weight_distance",
)
"""A column each."""
DISTANCE = "preconditioner_distance"
_LEAD = (
    "Two learners are called the same where the ratio of their losses is within 0.98 to 1.02 and the cosine of their "
    "sensitivities, ∂ŷ/∂x at the query, is above 0.99: both with their whole interval, corrected for the other pairs "
    "(Holm), on five training seeds or more. With a reference that is worse on problems which it was not tuned on, "
    "that is undecided."
)


@section("Are they the same algorithm?", order=30, brief="Same algorithm?")
def comparison_section(run: ReportedRun) -> Section | None:
    """A row per network and reference, and the distances of preconditioners."""
    rows = run.networks_at_context
    by_metric = {metric: values for metric in SHOWN if (values := by_subject(rows, metric))}
    distances = by_subject(rows, DISTANCE)
    tables = [_pairs(by_metric, _statements(run))] if by_metric else []
    tables += [_preconditioners(distances)] if distances else []
    lead = _LEAD if "sensitivity_cosine" in by_metric else ""
    if not tables:
        return None
    ratios = by_metric.get("loss_ratio", {})
    charts = [
        dot_chart(
            [Dot(s.network, ratio, f"against {s.reference}") for s, ratio in ratios.items() if s.world == world],
            world,
            "loss of the network over that of the reference (line: the same)",
            scale="log",
            level=1.0,
        )
        for world in worlds_of(ratios)
    ]
    lead = " ".join(filter(None, (_sentence(ratios), lead)))
    return Section((*figure(charts, "Lines: 95 % intervals."), *tables), lead)


def _sentence(ratios: Mapping[Subject, Number]) -> str:
    """The pair whose losses are the most alike."""
    present = {subject: ratio for subject, ratio in ratios.items() if ratio.value}
    if not present:
        return ""
    closest = min(present, key=lambda subject: abs(log(present[subject].value or 1.0)))
    ratio = present[closest].with_bounds
    return f"Closest come “{closest.network}” and {closest.reference} in {closest.world}: a ratio of losses of {ratio}."


def _statements(run: ReportedRun) -> dict[Subject, Mapping[str, Any]]:
    """The comparisons of networks with references, as `claims.json` has them."""
    comparisons = [
        comparison for claim in run.claims["claims"] if claim["name"] == CLAIM for comparison in claim["comparisons"]
    ]
    return {Subject(row["task"], row["network"], row["reference"]): row for row in comparisons}


def _pairs(by_metric: dict[str, dict[Subject, Number]], statements: dict[Subject, Mapping[str, Any]]) -> Table:
    """With a verdict, where pairs' losses and sensitivities were both compared."""
    is_claimed = "sensitivity_cosine" in by_metric
    claimed = (Head("the same?", words=True),) if is_claimed else ()
    heads = (Head("network", "against"), *claimed, *(Head(DEFINITIONS[metric].title) for metric in by_metric))
    pairs = dict.fromkeys(subject for values in by_metric.values() for subject in values)
    lines = []
    for subject in sorted(pairs, key=lambda subject: worlds_of(pairs).index(subject.world)):
        numbers = [entry(values[subject]) if subject in values else NOTHING for values in by_metric.values()]
        verdict = [_verdict(statements.get(subject))] if is_claimed else []
        row = TableRow(subject.network, (*verdict, *numbers), under=(f"against {subject.reference}",))
        lines.append((subject.world, row))
    return Table(heads, grouped(lines))


def _verdict(statement: Mapping[str, Any] | None) -> Entry:
    if statement is None:
        return NOTHING
    why = statement["reason"] if statement["verdict"] == "undecided" else ""
    under = dict.fromkeys(filter(None, (statement["standing"], why)))
    return Entry(statement["verdict"], under=tuple(under), tone=statement["verdict"])


def _preconditioners(distances: dict[Subject, Number]) -> Table:
    heads = (Head("network", "against"), Head(DEFINITIONS[DISTANCE].title))
    lines = [
        (subject.world, TableRow(subject.network, (entry(distance),), under=(f"against {subject.reference}",)))
        for subject, distance in distances.items()
    ]
    return Table(heads, grouped(lines), "Preconditioners")
