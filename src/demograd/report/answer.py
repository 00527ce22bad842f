"""The answer of a run in words for a reader new to the field: from the verdicts of `claims.json`, and never beyond.

The question is the leading claim's: is fine-tuning on a demonstration set more like in-context learning from that set
than from another?
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from demograd.report.run import ReportedRun
from demograd.statistics import Finding, Verdict
from demograd.statistics.number import Number, estimate, percentage
from demograd.words import listed, task_label

CLAIM = "specificity"
"""The claim that leads the page."""
QUESTION = "Is fine-tuning on a set of demonstrations more like in-context learning from that set than from other sets?"
FEW = 3
"""Findings of one verdict whose numbers a sentence can hold."""
_METRIC = "sim_aou"
_LEADS = {
    Verdict.SUPPORTED: "✓ Yes",
    Verdict.CONTRADICTED: "✗ No, the other way round",
    Verdict.NOT_SPECIFIC: "≈ No",
    Verdict.UNDECIDED: "? Undecided",
}
"""Verdict → how its clause begins, in the order in which they are said; a mark besides, for no meaning is in colour."""
_ALIKE = {
    Verdict.SUPPORTED: "more similar to in-context learning from its own set{own} than from other sets{other}",
    Verdict.CONTRADICTED: "less similar to in-context learning from its own set{own} than from other sets{other}",
    Verdict.NOT_SPECIFIC: "about as similar to in-context learning from other sets{other} as from its own{own}",
}


@dataclass(frozen=True)
class Clause:
    """What is said of all findings with one verdict."""

    verdict: Verdict
    lead: str
    text: str


@dataclass(frozen=True)
class LedComparison:
    """A finding on the leading claim, and the comparison behind it, as `claims.json` has them."""

    finding: Finding
    comparison: Mapping[str, Any]

    @property
    def difference(self) -> Number:
        """Matched minus mismatched."""
        return estimate(*(self.comparison[name] for name in ("difference", "ci_low", "ci_high")))

    @property
    def share(self) -> tuple[float, float, float] | None:
        """The difference as a share of the matched similarity, and its interval; None where there is none."""
        return self._share("specific_share", "share_ci")

    @property
    def ceiling(self) -> tuple[float, float, float] | None:
        """The same of ICL on the reordered sets in FT's place."""
        return self._share("ceiling_share", "ceiling_share_ci")

    def _share(self, name: str, interval: str) -> tuple[float, float, float] | None:
        matching = self.comparison.get("matching") or {}
        values = [matching.get(column) for column in (name, f"{interval}_low", f"{interval}_high")]
        share, low, high = (None if value is None else float(value) for value in values)
        return None if share is None or low is None or high is None else (share, low, high)


def led_comparisons(run: ReportedRun) -> list[LedComparison]:
    """The findings on the leading claim with their comparisons, in the order of the findings."""
    claims = [claim for claim in run.claims.get("claims", []) if claim["name"] == CLAIM]
    comparisons = [
        comparison
        for claim in claims
        for comparison in claim["comparisons"]
        if isinstance(comparison.get("left_side"), dict) and comparison["left_side"].get("metric") == _METRIC
    ]
    by_subject: dict[str, Mapping[str, Any]] = {}
    for comparison, about in zip(comparisons, _subjects(comparisons), strict=True):
        by_subject.setdefault(about, comparison)  # of several initialisations the first leads
    findings = [finding for finding in run.findings if finding.claim == CLAIM]
    return [LedComparison(finding, by_subject[finding.about]) for finding in findings if finding.about in by_subject]


def _subjects(comparisons: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What each comparison is about, in the words of its finding."""
    several = {
        "k": len({comparison["k"] for comparison in comparisons}) > 1,
        "model": len({comparison["left_side"]["model"] for comparison in comparisons}) > 1,
    }
    for comparison in comparisons:
        side = comparison["left_side"]
        about = f"{side['method']} on {task_label(comparison['task'], comparison.get('labels'))}"
        about += f", k {comparison['k']}" * several["k"]
        yield about + f", {side['model']}" * several["model"]


def answer(run: ReportedRun) -> tuple[Clause, ...]:
    """A clause for each verdict; empty where the run has no finding on the leading claim, or one without numbers."""
    led = led_comparisons(run)
    if not led or len(led) < len(run.findings):
        return ()
    names = _names(led)
    groups: dict[tuple[Verdict, str], list[LedComparison]] = {}
    for item in led:
        groups.setdefault((item.finding.verdict, item.finding.reason or item.finding.caveat), []).append(item)
    return tuple(
        Clause(
            verdict,
            _LEADS[verdict] + ("" if len(led) == 1 else f" for {_about(members, names, len(led))}"),
            _open(members) if verdict == Verdict.UNDECIDED else _decided(verdict, members),
        )
        for verdict in _LEADS
        for (group_verdict, _), members in groups.items()
        if group_verdict == verdict
    )


def _names(led: Sequence[LedComparison]) -> dict[str, str]:
    """What each finding is about → its method alone, where that tells all of them apart."""
    methods = {item.finding.about: str(item.comparison["left_side"]["method"]) for item in led}
    return methods if len(set(methods.values())) == len(led) else {about: about for about in methods}


def _about(members: Sequence[LedComparison], names: Mapping[str, str], total: int) -> str:
    if len(members) <= FEW:
        return listed(names[item.finding.about] for item in members)
    return f"all {total} cases" if len(members) == total else f"{len(members)} of {total} cases"


def _decided(verdict: Verdict, members: Sequence[LedComparison]) -> str:
    few = len(members) <= FEW
    own, other = (
        f" ({', '.join(estimate(item.comparison[side]).value_text for item in members)})" if few else ""
        for side in ("left", "right")
    )
    text = f"what fine-tuning does is {_ALIKE[verdict].format(own=own, other=other)}"
    shares = [item.share for item in members if item.share]
    if few and len(shares) == len(members):
        numbers = (percentage(*share) for share in shares)
        parts = listed(f"{number.value_text} % {number.bounds}" for number in numbers)
        text += f"; what belongs to the set is {parts} of the similarity"  # [ ] is in the words beneath
    elif few:
        text += "; the difference is "
        text += listed(f"{item.difference.value_text} {item.difference.bounds}".strip() for item in members)
    elif shares:
        low, high = min(share[1] for share in shares), max(share[2] for share in shares)
        first, last = percentage((low + high) / 2, low, high).bounds.strip("[]").split(", ")
        without = len(members) - len(shares)
        counted = f"; {without} of {len(members)} cases have none" * bool(without)
        text += f"; what belongs to the set is from {first} to {last} % of the similarity"
        text += f" (all 95 % intervals{counted})"
    margin = members[0].comparison.get("margin")  # of the study, so that of all
    if verdict == Verdict.NOT_SPECIFIC and margin is not None:
        text += f", within the ±{100 * margin:g} % that count as none"
    caveat, ceilings = members[0].finding.caveat, {item.ceiling for item in members}
    if verdict == Verdict.NOT_SPECIFIC and caveat and len(ceilings) == 1 and (share := ceilings.pop()):
        number = percentage(*share)
        caveat += f" ({number.value_text} % {number.bounds})"
    return f"{text}{f'; {caveat}' * bool(caveat)}."


def _open(members: Sequence[LedComparison]) -> str:
    text = members[0].finding.reason or "the data do not decide"
    difference, is_tested = members[0].difference, members[0].comparison.get("p_corrected") is not None
    # behind a shut gate numbers do not count, whatever they are
    if len(members) == 1 and is_tested and difference.bounds:
        text += f" (own set minus others: {difference.value_text} {difference.bounds})"
    return f"{text}."
