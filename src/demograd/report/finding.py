"""What the data say about the claim, in one sentence, and never more than they say.

The claim about a method on a task: fine-tuning on the demonstrations in the prompt moves attention outputs more towards
ICL than fine-tuning on each control does. It is supported only if the SimAOU specificity is above zero against *every*
control that was measured; what SimAOU itself is does not enter.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from demograd.metrics import METRICS
from demograd.report.numbers import Cell
from demograd.report.run import Check
from demograd.report.scores import Scores, overall
from demograd.report.subject import WEIGHTS, Variant, method_label
from demograd.statistics import SEEDS_FOR_SPECIFICITY, Decision, Verdict, decide
from demograd.words import Control

_CONTROL = {control: control.words for control in Control} | {
    Control.PERMUTED_LABELS: "the same ones with permuted labels"
}
NEEDED = (Control.OTHER_DEMONSTRATIONS, Control.PERMUTED_LABELS)
"""Controls that a claim must beat even where a run left them out; any other counts where it was run."""
FEW = 6
"""Findings that are named one by one in the sentence of a run."""
_METRIC = "sim_aou"


@dataclass(frozen=True)
class Finding:
    """A sentence that starts with its verdict in words."""

    sentence: str
    verdict: Verdict
    about: str
    """Method and task, such as `GD on mr`."""
    reason: str
    """Why it is undecided, as a clause; empty where it is decided."""


def finding(results: pd.DataFrame, validity: Iterable[Check]) -> Finding:
    """The one sentence of a run: its only finding, or what its findings amount to."""
    each = findings(results, validity)
    if len(each) == 1:
        return each[0]
    if not each:
        why = "no fine-tuning was measured"
        return Finding(f"Undecided: {why}, so there is nothing to compare with ICL.", Verdict.UNDECIDED, "", why)
    if not results["setting"].isin([control.setting for control in Control]).any():
        why = "no control was measured"
        return Finding(
            f"Undecided: {why}, so it is open whether fine-tuning on these demonstrations above all looks like ICL.",
            Verdict.UNDECIDED,
            "",
            why,
        )
    alike: dict[tuple[Verdict, str], list[str]] = {}
    for one in each:
        alike.setdefault((one.verdict, one.reason), []).append(one.about)
    parts = [
        f"{verdict} for {_named(about, len(each))}{f' ({reason})' if reason else ''}"
        for verdict in Verdict
        for (its_verdict, reason), about in alike.items()
        if its_verdict == verdict
    ]
    verdicts = {one.verdict for one in each}
    verdict = verdicts.pop() if len(verdicts) == 1 else Verdict.UNDECIDED
    claim = "that fine-tuning on the same demonstrations looks more like ICL than fine-tuning on others"
    return Finding(f"The claim {claim} is {'; '.join(parts)}.", verdict, "", "; ".join(reason for _, reason in alike))


def findings(results: pd.DataFrame, validity: Iterable[Check]) -> list[Finding]:
    """A finding per method and task, for trained weights (or, in a run without them, the first there are)."""
    scores, checks = overall(results), list(validity)
    plain = scores.tuned()
    weights = next((name for name in WEIGHTS if any(each.weights == name for each in plain)), None)
    claimed = [each for each in plain if each.weights == weights]
    return [_finding(scores, each, method_label(each, claimed), checks) for each in claimed]


def _finding(scores: Scores, of: Variant, label: str, validity: Sequence[Check]) -> Finding:
    model = of.model if of.weights == "trained" else f"{of.model} ({of.weights} weights)"
    subject = f"fine-tuning {model} by {label} on the same demonstrations"
    about = f"{label} on {of.task}"
    settings = {setting for _, _, setting in scores.cells}
    controls = [control for control in Control if control in NEEDED or control.setting in settings]
    cells = {control: scores.specificity(of, _METRIC, control) for control in controls}
    measured = {control: cell for control, cell in cells.items() if cell.value is not None}
    if not measured:
        reason = next(cell.text for cell in cells.values())
        return Finding(
            f"Undecided: on {of.task}, {subject} has no SimAOU specificity: {reason}.", Verdict.UNDECIDED, about, reason
        )
    notes = "".join(
        f"; no comparison with {control.words} ({cell.text})"
        for control, cell in cells.items()
        if control not in measured
    )
    objection = _objection(of, label, model, validity)
    if objection is None and len(measured) < len(cells):  # a claim must beat every control, not those that are left
        objection = (
            f"Undecided: on {of.task}, {subject} could not be compared with every control",
            "a control is missing",
        )
    if objection is not None:
        sentence, reason = objection
        values = " and ".join(
            f"{_value(cell)}{',' * cell.marked} against {control.words}" for control, cell in measured.items()
        )
        return Finding(f"{sentence} (SimAOU specificity {values}){notes}.", Verdict.UNDECIDED, about, reason)
    decisions = {control: decide(cell.interval, SEEDS_FOR_SPECIFICITY) for control, cell in measured.items()}
    verdict = _conjunction(decisions.values())
    clauses, reason = _clauses(subject, measured, decisions)
    notes += _untrained_too(scores, of) if verdict == Verdict.SUPPORTED else ""
    sentence = f"{verdict.capitalize()}: on {of.task}, {clauses}{notes}."
    return Finding(sentence, verdict, about, reason if verdict == Verdict.UNDECIDED else "")


def _objection(of: Variant, label: str, model: str, validity: Sequence[Check]) -> tuple[str, str] | None:
    """Why the numbers do not count: a sentence that they can follow, and a clause."""
    here = [check for check in validity if check.is_about(of.model, of.weights, of.task, of.k)]
    learning = [check for check in here if check.check == "in_context_learning"]
    if not learning:
        return (
            f"Undecided: on {of.task}, it was not checked whether {model} learns in context, so similarity to {label} "
            "cannot be called similarity to learning"
        ), "in-context learning was not checked"
    closed = next((check for check in learning if not check.passed), None)
    if closed is not None and closed.undecided:
        return (
            f"Undecided: on {of.task}, it is open whether {model} learns in context, and so whether similarity to "
            f"{label} is similarity to learning: {closed.message}"
        ), "undecided whether there is in-context learning here"
    if closed is not None:
        return (
            f"No in-context learning here: on {of.task}, demonstrations in the prompt do not measurably improve what "
            f"{model} predicts, so similarity to {label} says nothing about learning: {closed.message}"
        ), "no in-context learning here"
    method = f"{of.method} {of.texts['learning_rate']}"
    idle = next(
        (check for check in here if check.check == "fine_tuning" and not check.passed and check.method == method), None
    )
    if idle is not None and idle.undecided:
        return (
            f"Undecided: on {of.task}, it is open whether fine-tuning {model} by {label} learns anything that ICL "
            f"could resemble: {idle.message}"
        ), "undecided whether fine-tuning learned anything here"
    if idle is not None:
        return (
            f"Fine-tuning learned nothing here: on {of.task}, fine-tuning {model} by {label} does not measurably "
            f"improve what it predicts, so there is no learning that ICL could resemble: {idle.message}"
        ), "fine-tuning learned nothing here"
    wrecks = [check for check in here if check.check == "update_size" and not check.passed]
    for check in (check for check in wrecks if check.method in (None, of.method, method)):
        return (
            f"Undecided: on {of.task}, the updates of {model} by {label} are of another order of size than ICL's, "
            f"which a cosine does not see: {check.message}"
        ), "updates of another size than ICL's"
    unresolved = [check for check in here if check.check == "resolution" and not check.passed]
    if any(check.method in (None, of.method, method, f"{method}, {METRICS['sim_aou'].title}") for check in unresolved):
        return (
            f"Undecided: on {of.task}, most updates of {model} by {label} are too small for their direction to be known"
        ), "updates below resolution"
    return None


def _clauses(subject: str, measured: dict[Control, Cell], decisions: dict[Control, Decision]) -> tuple[str, str]:
    """What the sentence says of each control, and why it leaves some open."""
    than = {
        control: f"than fine-tuning on {_CONTROL[control]} does (SimAOU specificity {_value(cell)})"
        for control, cell in measured.items()
    }
    by_verdict = {
        verdict: [control for control in measured if decisions[control].verdict == verdict] for verdict in Verdict
    }
    undecided = by_verdict[Verdict.UNDECIDED]
    reason = _reason(undecided, measured, decisions) if undecided else ""
    if len(undecided) == len(measured):
        compared = " or ".join(than.values())
        direction = f"moves its attention outputs more in ICL's direction {compared}"
        return f"the data do not show that {subject} {direction}: {reason}", reason
    decided = [
        f"{amount} in ICL's direction {' and '.join(than[control] for control in by_verdict[verdict])}"
        for verdict, amount in ((Verdict.SUPPORTED, "more"), (Verdict.CONTRADICTED, "less"))
        if by_verdict[verdict]
    ]
    seeds = min(cell.n_seeds for cell in measured.values())
    clauses = f"{subject} moves its attention outputs {', but '.join(decided)}"
    clauses += f"; 95 % intervals over {seeds} demonstration sets"
    if undecided:
        clauses += (
            f"; it is open whether it does so more {' or '.join(than[control] for control in undecided)}: {reason}"
        )
    return clauses, reason


def _reason(undecided: Sequence[Control], measured: dict[Control, Cell], decisions: dict[Control, Decision]) -> str:
    seeds = min(measured[control].n_seeds for control in undecided)
    if seeds < SEEDS_FOR_SPECIFICITY:
        needed = f"a claim about specificity needs at least {SEEDS_FOR_SPECIFICITY}"
        return f"{seeds} demonstration set{'s' * (seeds != 1)}, and {needed}"
    return " and ".join(dict.fromkeys(decisions[control].reason for control in undecided))


def _untrained_too(scores: Scores, of: Variant) -> str:
    """Weights that have learned nothing, and of which the same holds: a reader must know."""
    same = [
        each.weights
        for each in scores.tuned()
        if each.weights != of.weights
        and replace(each, weights=of.weights, learning_rate=of.learning_rate) == of
        and _conjunction(
            decide(scores.specificity(each, _METRIC, control).interval, SEEDS_FOR_SPECIFICITY) for control in NEEDED
        )
        == Verdict.SUPPORTED
    ]
    return f"; but the same holds of {listed(dict.fromkeys(same))} weights" if same else ""


def _conjunction(decisions: Iterable[Decision]) -> Verdict:
    verdicts = {decision.verdict for decision in decisions}
    if Verdict.CONTRADICTED in verdicts:
        return Verdict.CONTRADICTED
    return Verdict.SUPPORTED if verdicts == {Verdict.SUPPORTED} else Verdict.UNDECIDED


def _value(cell: Cell) -> str:
    conditional = ", conditional on these demonstrations" if cell.marked else ""
    return f"{cell.value_text} {cell.bounds or '[no interval]'}{conditional}"


def _named(about: Sequence[str], total: int) -> str:
    return listed(about) if len(about) <= FEW else f"{len(about)} of {total} methods and tasks"


def listed(words: Iterable[str]) -> str:
    """`a, b and c`; there must be one."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
