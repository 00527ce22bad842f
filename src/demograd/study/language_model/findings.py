"""What a run says of its leading claim, in one sentence for each method and task, and never more than its data say.

The claim: fine-tuning on a demonstration set does what ICL does with that set, more than what it does with another. It
is the verdict on matching by SimAOU in `claims.json`; what SimAOU itself is does not enter.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

from demograd.statistics import SEEDS_FOR_SPECIFICITY, Decision, Interval, MatchingTest, Verdict
from demograd.statistics.number import estimate, percentage
from demograd.study.language_model.comparison import ClaimComparison
from demograd.study.language_model.objections import ABSURD, BELOW_RESOLUTION, NO_LEARNING
from demograd.study.verdicts import Finding, Statement, decide_claims
from demograd.words import Weights, listed, task_label

LEADING = "specificity"
"""The claim that leads the page."""
_METRIC = "sim_aou"
_NO_ICL, _OPEN_ICL = (NO_LEARNING["in_context_learning", undecided] for undecided in (False, True))
_NO_FT, _OPEN_FT = (NO_LEARNING["fine_tuning", undecided] for undecided in (False, True))
Checks = Sequence[Mapping[str, Any]]
"""The rows of `validity.json`."""


@dataclass(frozen=True)
class MethodOnTask:
    """What one finding is about: a method on a task, or on all tasks together."""

    model: str
    weights: str
    task: str
    """With its label words, where these are not its own."""
    k: int
    method: str

    def checks(self, validity: Checks, name: str) -> list[Mapping[str, Any]]:
        """The validity checks of this name that are about it, or about nothing that differs from it."""
        about = {"weights": self.weights, "model": self.model, "k": self.k}
        rows = [row for row in validity if row["check"] == name and task_label(row["task"], row["labels"]) == self.task]
        return [row for row in rows if all(row.get(column) in (None, value) for column, value in about.items())]


Decided = tuple[ClaimComparison, Decision]


def findings_of(decided: Iterable[Decided], of_untrained: Sequence[ClaimComparison], validity: Checks) -> list[Finding]:
    """A finding for each method and task of the comparisons of the leading claim, those over all tasks first.

    Args:
        decided: the comparisons of all claims, with their verdicts; those of the leading one are of trained weights, or
            in a study without them of its first ones.
        of_untrained: the comparisons of the leading claim for untrained weights beside trained ones.
        validity: the validity checks.
    """
    leading = _by_subject(decided)
    # only a reader's warning: whether untrained weights learn anything does not enter
    ungated = [Statement(LEADING, comparison.test, comparison.test.reason) for comparison in of_untrained]
    baseline = _by_subject(zip(of_untrained, decide_claims(ungated), strict=True))
    several = {name: len({getattr(subject, name) for subject in leading}) > 1 for name in ("k", "model")}
    findings = {subject: _finding(subject, *pair, several, baseline, validity) for subject, pair in leading.items()}
    pooled = [finding for subject, finding in findings.items() if leading[subject][0].is_pooled]
    return pooled + [finding for subject, finding in findings.items() if not leading[subject][0].is_pooled]


def _by_subject(decided: Iterable[Decided]) -> dict[MethodOnTask, Decided]:
    subjects: dict[MethodOnTask, Decided] = {}
    for comparison, decision in decided:
        side, _ = comparison.sides
        if comparison.claim == LEADING and isinstance(side, dict) and side["metric"] == _METRIC:
            task = task_label(comparison.task, comparison.labels)
            subject = MethodOnTask(side["model"], side["weights"], task, comparison.k, side["method"])
            # of several initialisations the first leads
            subjects.setdefault(subject, (comparison, decision))
    return subjects


def _finding(
    subject: MethodOnTask,
    comparison: ClaimComparison,
    decision: Decision,
    several: Mapping[str, bool],
    baseline: Mapping[MethodOnTask, Decided],
    validity: Checks,
) -> Finding:
    """The sentence of one method on one task."""
    about = f"{subject.method} on {subject.task}{f', k {subject.k}' * several['k']}"
    about += f", {subject.model}" * several["model"]
    words = f"fine-tuning {_model(subject)} by {subject.method}{comparison.place}"
    on = f"on {subject.task}{f', k {subject.k},' * several['k']}"
    if objection := _objection(subject, comparison, words, on, validity):
        sentence, reason = objection
        values = "" if isnan(comparison.difference) else f" ({_values(comparison)})"
        return Finding(LEADING, about, Verdict.UNDECIDED, reason, f"{sentence}{values}.")
    verdict, reason = decision.verdict, ""
    if verdict == Verdict.UNDECIDED:
        reason = _why_open(comparison, decision)
        clause = f"it is open whether {words} on a demonstration set does what ICL does with that set"
        return Finding(LEADING, about, verdict, reason, f"Undecided: {on}, {clause}: {reason} ({_values(comparison)}).")
    clause = {
        Verdict.SUPPORTED: f"{words} on a demonstration set does what ICL does with that set, more than with another",
        Verdict.CONTRADICTED: f"{words} on a demonstration set does less what ICL does with that set than with another",
        Verdict.NOT_SPECIFIC: f"{words} looks as much like ICL with other demonstrations as with its own",
    }[verdict]
    caveat = _untrained_too(subject, baseline) if verdict == Verdict.SUPPORTED else ""
    if verdict == Verdict.NOT_SPECIFIC:
        caveat = _beside_ceiling(comparison)
    sentence = f"{verdict.capitalize()}: {on}, {clause} ({_values(comparison)}){f'; {caveat}' * bool(caveat)}."
    return Finding(LEADING, about, verdict, "", sentence, caveat)


def _model(subject: MethodOnTask) -> str:
    is_trained = subject.weights == Weights.TRAINED
    return subject.model if is_trained else f"{subject.model} ({subject.weights} weights)"


def _objection(
    subject: MethodOnTask, comparison: ClaimComparison, words: str, on: str, validity: Checks
) -> tuple[str, str] | None:
    """Why the numbers do not count: a sentence that they can follow, and a clause."""
    model, method = _model(subject), subject.method
    if comparison.is_pooled:  # of tasks against which there is none
        return None
    learning = subject.checks(validity, "in_context_learning")
    if not learning and not comparison.objection:
        return (
            f"Undecided: {on}, it was not checked whether {model} learns in context, so similarity to {method} cannot "
            "be called similarity to learning"
        ), "in-context learning was not checked"
    reason, labels = comparison.objection, comparison.cell_labels
    if not reason:
        return None

    def message(name: str) -> str:
        """What was seen, without the finding that the sentence starts with."""
        rows = [
            row
            for row in subject.checks(validity, name)
            if not row["passed"] and (row["method"] is None or row["method"] in labels)
        ]
        observed = rows[0]["message"].rpartition(": ")[2] if rows else ""
        return f": {observed}" if observed else ""

    if reason == _OPEN_ICL:
        sentence = (
            f"Undecided: {on}, it is open whether {model} learns in context, and so whether similarity to {method} is "
            f"similarity to learning{message('in_context_learning')}"
        )
    elif reason == _NO_ICL:
        sentence = (
            f"No in-context learning here: {on}, demonstrations in the prompt do not measurably improve what {model} "
            f"predicts, so similarity to {method} says nothing about learning{message('in_context_learning')}"
        )
    elif reason == _OPEN_FT:
        sentence = (
            f"Undecided: {on}, it is open whether fine-tuning {model} by {method} learns anything that ICL could "
            f"resemble{message('fine_tuning')}"
        )
    elif reason == _NO_FT:
        sentence = (
            f"Fine-tuning learned nothing here: {on}, fine-tuning {model} by {method} does not measurably improve what "
            f"it predicts, so there is no learning that ICL could resemble{message('fine_tuning')}"
        )
    elif reason == ABSURD:
        sentence = (
            f"Undecided: {on}, the updates of {model} by {method} are of another order of size than ICL's, which a "
            f"cosine does not see{message('update_size')}"
        )
    elif reason.endswith(BELOW_RESOLUTION):
        sentence = f"Undecided: {on}, most updates of {model} by {method} are too small for their direction to be known"
    else:
        sentence = f"Undecided: {on}, {words} cannot be matched with ICL: {reason}"
    return sentence, reason


def _why_open(comparison: ClaimComparison, decision: Decision) -> str:
    n_sets = comparison.n_sets
    if n_sets < SEEDS_FOR_SPECIFICITY and not comparison.test.reason:
        needed = f"matching needs at least {SEEDS_FOR_SPECIFICITY}"
        return f"{n_sets} demonstration set{'s' * (n_sets != 1)}, and {needed}"
    return decision.reason


def _untrained_too(subject: MethodOnTask, baseline: Mapping[MethodOnTask, Decided]) -> str:
    """Weights that have learned nothing, and of which the same holds: a reader must know."""
    same = [
        other.weights
        for other, (_, decision) in baseline.items()
        if (other.model, other.task, other.k, other.method) == (subject.model, subject.task, subject.k, subject.method)
        and decision.verdict == Verdict.SUPPORTED
    ]
    return f"but the same holds of {listed(dict.fromkeys(same))} weights" if same else ""


def _beside_ceiling(comparison: ClaimComparison) -> str:
    """What is as good as nothing by the margin may still be as much as ICL itself has: a reader must know which.

    The two intervals are of the same sets; where they do not overlap, the difference is shown with room to spare.
    """
    test, ceiling = comparison.test, comparison.ceiling
    assert isinstance(test, MatchingTest), "the leading claim is about matrices"
    if ceiling is None or ceiling.share_interval is None or test.share_interval is None:
        return ""
    if test.share_interval.high < ceiling.share_interval.low:
        return "this is below the ceiling"
    return "but this is not shown to be below the ceiling"


def _values(comparison: ClaimComparison) -> str:
    """`SimAOU 0.192 matched, 0.191 mismatched; specificity 0.001 [0.000, 0.002], 0.5 % [0.1, 1.0] of the similarity
    (ceiling, ICL reordered: 1.1 % [0.8, 1.4]); 2 of 8 sets find their own`."""
    test, ceiling = comparison.test, comparison.ceiling
    assert isinstance(test, MatchingTest), "the leading claim is about matrices"
    specificity = _with_bounds(test.specificity, test.interval)
    parts = [f"SimAOU {estimate(test.matched).text} matched, {estimate(test.mismatched).text} mismatched"]
    share = "" if isnan(test.share) else f", {_share(test)} of the similarity"
    if share and ceiling is not None and not isnan(ceiling.share):
        share += f" (ceiling, ICL reordered: {_share(ceiling)})"
    parts.append(f"specificity {specificity}{share}")
    sets = sum(pairs.n_sets for pairs in test.pairs)
    parts.append(f"{round(test.identified * sets)} of {sets} sets find their own")
    return "; ".join(parts)


def _share(test: MatchingTest) -> str:
    """`1.1 % [0.8, 1.4]`."""
    interval = test.share_interval
    percent = percentage(test.share, *((interval.low, interval.high) if interval else ()))
    return f"{percent.text} % {percent.bounds}".rstrip()


def _with_bounds(value: float, interval: Interval | None) -> str:
    """`0.100 [0.080, 0.120]`."""
    low, high = (interval.low, interval.high) if interval else (None, None)
    number = estimate(value, low, high)
    return f"{number.text} {number.bounds or '[no interval]'}"
