"""What the run says of each claim of the papers, as `claims.json` holds it, and what the others would need."""

from collections.abc import Mapping, Sequence
from typing import Any

from demograd.report.numbers import Cell, number, scientific
from demograd.report.section import NOTHING, Entry, Group, Head, Row, Section, Table, Tone, entry
from demograd.words import Control, Setting

FEW = 8
"""Comparisons of one claim that are shown at once; more have to be opened."""
_VERDICTS: tuple[Tone, ...] = ("supported", "contradicted", "undecided")
_HEADS = (
    Head("what is compared"),
    Head("verdict", words=True),
    Head("difference", "95 % interval"),
    Head("Hedges g"),
    Head("corrected p"),
    Head("sets"),
    Head("why", words=True),
)
_LEAD = (
    "Each claim is tested wherever this run has both sides of it, on the same demonstrations and queries. No claim is "
    "decided with fewer than five demonstration sets, none about specificity with fewer than seven."
)
ONE_RATE_EACH = (
    "Methods or weights at one learning rate each are one point of two curves, and which is higher can depend on where "
    "they were taken. Several rates (--learning-rate) let them be compared at equal size of their updates."
)


def claims_section(claims: Mapping[str, Any]) -> Section | None:
    """Verdicts at a glance, then every comparison; then what this run cannot decide."""
    rows = claims["claims"]
    tested = [claim for claim in rows if claim["comparisons"]]
    if not rows:
        return None
    few = [claim for claim in tested if len(claim["comparisons"]) <= FEW]
    tables = [Table(_HEADS, tuple(Group(_named(claim), _comparisons(claim)) for claim in few))] if few else []
    tables += [
        Table(
            _HEADS,
            (Group("", _comparisons(claim)),),
            folded=f"{_named(claim)}: all {len(claim['comparisons'])} comparisons",
        )
        for claim in tested
        if claim not in few
    ]
    heads = (Head("claim"), *(Head(verdict) for verdict in _VERDICTS))
    glance = [Table(heads, (Group("", tuple(_counts(claim) for claim in tested)),))] if len(tested) > 1 else []
    tables += _untested([claim for claim in rows if not claim["comparisons"]])
    notes = [f"p-values are corrected for many comparisons: {claims['correction']}."] if tested else []
    if any(one["one_rate_each"] for claim in tested for one in claim["comparisons"]):
        notes.append(ONE_RATE_EACH)
    lead = _LEAD if tested else "This run has both sides of none of the claims."
    return Section((*glance, *tables), lead, tuple(notes))


def _untested(claims: Sequence[Mapping[str, Any]]) -> list[Table]:
    """What a run would need for the claims that this one has not both sides of."""
    rows = tuple(Row(claim["claim"], (Entry(claim["needs"]),), under=(claim["source"],)) for claim in claims)
    folded = f"{len(rows)} claim{'s' * (len(rows) > 1)} that this run cannot test, and what they need"
    return [Table((Head("claim"), Head("needs", words=True)), (Group("", rows),), folded=folded)] if rows else []


def _named(claim: Mapping[str, Any]) -> str:
    return f"{claim['claim']} ({claim['source']})"


def _counts(claim: Mapping[str, Any]) -> Row:
    verdicts = [one["verdict"] for one in claim["comparisons"]]
    entries = tuple(Entry(str(n), tone=verdict) if (n := verdicts.count(verdict)) else NOTHING for verdict in _VERDICTS)
    unfair = sum(one["one_rate_each"] for one in claim["comparisons"])
    how = (f"{unfair} of {len(verdicts)} at one learning rate each",) if unfair else ()
    return Row(claim["claim"], entries, under=(claim["source"], *how))


def _comparisons(claim: Mapping[str, Any]) -> tuple[Row, ...]:
    return tuple(_comparison(one) for one in claim["comparisons"])


def _comparison(one: Mapping[str, Any]) -> Row:
    difference = Cell(
        one["difference"],
        None,
        one["ci_low"],
        one["ci_high"],
        False,
        one["n"],
        one["n_missing"],
        one["n_seeds"],
        "not tested",
    )
    verdict: Tone = one["verdict"] if one["verdict"] in _VERDICTS else "undecided"
    margin = (f"margin ±{one['margin']:.3g}",) if one.get("margin") is not None else ()
    shown = entry(difference)
    entries = (
        Entry(f"{'✓ ' * (verdict == 'supported')}{'✗ ' * (verdict == 'contradicted')}{verdict}", tone=verdict),
        Entry(f"+{shown.text}" if (difference.value or 0) > 0 else shown.text, under=(*shown.under, *margin)),
        Entry(number(one["effect_size"], 2)) if one["effect_size"] is not None else NOTHING,
        _p(one),
        Entry(str(one["n_seeds"])),
        Entry(one["reason"]),
    )
    return Row(_in_words(one["compared"]), entries, under=(f"{one['task']}, k {one['k']}",))


def deciding_p(one: Mapping[str, Any]) -> tuple[float | None, str]:
    """The corrected p-value that gave a comparison its verdict, and of what it is, where not of no difference: that two
    sides are equal is shown by a small p of "they differ by the margin or more"."""
    if one["margin"] is not None and one["verdict"] != "contradicted":
        return one["p_equal_corrected"], "of a difference beyond the margin"
    return one["p_corrected"], ""


def _p(one: Mapping[str, Any]) -> Entry:
    value, of = deciding_p(one)
    if value is None:
        return NOTHING
    return Entry(number(value) if value >= 0.001 else scientific(value), under=(of,) if of else ())


def _in_words(compared: str) -> str:
    """The controls by what FT was on."""
    for setting in (Setting.ICL_REORDERED, *(control.setting for control in Control)):
        compared = compared.replace(setting, setting.words)
    return compared
