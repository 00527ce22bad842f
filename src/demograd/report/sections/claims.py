"""The verdicts on the papers' claims, as `claims.json` holds them, and what untested claims would need."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from demograd.report.effects import amounts, in_words, panels
from demograd.report.run import ReportedRun
from demograd.report.section import (
    NOTHING,
    Entry,
    Group,
    Head,
    Section,
    Table,
    TableRow,
    Tone,
    entry,
    figure,
    percent,
    section,
)
from demograd.statistics.number import Number, estimate, formatted, p_value
from demograd.words import task_label

FEW = 8
"""Comparisons of one claim that are shown at once; more have to be opened."""
_MARKS = {"supported": "✓ ", "contradicted": "✗ ", "not specific": "≈ ", "undecided": ""}
"""Verdict → its mark."""
_HEADS = (
    Head("what is compared"),
    Head("verdict", words=True),
    Head("difference", "95 % interval"),
    Head("effect", "Hedges g, or share"),
    Head("corrected p"),
    Head("sets"),
    Head("why", words=True),
)
_STATEMENT_HEADS = (
    Head("what is compared"),
    Head("verdict", words=True),
    Head("numbers", "95 % interval", words=True),
    Head("corrected p"),
    Head("seeds"),
    Head("why", words=True),
)
_FEW_NUMBERS = 4
_HOW_TO_READ = (
    "Lines: 95 % intervals; an arrow where one is cut. Filled: decided (circle: supported; diamond: contradicted; "
    "square: not specific). Hollow: open for want of data. Dashed, with a cross: a gate is shut, and the numbers do "
    "not count."
)
_STATEMENT_LEAD = (
    "A claim says in which ranges numbers lie. It is supported where the intervals of all of them lie there, "
    "contradicted where that of one does not, and decided with no fewer than five training seeds."
)
_LEAD = (
    "Each claim is tested wherever this run has both sides of it, on the same demonstrations and queries. No claim is "
    "decided with fewer than five demonstration sets, none about specificity with fewer than seven. “Not specific” (≈) "
    "is shown, and no want of evidence: the part of the similarity that belongs to a demonstration set is smaller than "
    "the margin."
)
ONE_RATE_EACH = (
    "Methods or weights at one learning rate each are one point of two curves, and which is higher can depend on where "
    "they were taken. Several rates (--learning-rate) let them be compared at equal size of their updates."
)


@section("The papers’ claims", order=-10, brief="Claims")
def claims_section(run: ReportedRun) -> Section | None:
    """Verdicts at a glance, then every comparison; then what this run cannot decide."""
    claims, heads = run.claims["claims"], _STATEMENT_HEADS if run.is_synthetic else _HEADS
    if not claims:
        return None
    tested = [claim for claim in claims if claim["comparisons"]]
    few = [claim for claim in tested if len(claim["comparisons"]) <= FEW]
    title = "All comparisons" if few == tested else f"Comparisons of claims with up to {FEW}"
    groups = tuple(Group(_title(claim), _comparisons(claim)) for claim in few)
    tables = [Table(heads, groups, title=title)] if few else []
    tables += [
        Table(
            heads,
            (Group("", _comparisons(claim)),),
            folded=f"{_title(claim)}: all {len(claim['comparisons'])} comparisons",
        )
        for claim in tested
        if claim not in few
    ]
    shown = [verdict for verdict in _MARKS if verdict != "not specific" or not run.is_synthetic]
    glance_heads = (Head("claim"), *(Head(verdict) for verdict in shown))
    counts = (Group("", tuple(_counts(claim, shown) for claim in tested)),)
    glance = [Table(glance_heads, counts, title="Verdicts at a glance")] if len(tested) > 1 else []
    tables += _untested([claim for claim in claims if not claim["comparisons"]])
    notes = [f"p-values are corrected for many comparisons: {run.claims['correction']}."] if tested else []
    if any(comparison.get("one_rate_each") for claim in tested for comparison in claim["comparisons"]):
        notes.append(ONE_RATE_EACH)
    lead = _STATEMENT_LEAD if run.is_synthetic else _LEAD
    lead = lead if tested else "This run has both sides of none of the claims."
    forest, left_out = panels(tested)
    pictures = figure([panel.chart() for panel in forest], " ".join(filter(None, (_HOW_TO_READ, left_out))))
    if tested:
        lead = f"{amounts(tested)} {lead}"
    return Section((*pictures, *glance, *tables), lead, tuple(notes))


def _untested(claims: Sequence[Mapping[str, Any]]) -> list[Table]:
    """A table of what a run would need to test the claims that this run cannot."""
    rows = tuple(TableRow(claim["claim"], (Entry(claim["needs"]),), under=(claim["source"],)) for claim in claims)
    folded = f"{len(rows)} claim{'s' * (len(rows) > 1)} that this run cannot test, and what they need"
    return [Table((Head("claim"), Head("needs", words=True)), (Group("", rows),), folded=folded)] if rows else []


def _title(claim: Mapping[str, Any]) -> str:
    return f"{claim['claim']} ({claim['source']})"


def _counts(claim: Mapping[str, Any], shown: Sequence[str]) -> TableRow:
    verdicts = [comparison["verdict"] for comparison in claim["comparisons"]]
    counts = {verdict: verdicts.count(verdict) for verdict in shown}
    entries = tuple(Entry(str(n), tone=_tone(verdict)) if n else NOTHING for verdict, n in counts.items())
    unfair = sum(comparison.get("one_rate_each", False) for comparison in claim["comparisons"])
    rates = (f"{unfair} of {len(verdicts)} at one learning rate each",) if unfair else ()
    return TableRow(claim["claim"], entries, under=(claim["source"], *rates))


def _comparisons(claim: Mapping[str, Any]) -> tuple[TableRow, ...]:
    return tuple(
        _statement(comparison) if "numbers" in comparison else _comparison(comparison)
        for comparison in claim["comparisons"]
    )


def _statement(comparison: Mapping[str, Any]) -> TableRow:
    """A comparison of a synthetic run: numbers that should lie in ranges."""
    numbers = comparison["numbers"]
    shown = numbers if len(numbers) <= _FEW_NUMBERS else []
    texts = tuple(f"{number['title']} {number['text']}" for number in shown) or (f"{len(numbers)} numbers",)
    entries = (
        _verdict(comparison),
        Entry(texts[0], under=texts[1:]),
        p_entry(comparison["p_corrected"]),
        Entry(str(comparison["n_seeds"])),
        Entry(comparison["reason"]),
    )
    return TableRow(comparison["compared"], entries, under=(f"{comparison['task']}, k {comparison['k']}",))


def _verdict(comparison: Mapping[str, Any]) -> Entry:
    verdict = comparison["verdict"] if comparison["verdict"] in _MARKS else "undecided"
    return Entry(f"{_MARKS[verdict]}{verdict}", tone=_tone(verdict))


def _tone(verdict: str) -> Tone:
    return cast(Tone, verdict.replace(" ", "-"))


def _comparison(comparison: Mapping[str, Any]) -> TableRow:
    difference = Number(
        comparison["difference"],
        None,
        comparison["ci_low"],
        comparison["ci_high"],
        False,
        comparison["n"],
        comparison["n_missing"],
        comparison["n_seeds"],
        "not tested",
    )
    matching = comparison.get("matching")
    margin: tuple[str, ...] = ()
    if comparison.get("margin") is not None:
        of_share = f"{100 * comparison['margin']:.3g} % of it"
        margin = (f"margin ±{of_share if matching else format(comparison['margin'], '.3g')}",)
    shown = entry(difference)
    entries = (
        _verdict(comparison),
        replace(shown, text=f"{'+' * ((difference.value or 0) > 0)}{shown.text}", under=(*shown.under, *margin)),
        _of_matching(matching) if matching else _hedges(comparison),
        p_entry(*deciding_p(comparison)),
        Entry(str(comparison["n_seeds"])),
        Entry(comparison["reason"]),
    )
    return TableRow(in_words(comparison["compared"]), entries, under=(_world(comparison),))


def _hedges(comparison: Mapping[str, Any]) -> Entry:
    size = comparison["effect_size"]
    return NOTHING if size is None else Entry(formatted(size, 2), number=estimate(size))


def _of_matching(matching: Mapping[str, Any]) -> Entry:
    """The specific share, with its interval, and how many sets find their own."""
    share = percent(*(matching[name] for name in ("specific_share", "share_ci_low", "share_ci_high")))
    if matching["identified"] is None:
        return share
    return replace(share, under=(*share.under, f"{100 * matching['identified']:.0f} % of sets find their own"))


def _world(comparison: Mapping[str, Any]) -> str:
    return f"{task_label(comparison['task'], comparison.get('labels'))}, k {comparison['k']}"


def deciding_p(comparison: Mapping[str, Any]) -> tuple[float | None, str]:
    """The corrected p-value that gave a comparison its verdict, and its null hypothesis if that is not "no difference".

    A small p of "they differ by the margin or more" shows that two sides are equal.
    """
    by_margin = comparison["margin"] is not None and comparison["verdict"] != "contradicted"
    if comparison.get("matching") is not None:  # a margin decides there that the pairing does not matter, and no more
        by_margin = comparison["verdict"] == "not specific"
    if by_margin:
        return comparison["p_equal_corrected"], "of a difference beyond the margin"
    return comparison["p_corrected"], ""


def p_entry(value: float | None, hypothesis: str = "") -> Entry:
    """A p-value as a table shows it, what it is of beneath."""
    if value is None:
        return NOTHING
    return Entry(p_value(value), under=(hypothesis,) if hypothesis else (), number=estimate(value))
