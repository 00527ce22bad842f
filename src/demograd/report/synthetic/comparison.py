"""Each trained transformer held against each reference: does it predict the same, and for the same reason?"""

from collections.abc import Mapping, Sequence

import pandas as pd

from demograd.report.networks import DEFINITIONS, Subject, cells, worlds_of
from demograd.report.section import NOTHING, Entry, Head, Row, Section, Table, entry, grouped
from demograd.report.synthetic.decision import SAME_LOSS, SAME_RULE, same_algorithm, standing_in_words
from demograd.report.synthetic.seeds_apart import seeds_apart
from demograd.statistics import Verdict
from demograd.statistics.cell import Cell

SHOWN = ("loss_ratio", "sensitivity_cosine", "sensitivity_distance", "prediction_difference")
"""A column each."""
DISTANCE = "preconditioner_distance"
_LEAD = (
    f"Two learners are called the same where the ratio of their losses is within {SAME_LOSS[0]:g} to {SAME_LOSS[1]:g} "
    f"and the cosine of their sensitivities, ∂ŷ/∂x at the query, is above {SAME_RULE:g}: both with their whole 95 % "
    "interval, on five training seeds or more."
)


def comparison_section(rows: pd.DataFrame, ratios: Mapping[Subject, Sequence[float]]) -> Section | None:
    """A row per network and reference, and the distances of preconditioners; `ratios` of losses, seed by seed."""
    found = {metric: of_metric for metric in SHOWN if (of_metric := cells(rows, metric))}
    distances = cells(rows, DISTANCE)
    tables = [_pairs(found, ratios)] if found else []
    tables += [_preconditioners(distances)] if distances else []
    lead = _LEAD if "sensitivity_cosine" in found else ""
    return Section(tuple(tables), lead) if tables else None


def _pairs(found: dict[str, dict[Subject, Cell]], ratios: Mapping[Subject, Sequence[float]]) -> Table:
    """With a verdict, where a pair's losses and sensitivities were both compared."""
    is_claimed = "sensitivity_cosine" in found
    claimed = (Head("the same?", words=True),) if is_claimed else ()
    heads = (Head("network", "against"), *claimed, *(Head(DEFINITIONS[metric].title) for metric in found))
    pairs = dict.fromkeys(of for of_metric in found.values() for of in of_metric)
    lines = []
    for of in sorted(pairs, key=lambda of: worlds_of(pairs).index(of.world)):
        numbers = [entry(of_metric[of]) if of in of_metric else NOTHING for of_metric in found.values()]
        verdict = []
        if is_claimed:
            ratio = found.get("loss_ratio", {}).get(of)
            apart = seeds_apart(ratios.get(of, ())) if ratio and ratio.value is not None else ""
            verdict = [_verdict(ratio, found["sensitivity_cosine"].get(of), apart)]
        lines.append((of.world, Row(of.network, (*verdict, *numbers), under=(f"against {of.reference}",))))
    return Table(heads, grouped(lines))


def _verdict(loss_ratio: Cell | None, sensitivity_cosine: Cell | None, apart: str) -> Entry:
    if loss_ratio is None or sensitivity_cosine is None:
        return NOTHING
    decision = same_algorithm(loss_ratio, sensitivity_cosine)
    why = decision.reason if decision.verdict == Verdict.UNDECIDED else ""
    under = dict.fromkeys(filter(None, (apart or standing_in_words(loss_ratio), why)))
    return Entry(decision.verdict.value, under=tuple(under), tone=decision.verdict.value)


def _preconditioners(distances: dict[Subject, Cell]) -> Table:
    heads = (Head("network", "against"), Head(DEFINITIONS[DISTANCE].title))
    lines = [
        (of.world, Row(of.network, (entry(distance),), under=(f"against {of.reference}",)))
        for of, distance in distances.items()
    ]
    return Table(heads, grouped(lines), "Preconditioners")
