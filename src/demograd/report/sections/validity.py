"""The validity checks that come before any score: gates and failures are open, the rest is folded."""

from collections.abc import Sequence

from demograd.report.run import Check, ReportedRun
from demograd.report.section import Entry, Head, Section, Table, TableRow, grouped, section

TITLES = {
    "in_context_learning": "Is there in-context learning?",
    "fine_tuning": "Did fine-tuning learn anything?",
    "resolution": "Are the updates above resolution?",
    "update_size": "Are the updates of a size that counts?",
    "seeds": "Are there enough demonstration sets?",
}
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
    return Section(tuple(tables), lead, (_NOTE,))


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
