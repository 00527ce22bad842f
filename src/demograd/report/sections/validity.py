"""The validity checks that come before any score: gates and failures are open, the rest is folded."""

from collections.abc import Sequence

import pandas as pd

from demograd.report.charts.grid import outcome_grid
from demograd.report.run import Check, ReportedRun
from demograd.report.section import Entry, Figure, Head, Section, Table, TableRow, figure, grouped, section
from demograd.words import Weights, listed

TITLES = {
    "in_context_learning": "Is there in-context learning?",
    "fine_tuning": "Did fine-tuning learn anything?",
    "resolution": "Are the updates above resolution?",
    "update_size": "Are the updates of a size that counts?",
    "seeds": "Are there enough demonstration sets?",
}
_TITLES_IN_SHORT = {
    "in_context_learning": "learned in context",
    "fine_tuning": "learned by fine-tuning",
    "resolution": "updates above resolution",
    "update_size": "updates of a size that counts",
    "seeds": "enough demonstration sets",
}
_MARKS_MEAN = "✓ passed, ✗ failed, ? undecided with so few demonstration sets; empty: this check is of something else."
_LEAD = (
    "A gate is a check of whether anything was learned at all: where it is shut, how alike ICL and fine-tuning are "
    "says nothing about learning, and no claim is decided."
)
GATES = ("in_context_learning", "fine_tuning")
"""Checks that are always shown."""
FEW = 10
"""Checks that are all shown at once."""
_NOTE = (
    "In-context learning and fine-tuning count as learning where AUC, calibrated accuracy or the likelihood among the "
    "label words is significantly higher than zero-shot, and none of these significantly lower. "
    "“Format” is the label words’ likelihood among all words: it can rise without anything being learned of the "
    "task, and opens nothing."
)
_HEADS = (Head("check"), Head("of", words=True), Head("result", words=True), Head("what was seen", words=True))


@section("Do the scores count?", order=260, brief="Checks")
def validity_section(run: ReportedRun) -> Section | None:
    """The checks, or a sentence if a run that looked at prompts recorded none."""
    checks = run.validity
    if not checks:
        lead = "This run recorded no validity checks, so no claim can rest on it."
        return None if run.is_synthetic or run.results["task"].isna().all() else Section((), lead)
    first = [check for check in checks if len(checks) <= FEW or not check.passed or check.check in GATES]
    rest = [check for check in checks if check not in first]
    tables = [Table(_HEADS, grouped(_lines(first, checks)))]
    if rest:
        tables.append(Table(_HEADS, grouped(_lines(rest, checks)), folded=f"{len(rest)} more checks, all passed"))
    undecided = sum(check.undecided for check in checks)
    failed = sum(not check.passed for check in checks) - undecided
    lead = f"{len(checks)} checks come before any score; {failed or 'none'} failed"
    lead += f", and {undecided} cannot be decided with so few demonstration sets." if undecided else "."
    return Section((*_grid(checks), *tables), f"{lead} {_LEAD}", (_NOTE,))


def _grid(checks: Sequence[Check]) -> tuple[Figure, ...]:
    """A row for each world, weights and method, a column for each check; what is of no method stands in a row of its
    own."""
    several = len({_world(check, checks) for check in checks}) > 1
    outcomes: dict[tuple[str, str], list[str]] = {}
    for check in checks:
        # a method's checks may be of one of its scores, `GD 0.001, SimAOU`
        method = (check.method or "ICL").partition(",")[0]
        world = _world(check, checks) if several else ""
        row = ", ".join(filter(None, (world, method, *_weights(check))))
        outcomes.setdefault((row, _TITLES_IN_SHORT.get(check.check, check.check)), []).append(_outcome(check))
    data = pd.DataFrame(
        {"row": row, "column": column, "outcome": _worst(all_)} for (row, column), all_ in outcomes.items()
    )
    columns = [title for title in _TITLES_IN_SHORT.values() if title in set(data["column"])]
    columns += [column for column in dict.fromkeys(data["column"]) if column not in columns]
    return figure([outcome_grid(data, "Checks of what was learned", columns)], _MARKS_MEAN)


def opened_by_one(run: ReportedRun) -> str:
    """`On trec in-context learning counts as shown by AUC alone.`: a sentence for each measure that alone opened a gate
    of trained weights; empty where there is none."""
    tasks: dict[str, list[str]] = {}
    for check in run.validity:
        is_open = (check.check, check.weights, check.passed) == ("in_context_learning", Weights.TRAINED, True)
        if is_open and len(check.better) == 1:
            tasks.setdefault(check.better[0], []).append(_world(check, run.validity))
    return " ".join(
        f"On {listed(names)} in-context learning counts as shown by {measure} alone."
        for measure, names in tasks.items()
    )


def _weights(check: Check) -> tuple[str, ...]:
    return (check.weights, *([f"initialisation {check.initialisation}"] * bool(check.initialisation)))


def _outcome(check: Check) -> str:
    return "undecided" if check.undecided else "passed" if check.passed else "failed"


def _worst(outcomes: Sequence[str]) -> str:
    """`2 failed of 8`: the worst of several outcomes, and of how many it is."""
    worst = next(outcome for outcome in ("failed", "undecided", "passed") if outcome in outcomes)
    n = outcomes.count(worst)
    return worst if n == len(outcomes) else f"{n} {worst} of {len(outcomes)}"


def _lines(shown: Sequence[Check], checks: Sequence[Check]) -> list[tuple[str, TableRow]]:
    """Lines by world; one that is the same in all worlds stands once, under "everywhere"."""
    worlds = list(dict.fromkeys(_world(check, checks) for check in checks))
    alike: dict[tuple[str, TableRow], list[str]] = {}
    for check in shown:
        alike.setdefault((check.check, _row(check)), []).append(_world(check, checks))
    names = [*TITLES, *(check.check for check in shown)]
    lines: list[tuple[str, TableRow]] = []
    for (_, row), members in sorted(alike.items(), key=lambda item: names.index(item[0][0])):
        is_everywhere = len(worlds) > 2 and set(members) == set(worlds)
        lines += [("everywhere", row)] if is_everywhere else [(world, row) for world in members]
    return sorted(lines, key=lambda line: ["everywhere", *worlds].index(line[0]))


def _row(check: Check) -> TableRow:
    initialisation = f"initialisation {check.initialisation}" if check.initialisation else ""
    about = ", ".join(filter(None, (check.weights, initialisation, check.method)))
    mark = Entry("✓ passed", tone="supported") if check.passed else Entry("✗ failed", tone="contradicted")
    if check.undecided:
        mark = Entry("undecided", tone="undecided")
    return TableRow(TITLES.get(check.check, check.check), (Entry(about), mark, Entry(check.message)))


def _world(check: Check, checks: Sequence[Check]) -> str:
    """As `world_labels`: labels, k and model only where there are several."""
    words = [check.task]
    if len({other.labels for other in checks}) > 1:
        words.append(f"{check.labels} labels")
    if len({other.k for other in checks}) > 1:
        words.append(f"k {check.k}")
    if len({other.model for other in checks}) > 1:
        words.append(str(check.model))
    return ", ".join(words)
