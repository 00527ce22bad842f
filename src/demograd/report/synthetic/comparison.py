"""Each trained transformer held against each reference: does it predict the same, and for the same reason?"""

import pandas as pd

from demograd.report.cell import NOT_MEASURED, Cell
from demograd.report.section import NOTHING, Entry, Head, Row, Section, Table, entry, grouped
from demograd.report.synthetic.decision import SAME_LOSS, SAME_RULE, same_algorithm
from demograd.report.synthetic.definitions import DEFINITIONS
from demograd.report.synthetic.numbers import Subject, cells, worlds_of

SHOWN = ("loss_ratio", "sensitivity_cosine", "sensitivity_distance", "prediction_difference")
"""A column each."""
DISTANCE = "preconditioner_distance"
_LEAD = (
    f"Two learners are called the same where the ratio of their losses is within {SAME_LOSS[0]:g} to {SAME_LOSS[1]:g} "
    f"and the cosine of their sensitivities, ∂ŷ/∂x at the query, is above {SAME_RULE:g}: both with their whole 95 % "
    "interval, on five training seeds or more."
)


def comparison_section(rows: pd.DataFrame) -> Section | None:
    """A row per network and reference, and the distances of preconditioners."""
    found = {metric: cells(rows, metric) for metric in SHOWN}
    pairs = list(dict.fromkeys(of for metric in SHOWN for of in found[metric]))
    tables = []
    if pairs:
        shown = [metric for metric in SHOWN if found[metric]]
        heads = (Head("network", "against"), Head("the same?", words=True),
                 *(Head(DEFINITIONS[metric].title) for metric in shown))  # fmt: skip
        lines = []
        for of in (pair for world in worlds_of(pairs) for pair in pairs if pair.world == world):
            numbers = (entry(found[metric][of]) if of in found[metric] else NOTHING for metric in shown)
            verdict = _verdict(of, found)
            lines.append((of.world, Row(of.network, (verdict, *numbers), under=(f"against {of.reference}",))))
        tables.append(Table(heads, grouped(lines)))
    distances = cells(rows, DISTANCE)
    if distances:
        heads = (Head("network", "against"), Head(DEFINITIONS[DISTANCE].title))
        lines = [
            (of.world, Row(of.network, (entry(cell),), under=(f"against {of.reference}",)))
            for of, cell in distances.items()
        ]
        tables.append(Table(heads, grouped(lines), "Preconditioners"))
    return Section("comparison", "Are they the same algorithm?", _LEAD, tuple(tables)) if tables else None


def _verdict(of: Subject, found: dict[str, dict[Subject, Cell]]) -> Entry:
    """Nothing where the losses were not compared: then nothing was claimed."""
    if of not in found["loss_ratio"]:
        return NOTHING
    decision = same_algorithm(found["loss_ratio"][of], found["sensitivity_cosine"].get(of, NOT_MEASURED))
    return Entry(decision.verdict.value, tone=decision.verdict.value)
