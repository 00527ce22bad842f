"""The verdicts on small networks: whether each predicts as each reference does, and for the same reason."""

from collections.abc import Mapping
from typing import Any

from demograd.report.networks import DEFINITIONS, Subject, by_subject, worlds_of
from demograd.report.run import ReportedRun
from demograd.report.section import NOTHING, Entry, Head, Section, Table, TableRow, entry, grouped, section
from demograd.statistics import Number

CLAIM = "same-algorithm"
SHOWN = ("loss_ratio", "sensitivity_cosine", "sensitivity_distance", "prediction_difference")
"""A column each."""
DISTANCE = "preconditioner_distance"
_LEAD = (
    "Two learners are called the same where the ratio of their losses is within 0.98 to 1.02 and the cosine of their "
    "sensitivities, ∂ŷ/∂x at the query, is above 0.99: both with their whole interval, corrected for the other pairs "
    "(Holm), on five training seeds or more."
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
    return Section(tuple(tables), lead) if tables else None


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
