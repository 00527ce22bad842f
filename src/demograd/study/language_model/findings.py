"""What a run says of its leading claim, in one sentence for each method and task, and never more than its data say.

The claim: fine-tuning on the demonstrations in the prompt moves attention outputs more towards ICL than fine-tuning on
each control does. It is supported only if the SimAOU specificity is above zero against *every* control that was
measured, by the verdicts on the comparisons of `claims.json`; what SimAOU itself is does not enter.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

from demograd.statistics import SEEDS_FOR_SPECIFICITY, Decision, Number, Verdict
from demograd.statistics.number import formatted
from demograd.study.language_model.comparison import ClaimComparison
from demograd.study.language_model.objections import ABSURD, BELOW_RESOLUTION, NO_LEARNING
from demograd.study.language_model.spec import Study
from demograd.study.verdicts import Finding, Statement, decide_claims
from demograd.words import Control, Setting, Weights, listed

LEADING = "specificity"
"""The claim that leads the page."""
_METRIC = "sim_aou"
_CONTROL = {control: control.words for control in Control} | {
    Control.PERMUTED_LABELS: "the same ones with permuted labels"
}
NEEDED = (Control.OTHER_DEMONSTRATIONS, Control.PERMUTED_LABELS)
"""Controls that the claim must beat even where a run left them out; any other counts where it was run."""
_NO_ICL, _OPEN_ICL = (NO_LEARNING["in_context_learning", undecided] for undecided in (False, True))
_NO_FT, _OPEN_FT = (NO_LEARNING["fine_tuning", undecided] for undecided in (False, True))
Checks = Sequence[Mapping[str, Any]]
"""The rows of `validity.json`."""


@dataclass(frozen=True)
class MethodOnTask:
    """What one finding is about: a method on a task."""

    model: str
    weights: str
    task: str
    k: int
    method: str

    def checks(self, validity: Checks, name: str) -> list[Mapping[str, Any]]:
        """The validity checks of this name that are about it, or about nothing that differs from it."""
        about = {"weights": self.weights, "task": self.task, "model": self.model, "k": self.k}
        rows = [row for row in validity if row["check"] == name]
        return [row for row in rows if all(row.get(column) in (None, value) for column, value in about.items())]


Compared = dict[Control, tuple[ClaimComparison, Decision]]
"""FT against each control."""


def findings_of(
    study: Study,
    decided: Iterable[tuple[ClaimComparison, Decision]],
    of_untrained: Sequence[ClaimComparison],
    validity: Checks,
) -> list[Finding]:
    """A finding for each method and task of the comparisons of the leading claim.

    Args:
        study: what was run.
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
    return [_finding(subject, compared, study, several, baseline, validity) for subject, compared in leading.items()]


def _by_subject(decided: Iterable[tuple[ClaimComparison, Decision]]) -> dict[MethodOnTask, Compared]:
    subjects: dict[MethodOnTask, Compared] = {}
    for comparison, decision in decided:
        same, other = comparison.sides
        if comparison.claim == LEADING and isinstance(same, dict) and isinstance(other, dict):
            control = Setting(other["setting"]).control
            if same["metric"] == _METRIC and control is not None:
                subject = MethodOnTask(same["model"], same["weights"], comparison.task, comparison.k, same["method"])
                subjects.setdefault(subject, {})[control] = comparison, decision
    return subjects


def _finding(
    subject: MethodOnTask,
    compared: Compared,
    study: Study,
    several: Mapping[str, bool],
    baseline: Mapping[MethodOnTask, Compared],
    validity: Checks,
) -> Finding:
    """The sentence of one method on one task."""
    words = _tuning(subject, compared)
    about = f"{subject.method} on {subject.task}{f', k {subject.k}' * several['k']}"
    about += f", {subject.model}" * several["model"]

    def undecided(sentence: str, reason: str) -> Finding:
        return Finding(LEADING, about, Verdict.UNDECIDED, reason, sentence)

    on = f"on {subject.task}{f', k {subject.k},' * several['k']}"
    controls = [control for control in Control if control in NEEDED or control in study.controls]
    measured = {control: pair for control, pair in compared.items() if not isnan(pair[0].test.difference)}
    if not measured:
        reason = next(comparison.objection or comparison.test.reason for comparison, _ in compared.values())
        return undecided(f"Undecided: {on}, {words} has no SimAOU specificity: {reason}.", reason)
    absent = {control: _absence(compared.get(control)) for control in controls if control not in measured}
    notes = "".join(f"; no comparison with {control.words} ({why})" for control, why in absent.items())
    objection = _objection(subject, words, on, measured, validity)
    if objection is None and absent:  # a claim must beat every control, not those that are left
        objection = f"Undecided: {on}, {words} could not be compared with every control", "a control is missing"
    if objection is not None:
        sentence, reason = objection
        values = " and ".join(
            f"{_value(comparison)} against {control.words}" for control, (comparison, _) in measured.items()
        )
        return undecided(f"{sentence} (SimAOU specificity {values}){notes}.", reason)
    verdict = _conjunction(decision for _, decision in measured.values())
    clauses, reason = _clauses(words, measured)
    notes += _untrained_too(subject, baseline) if verdict == Verdict.SUPPORTED else ""
    sentence = f"{verdict.capitalize()}: {on}, {clauses}{notes}."
    return Finding(LEADING, about, verdict, reason if verdict == Verdict.UNDECIDED else "", sentence)


