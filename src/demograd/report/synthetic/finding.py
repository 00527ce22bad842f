"""What a synthetic run says of each claim, in sentences that start with their verdict, and never more than it says."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from demograd.metrics import Decision, Verdict
from demograd.report.cell import Cell
from demograd.report.finding import FEW, Finding, listed
from demograd.report.synthetic.decision import SAME_PRECONDITIONER, lowest_loss, same_algorithm, within
from demograd.report.synthetic.numbers import Subject, cells, seeds, written
from demograd.report.synthetic.positions import LEAST_SQUARES, as_good_everywhere, extremes, ratios_by_position

Findings = dict[str, list[Finding]]
"""What a claim says in general, as it follows "that" → what was found of it."""


def synthetic_findings(rows: pd.DataFrame, worlds: dict[str, Any]) -> Findings:
    """Of rows over training seeds at the study's context (`synthetic_rows`); `worlds` as the study has them."""
    every = {
        "a trained transformer does what a reference does": _algorithms(rows),
        "a trained preconditioner is the best one in closed form": _preconditioners(rows),
        "attention that matches a world’s kernel has the lowest loss": _matching(rows),
        "a trained transformer predicts a linear system as well as least squares": _systems(rows, worlds),
        "a network can be held against anything": _without_loss(rows),
    }
    return {claim: found for claim, found in every.items() if found}


def first_finding(found: Findings) -> Finding:
    """The one sentence of a run: its only finding, or what its findings amount to."""
    every = [one for of_claim in found.values() for one in of_claim]
    if len(every) == 1:
        return every[0]
    if not every:
        why = "no network was held against anything"
        return Finding(f"Undecided: {why}.", Verdict.UNDECIDED, "", why)
    sentences = [f"That {claim} is {_told(of_claim)}." for claim, of_claim in found.items()]
    verdicts = {one.verdict for one in every}
    return Finding(" ".join(sentences), verdicts.pop() if len(verdicts) == 1 else Verdict.UNDECIDED, "", "")


def _told(found: Sequence[Finding]) -> str:
    """`supported for …; contradicted for …`."""
    parts = []
    for verdict in Verdict:
        of_verdict = [one for one in found if one.verdict == verdict]
        if of_verdict:
            about = [one.about for one in of_verdict]
            named = listed(about) if len(about) <= FEW else f"{len(about)} of {len(found)}"
            reasons = list(dict.fromkeys(one.reason for one in of_verdict if one.reason))
            parts.append(f"{verdict} for {named}{f' ({reasons[0]})' if len(reasons) == 1 else ''}")
    return "; ".join(parts)


def _algorithms(rows: pd.DataFrame) -> list[Finding]:
    ratios, cosines = (cells(rows, metric) for metric in ("loss_ratio", "sensitivity_cosine"))
    found = []
    for of, ratio in ratios.items():
        if of not in cosines:  # a linear system: there is no query whose x a prediction is sensitive to
            continue
        cosine = cosines[of]
        decision = same_algorithm(ratio, cosine)
        does = _said(decision, f"“{of.network}” does what {of.reference} does",
                     f"“{of.network}” does not do what {of.reference} does")  # fmt: skip
        times = f"{written(ratio)} times as large" if ratio.value is not None else ratio.text
        values = f"its loss is {times}; the cosine of their sensitivities {written(cosine)}"
        found.append(_finding(decision, of.world, does, values, f"“{of.network}” as {of.reference}", ratio.n_seeds))
    return found


def _preconditioners(rows: pd.DataFrame) -> list[Finding]:
    found = []
    for of, distance in cells(rows, "preconditioner_distance").items():
        decision = within(distance, (0.0, SAME_PRECONDITIONER), "the distance")
        whose = f"the preconditioner of “{of.network}”"
        does = _said(decision, f"{whose} is that of the {of.reference}", f"{whose} is not that of the {of.reference}")
        values = f"relative Frobenius distance {written(distance)}; up to {SAME_PRECONDITIONER:g} counts as equal"
        found.append(_finding(decision, of.world, does, values, f"“{of.network}”", distance.n_seeds))
    return found


def _matching(rows: pd.DataFrame) -> list[Finding]:
    margins: dict[tuple[str, str], dict[Subject, Cell]] = {}
    for of, margin in cells(rows, "loss_margin").items():
        if of.network != of.reference:
            margins.setdefault((of.world, of.reference), {})[of] = margin
    found = []
    for (world, matching), others in margins.items():
        # the lowest of all is not the lowest of those that did not diverge
        others = others | {of: loss for of, loss in _not_trained(rows).items() if of.world == world}
        decision = lowest_loss(others.values())
        whose = f"“{matching}”, whose attention is the world’s kernel,"
        does = _said(decision, f"{whose} has the lowest loss", f"{whose} does not have the lowest loss")
        above = [f"{written(margin)} of “{of.network}”" for of, margin in others.items()]
        values = f"by how much the others’ losses are higher: {listed(above)}"
        n_seeds = min(margin.n_seeds for margin in others.values())
        found.append(_finding(decision, world, does, values, f"“{matching}”", n_seeds))
    return found


def _systems(rows: pd.DataFrame, worlds: dict[str, Any]) -> list[Finding]:
    found = []
    for of, ratios in ratios_by_position(rows).items():
        dimension = int(worlds[of.world]["dimension"])
        after = {t: ratio for t, ratio in ratios.items() if t > dimension}
        if after:
            decision = as_good_everywhere(list(after.values()))
            error = f"with more than {dimension} states seen, the error of “{of.network}”"
            does = _said(decision, f"{error} is always within 10 % of {LEAST_SQUARES}’",
                         f"{error} is not always within 10 % of {LEAST_SQUARES}’")  # fmt: skip
            n_seeds = min(ratio.n_seeds for ratio in after.values())
            found.append(_finding(decision, of.world, does, extremes(after), f"“{of.network}”", n_seeds))
    return found


def _without_loss(rows: pd.DataFrame) -> list[Finding]:
    return [
        Finding(
            f"Undecided: in {of.world}, nothing can be said of “{of.network}”: {loss.text}.",
            Verdict.UNDECIDED, f"“{of.network}” in {of.world}", loss.text,
        )
        for of, loss in _not_trained(rows).items()
    ]  # fmt: skip


def _not_trained(rows: pd.DataFrame) -> dict[Subject, Cell]:
    return {of: loss for of, loss in cells(rows, "loss").items() if loss.value is None}


def _said(decision: Decision, yes: str, no: str) -> str:
    said = {Verdict.SUPPORTED: yes, Verdict.CONTRADICTED: no, Verdict.UNDECIDED: f"it is open whether {yes}"}
    return said[decision.verdict]


def _finding(decision: Decision, world: str, does: str, values: str, about: str, n_seeds: int) -> Finding:
    reason = decision.reason if decision.verdict == Verdict.UNDECIDED else ""
    ending = f": {reason}" if reason else f"; 95 % intervals over {seeds(n_seeds)}"
    return Finding(f"{decision.verdict.capitalize()}: in {world}, {does} ({values}){ending}.",
                   decision.verdict, f"{about} in {world}", reason)  # fmt: skip
