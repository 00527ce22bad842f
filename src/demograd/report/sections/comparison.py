"""Each trained transformer held against each reference: does it predict the same, and for the same reason?"""

from collections.abc import Mapping, Sequence

from demograd.report.networks import DEFINITIONS, Subject, by_seed, by_subject, of_context, worlds_of
from demograd.report.numbers import Number
from demograd.report.run import Run
from demograd.report.section import NOTHING, Entry, Head, Section, Table, TableRow, entry, grouped, section
from demograd.report.synthetic.decision import SAME_LOSS, SAME_RULE, same_algorithm, standing_in_words
from demograd.report.synthetic.seeds_apart import seeds_apart
from demograd.statistics import Verdict

SHOWN = ("loss_ratio", "sensitivity_cosine", "sensitivity_distance", "prediction_difference")
"""A column each."""
DISTANCE = "preconditioner_distance"
_LEAD = (
    f"Two learners are called the same where the ratio of their losses is within {SAME_LOSS[0]:g} to {SAME_LOSS[1]:g} "
    f"and the cosine of their sensitivities, ∂ŷ/∂x at the query, is above {SAME_RULE:g}: both with their whole 95 % "
    "interval, on five training seeds or more."
)


@section("Are they the same algorithm?", order=30)
def comparison_section(run: Run) -> Section | None:
    """A table of networks and references, and one of the distances of preconditioners."""
    rows = run.networks_at_context
    scores = {metric: numbers for metric in SHOWN if (numbers := by_subject(rows, metric))}
    distances = by_subject(rows, DISTANCE)
    ratios = by_seed(of_context(run.results, run.study.get("context")), "loss_ratio")
    tables = [_pairs(scores, ratios)] if scores else []
    tables += [_preconditioners(distances)] if distances else []
    lead = _LEAD if "sensitivity_cosine" in scores else ""
    return Section(tuple(tables), lead) if tables else None


def _pairs(scores: dict[str, dict[Subject, Number]], ratios: Mapping[Subject, Sequence[float]]) -> Table:
    """A row per network and reference, with a verdict if their losses and sensitivities were both compared."""
    is_claimed = "sensitivity_cosine" in scores
    claimed = (Head("the same?", words=True),) if is_claimed else ()
    heads = (Head("network", "against"), *claimed, *(Head(DEFINITIONS[metric].title) for metric in scores))
    pairs = dict.fromkeys(subject for numbers in scores.values() for subject in numbers)
    lines = []
    for subject in sorted(pairs, key=lambda subject: worlds_of(pairs).index(subject.world)):
        entries = [entry(numbers[subject]) if subject in numbers else NOTHING for numbers in scores.values()]
        verdict = []
        if is_claimed:
            ratio = scores.get("loss_ratio", {}).get(subject)
            apart = seeds_apart(ratios.get(subject, ())) if ratio and ratio.value is not None else ""
            verdict = [_verdict(ratio, scores["sensitivity_cosine"].get(subject), apart)]
        lines.append(
            (subject.world, TableRow(subject.network, (*verdict, *entries), under=(f"against {subject.reference}",)))
        )
    return Table(heads, grouped(lines))


def _verdict(loss_ratio: Number | None, sensitivity_cosine: Number | None, apart: str) -> Entry:
    if loss_ratio is None or sensitivity_cosine is None:
        return NOTHING
    decision = same_algorithm(loss_ratio, sensitivity_cosine)
    why = decision.reason if decision.verdict == Verdict.UNDECIDED else ""
    under = dict.fromkeys(filter(None, (apart or standing_in_words(loss_ratio), why)))
    return Entry(decision.verdict.value, under=tuple(under), tone=decision.verdict.value)


def _preconditioners(distances: dict[Subject, Number]) -> Table:
    heads = (Head("network", "against"), Head(DEFINITIONS[DISTANCE].title))
    lines = [
        (subject.world, TableRow(subject.network, (entry(distance),), under=(f"against {subject.reference}",)))
        for subject, distance in distances.items()
    ]
    return Table(heads, grouped(lines), "Preconditioners")
