"""The answer of a synthetic run in words for a reader new to the field: from the verdicts of `claims.json`, and never
beyond."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from demograd.report.answer import Clause
from demograd.report.run import ReportedRun
from demograd.statistics import Finding, Verdict
from demograd.statistics.number import estimate
from demograd.words import Subject

FEW = 2
"""Findings of one claim and verdict that a sentence can hold; of more, the first stands for all."""
_ROOM = 4
"""Clauses up to which each has its numbers; of more, those alone that answer the question."""


@dataclass(frozen=True)
class ClaimWords:
    """How a claim is asked and answered, with the places `network`, `reference`, `high` and `off`.

    `high` is up to where its number may be, `off` how far a ratio may be above one, in per cent: an answer says by what
    it was decided, where the page does not.
    """

    question: str
    yes: str
    no: str
    words: tuple[tuple[str, str], ...] = ()
    """Word → what it means, of those that a newcomer does not know."""


_WORDS = {
    "same-algorithm": ClaimWords(
        "Does a small transformer, trained to learn from examples in its context, do what a known algorithm does, such "
        "as gradient descent (GD)?",
        "“{network}” does what {reference} does",
        "“{network}” does not do what {reference} does",
        (("ratio of losses", "error of the network over that of the algorithm; the same algorithm has 1"),),
    ),
    "closed-form-preconditioner": ClaimWords(
        "Does trained attention precondition its step as theory says is best?",
        "the preconditioner of “{network}” is within {high} of the best one",
        "the preconditioner of “{network}” is not within {high} of the best one",
        (
            (
                "preconditioner",
                "the matrix that turns and stretches a step; the best one is known (Ahn 2023, Theorem 1)",
            ),
        ),
    ),
    "covariance-blocks": ClaimWords(
        "Do trained layers take the steps of the theorem, with A a multiple of Σ⁻¹ and B one of I?",
        "the A of “{network}” are within {high} of multiples of Σ⁻¹, and its B of those of I",
        "the A of “{network}” are not all within {high} of multiples of Σ⁻¹, or its B not of those of I",
        (("Σ", "the covariance of the inputs x; a step with A = Σ⁻¹ is as long in each direction (Ahn 2023)"),),
    ),
    "matching-attention": ClaimWords(
        "Does attention that matches a world’s kernel predict best?",
        "“{network}”, whose attention matches the kernel, has the lowest loss",
        "“{network}”, whose attention matches the kernel, does not have the lowest loss",
        (
            (
                "kernel",
                "how alike y is at two x; attention weighs examples by one too, and matches where it is the same",
            ),
        ),
    ),
    "least-squares": ClaimWords(
        "Does a small transformer predict a linear system as well as least squares?",
        "the error of “{network}” is within {off} % of that of least squares",
        "the error of “{network}” is not always within {off} % of that of least squares",
    ),
    "recurrence": ClaimWords(
        "Does a trained layer, applied again and again, go on as gradient descent (GD) does?",
        "“{network}”, applied again and again, errs within {off} % of what that many steps of GD do",
        "“{network}”, applied again and again, does not always err within {off} % of what that many steps of GD do",
    ),
    "learned": ClaimWords(
        "Did a network learn anything?", "“{network}” learned anything", "“{network}” learned nothing"
    ),
}
"""By the claim's name, in the order in which they are answered."""
_LEADS = {Verdict.SUPPORTED: "✓ Yes", Verdict.CONTRADICTED: "✗ No", Verdict.UNDECIDED: "? Undecided"}
"""Of the claim that the question asks about, in the order in which they are said; a mark besides, for no meaning is in
colour."""
_NOT_ALL = _LEADS | {Verdict.CONTRADICTED: "✗ Not so"}
"""The same where some findings are contradicted and others not: the question is whether any network does it."""
_OTHER_LEADS = _LEADS | {Verdict.SUPPORTED: "✓ Supported", Verdict.CONTRADICTED: "✗ Contradicted"}
"""Of the other claims."""


