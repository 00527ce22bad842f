"""The verdict engine, for both kinds of study: claims are data, statements about them are decided together, and what is
said of them is said once, in `claims.json`, which page, terminal and notebook print."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import nan
from typing import Any

from demograd.statistics import (
    SEEDS_TO_DECIDE,
    ClaimDecision,
    Finding,
    MatchingTest,
    PairedTest,
    RangeTest,
    Verdict,
    decide_all,
    decide_matching,
    decide_ranges,
)
from demograd.study.claims import claims, claims_of
from demograd.words import listed

CORRECTION = (
    "Holm, over the comparisons of each claim that are on demonstration sets or training seeds enough to decide it"
)
FEW = 6
"""Statements that are named one by one in the sentence of a run, and groups of them with a reason each."""


@dataclass(frozen=True)
class Statement:
    """One instance of a claim: what is tested."""

    claim: str
    """The claim's name."""
    test: PairedTest | MatchingTest | tuple[RangeTest, ...]
    """A difference that should be above zero or as good as zero, matrices whose diagonal should stand out, or numbers
    that should lie in ranges."""
    objection: str = ""
    """Why the numbers do not count, whatever they are."""


def decide_claims(statements: Sequence[Statement]) -> list[ClaimDecision]:
    """A verdict for each statement.

    All statements of one claim are one family, together wrong with a chance of 5 % at most;
    those against which there is an objection, or on too few seeds to decide the claim, are no part of it.
    """
    decisions = [ClaimDecision(Verdict.UNDECIDED, statement.objection, nan, nan, 0) for statement in statements]
    for name in dict.fromkeys(statement.claim for statement in statements):
        least = claims()[name].get("least_sets", SEEDS_TO_DECIDE)
        tests = {
            str(place): statement.test
            for place, statement in enumerate(statements)
            if statement.claim == name and not statement.objection
        }
        differences = {place: test for place, test in tests.items() if isinstance(test, PairedTest)}
        matrices = {place: test for place, test in tests.items() if isinstance(test, MatchingTest)}
        ranges = {place: test for place, test in tests.items() if isinstance(test, tuple)}
        decided = decide_all(differences, least=least) | decide_matching(matrices, least=least)
        for place, decision in (decided | decide_ranges(ranges, least=least)).items():
            decisions[int(place)] = decision
    return decisions


def verdicts_record(
    kind: str, comparisons: Mapping[str, Sequence[Mapping[str, Any]]], findings: Sequence[Finding], without: str
) -> dict[str, Any]:
    """The content of `claims.json`.

    Args:
        kind: of the study, as for `claims_of`.
        comparisons: a claim's name → its comparisons, each with its verdict.
        findings: what is said of the statements that lead the page.
        without: the sentence of the run where there is no finding.
    """
    return {
        "finding": asdict(summary(findings, without)),
        "findings": [asdict(finding) for finding in findings],
        "correction": CORRECTION,
        "claims": [
            {
                "name": name,
                "claim": claim["claim"],
                "source": claim["source"],
                "compare": claim["compare"],
                "needs": claim["needs"],
                "comparisons": list(comparisons.get(name, ())),
            }
            for name, claim in claims_of(kind).items()
            if name in comparisons or not claim.get("of_failures")
        ],
    }


def summary(findings: Sequence[Finding], without: str) -> Finding:
    """The one sentence of a run: its only finding, what its findings amount to, or `without` any that there is none."""
    if len(findings) == 1:
        return findings[0]
    if not findings:
        return Finding("", "", Verdict.UNDECIDED, without, f"Undecided: {without}.")
    by_claim: dict[str, list[Finding]] = {}
    for finding in findings:
        by_claim.setdefault(finding.claim, []).append(finding)
    sentences = [f"That {claims()[name]['that']} is {_amount(group)}." for name, group in by_claim.items()]
    verdicts = {finding.verdict for finding in findings}
    verdict = verdicts.pop() if len(verdicts) == 1 else Verdict.UNDECIDED
    return Finding("", "", verdict, "", " ".join(sentences))


def _amount(findings: Sequence[Finding]) -> str:
    """`supported for …; undecided for … (…)`."""
    groups: dict[tuple[Verdict, str], list[str]] = {}
    for finding in findings:
        groups.setdefault((finding.verdict, finding.reason), []).append(finding.about)
    if len(groups) > FEW:  # too many reasons for one sentence
        groups = {}
        for finding in findings:
            groups.setdefault((finding.verdict, ""), []).append(finding.about)
    return "; ".join(
        f"{verdict} for {_names(about, len(findings))}{f' ({reason})' if reason else ''}"
        for verdict in Verdict
        for (group_verdict, reason), about in groups.items()
        if group_verdict == verdict
    )


def _names(about: Sequence[str], total: int) -> str:
    if len(about) <= FEW:
        return listed(about)
    return f"all {total}" if len(about) == total else f"{len(about)} of {total}"
