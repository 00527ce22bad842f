"""The checks that come before any score: those that matter at once, the rest to be opened."""

from collections.abc import Sequence

from demograd.report.run import Check
from demograd.report.section import Entry, Head, Row, Section, Table, grouped

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
    "label words is significantly higher than zero-shot, and none of these, nor accuracy, significantly lower. "
    "“Format” is the label words’ likelihood among all words: it can rise without anything being learned of the "
    "task, and opens nothing."
)
_HEADS = (Head("check"), Head("of", words=True), Head("result", words=True), Head("what was seen", words=True))


def validity_section(checks: Sequence[Check], *, has_prompts: bool) -> Section | None:
    """Nothing where the run looked at no prompt: then there is nothing that these checks could be about."""
    if not has_prompts and not checks:
        return None
    if not checks:
        lead = "This run recorded no validity checks, so no claim can rest on it."
        return Section("validity", "Do the scores count?", lead, ())
    first = [each for each in checks if len(checks) <= FEW or not each.passed or each.check in GATES]
    rest = [each for each in checks if each not in first]
    tables = [Table(_HEADS, grouped(_lines(first, checks)))]
    if rest:
        tables.append(Table(_HEADS, grouped(_lines(rest, checks)), folded=f"{len(rest)} more checks, all passed"))
    undecided = sum(each.undecided for each in checks)
    failed = sum(not each.passed for each in checks) - undecided
    lead = f"{len(checks)} checks come before any score; {failed or 'none'} failed"
    lead += f", and {undecided} cannot be decided with so few demonstration sets." if undecided else "."
    return Section("validity", "Do the scores count?", lead, tuple(tables), (_NOTE,))


def _lines(shown: Sequence[Check], checks: Sequence[Check]) -> list[tuple[str, Row]]:
    """What is the same in all worlds is said once."""
    worlds = list(dict.fromkeys(_world(each, checks) for each in checks))
    lines: list[tuple[str, Row]] = []
    for name in (*TITLES, *dict.fromkeys(each.check for each in shown if each.check not in TITLES)):
        alike: dict[Row, list[str]] = {}
        for each in (one for one in shown if one.check == name):
            alike.setdefault(_row(each), []).append(_world(each, checks))
        for row, of in alike.items():
            lines += [("everywhere", row)] if len(worlds) > 2 and set(of) == set(worlds) else [(one, row) for one in of]
    return sorted(lines, key=lambda line: ["everywhere", *worlds].index(line[0]))


def _row(each: Check) -> Row:
    about = ", ".join(filter(None, (each.weights, each.method)))
    mark = Entry("✓ passed", tone="supported") if each.passed else Entry("✗ failed", tone="contradicted")
    if each.undecided:
        mark = Entry("undecided", tone="undecided")
    return Row(TITLES.get(each.check, each.check), (Entry(about), mark, Entry(each.message)))


def _world(each: Check, among: Sequence[Check]) -> str:
    """As `world_labels`: k and model only where there are several."""
    words = [each.task]
    if len({other.k for other in among}) > 1:
        words.append(f"k {each.k}")
    if len({other.model for other in among}) > 1:
        words.append(str(each.model))
    return ", ".join(words)