def _tuning(subject: MethodOnTask, compared: Compared) -> str:
    """`fine-tuning smollm2-135m by GD on the same demonstrations`, and at what size, where that is a choice."""
    places = dict.fromkeys(comparison.place for comparison, _ in compared.values())
    return f"fine-tuning {_model(subject)} by {subject.method}{next(iter(places), '')} on the same demonstrations"


def _model(subject: MethodOnTask) -> str:
    is_trained = subject.weights == Weights.TRAINED
    return subject.model if is_trained else f"{subject.model} ({subject.weights} weights)"


def _absence(pair: tuple[ClaimComparison, Decision] | None) -> str:
    return "not measured" if pair is None else pair[0].objection or pair[0].test.reason


def _objection(
    subject: MethodOnTask, words: str, on: str, measured: Compared, validity: Checks
) -> tuple[str, str] | None:
    """Why the numbers do not count: a sentence that they can follow, and a clause."""
    model, method = _model(subject), subject.method
    learning = subject.checks(validity, "in_context_learning")
    if not learning:
        return (
            f"Undecided: {on}, it was not checked whether {model} learns in context, so similarity to {method} cannot "
            "be called similarity to learning"
        ), "in-context learning was not checked"
    objected = next((comparison for comparison, _ in measured.values() if comparison.objection), None)
    if objected is None:
        return None
    reason, labels = objected.objection, objected.cell_labels

    def message(name: str) -> str:
        rows = [
            row
            for row in subject.checks(validity, name)
            if not row["passed"] and (row["method"] is None or row["method"] in labels)
        ]
        return f": {rows[0]['message']}" if rows and rows[0]["message"] else ""

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
        sentence = f"Undecided: {on}, {words} cannot be compared: {reason}"
    return sentence, reason


def _clauses(words: str, measured: Compared) -> tuple[str, str]:
    """What the sentence says of each control, and why it leaves some open."""
    than = {
        control: f"than fine-tuning on {_CONTROL[control]} does (SimAOU specificity {_value(comparison)})"
        for control, (comparison, _) in measured.items()
    }
    by_verdict = {
        verdict: [control for control, (_, decision) in measured.items() if decision.verdict == verdict]
        for verdict in Verdict
    }
    undecided = by_verdict[Verdict.UNDECIDED]
    reason = _reason([measured[control] for control in undecided]) if undecided else ""
    if len(undecided) == len(measured):
        direction = f"moves its attention outputs more in ICL's direction {' or '.join(than.values())}"
        return f"the data do not show that {words} {direction}: {reason}", reason
    decided = [
        f"{amount} in ICL's direction {' and '.join(than[control] for control in by_verdict[verdict])}"
        for verdict, amount in ((Verdict.SUPPORTED, "more"), (Verdict.CONTRADICTED, "less"))
        if by_verdict[verdict]
    ]
    n_seeds = min(comparison.test.n_seeds for comparison, _ in measured.values())
    clauses = f"{words} moves its attention outputs {', but '.join(decided)}"
    clauses += f"; 95 % intervals over {n_seeds} demonstration sets, verdicts corrected by Holm"
    if undecided:
        alternatives = " or ".join(than[control] for control in undecided)
        clauses += f"; it is open whether it does so more {alternatives}: {reason}"
    return clauses, reason


def _reason(undecided: Sequence[tuple[ClaimComparison, Decision]]) -> str:
    n_seeds = min(comparison.test.n_seeds for comparison, _ in undecided)
    if n_seeds < SEEDS_FOR_SPECIFICITY:
        needed = f"a claim about specificity needs at least {SEEDS_FOR_SPECIFICITY}"
        return f"{n_seeds} demonstration set{'s' * (n_seeds != 1)}, and {needed}"
    return " and ".join(dict.fromkeys(_why_open(comparison, decision) for comparison, decision in undecided))


def _why_open(comparison: ClaimComparison, decision: Decision) -> str:
    interval = comparison.test.interval
    if interval is not None and interval.low <= 0 <= interval.high:
        return f"the {interval.label} includes 0"
    return decision.reason


def _untrained_too(subject: MethodOnTask, baseline: Mapping[MethodOnTask, Compared]) -> str:
    """Weights that have learned nothing, and of which the same holds: a reader must know."""
    same = [
        other.weights
        for other, compared in baseline.items()
        if (other.model, other.task, other.k, other.method) == (subject.model, subject.task, subject.k, subject.method)
        and set(NEEDED) <= set(compared)
        and _conjunction(compared[control][1] for control in NEEDED) == Verdict.SUPPORTED
    ]
    return f"; but the same holds of {listed(dict.fromkeys(same))} weights" if same else ""


def _conjunction(decisions: Iterable[Decision]) -> Verdict:
    verdicts = {decision.verdict for decision in decisions}
    if Verdict.CONTRADICTED in verdicts:
        return Verdict.CONTRADICTED
    return Verdict.SUPPORTED if verdicts == {Verdict.SUPPORTED} else Verdict.UNDECIDED


def _value(comparison: ClaimComparison) -> str:
    """`0.100 [0.080, 0.120]`."""
    test = comparison.test
    low, high = (test.interval.low, test.interval.high) if test.interval else (None, None)
    cell = Number(test.difference, None, low, high, False, comparison.n, comparison.n_missing, test.n_seeds, "ok")
    return f"{cell.value_text if cell.bounds else formatted(test.difference)} {cell.bounds or '[no interval]'}"