@dataclass(frozen=True)
class NetworkFinding:
    """A finding on a network, and the comparison behind it, as `claims.json` has them."""

    finding: Finding
    comparison: Mapping[str, Any]

    @property
    def subject(self) -> Subject:
        """World, network and reference."""
        return Subject(*(str(self.comparison[name]) for name in ("task", "network", "reference")))

    @property
    def numbers(self) -> str:
        """`ratio of losses 1.003 [0.998, 1.008], cosine of sensitivities 0.998 [0.997, 0.999]`; of several that share a
        title, the lowest and the highest."""
        by_title: dict[str, list[Mapping[str, Any]]] = {}
        for number in self.comparison["numbers"]:
            by_title.setdefault(number["title"].removeprefix("the "), []).append(number)
        return ", ".join(_written(title, numbers) for title, numbers in by_title.items())


def _written(title: str, numbers: Sequence[Mapping[str, Any]]) -> str:
    present = sorted((number for number in numbers if number["value"] is not None), key=lambda number: number["value"])
    if not present:
        return str(numbers[0]["text"])
    if len(present) == 1:
        return f"{title} {present[0]['text']}"
    ends = (estimate(*(end[name] for name in ("value", "ci_low", "ci_high"))) for end in (present[0], present[-1]))
    return f"{title} from {' to '.join(end.with_bounds for end in ends)}"


def network_findings(run: ReportedRun) -> dict[str, list[NetworkFinding]]:
    """A claim's name → its findings, in the order in which they are answered; empty where a finding has no words or no
    comparison, so that the run's own sentence must stand alone."""
    comparisons = {claim["name"]: claim["comparisons"] for claim in run.claims.get("claims", [])}
    findings: dict[str, list[Finding]] = {}
    for finding in run.findings:
        findings.setdefault(finding.claim, []).append(finding)
    if any(name not in _WORDS or len(comparisons.get(name, ())) != len(group) for name, group in findings.items()):
        return {}
    return {
        name: [NetworkFinding(*pair) for pair in zip(findings[name], comparisons[name], strict=True)]
        for name in _WORDS
        if name in findings
    }


def network_answer(run: ReportedRun) -> tuple[str, tuple[Clause, ...]]:
    """The question, and a clause for each claim and verdict; empty where there is nothing to say of single findings."""
    by_claim = network_findings(run)
    if not by_claim:
        return "", ()
    leading = next(iter(by_claim))
    has_worlds = len({item.subject.world for items in by_claim.values() for item in items}) > 1
    groups = [
        (name, verdict, members, len(items))
        for name, items in by_claim.items()
        for verdict in _LEADS
        if (members := [item for item in items if item.finding.verdict == verdict])
    ]
    clauses = []
    for name, verdict, members, total in groups:
        is_leading = name == leading
        leads = (_LEADS if len(members) == total else _NOT_ALL) if is_leading else _OTHER_LEADS
        shown = members if len(members) <= FEW else members[:1]
        statements = "; ".join(
            _statement(_WORDS[name], item, has_worlds, is_leading or len(groups) <= _ROOM) for item in shown
        )
        cases = f"in {len(members)} of {total} cases; for one, " * (len(shown) < len(members))
        clauses.append(Clause(verdict, leads[verdict], f"{cases}{statements}."))
    return _WORDS[leading].question, tuple(clauses)


def claim_words(run: ReportedRun) -> Iterator[tuple[str, str]]:
    """Word → what it means, of the claims that are answered."""
    for name in network_findings(run):
        yield from _WORDS[name].words


def leading_subject(run: ReportedRun) -> Subject | None:
    """What the first clause of the answer is about first; None where there is no answer."""
    items = next(iter(network_findings(run).values()), [])
    return next((item.subject for verdict in _LEADS for item in items if item.finding.verdict == verdict), None)


def _statement(words: ClaimWords, item: NetworkFinding, has_worlds: bool, has_numbers: bool) -> str:
    verdict, subject = item.finding.verdict, item.subject
    template = words.no if verdict == Verdict.CONTRADICTED else words.yes
    clause = f"in {subject.world}, " * has_worlds
    high = item.comparison["numbers"][0]["high"]
    off = "" if high is None else f"{100 * (high - 1):.3g}"
    clause += template.format(network=subject.network, reference=subject.reference, high=high, off=off)
    if verdict == Verdict.UNDECIDED:
        return f"it is open whether {clause} ({item.finding.reason})"
    details = [item.comparison["standing"] * (verdict == Verdict.CONTRADICTED), item.numbers] * has_numbers
    return f"{clause} ({'; '.join(filter(None, details))})" if any(details) else clause
