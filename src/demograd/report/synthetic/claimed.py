"""The claims about trained transformers, each with a finding for everything that it is about."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from demograd.report.finding import Finding, listed
from demograd.report.networks import Subject, by_subject, written
from demograd.report.numbers import Number
from demograd.report.synthetic.conclusion import conclusion, said
from demograd.report.synthetic.decision import (
    SAME_PRECONDITIONER,
    Standing,
    lowest_loss,
    same_algorithm,
    standing,
    standing_in_words,
    within,
)
from demograd.report.synthetic.positions import LEAST_SQUARES, as_good_everywhere, extremes, ratios_by_position
from demograd.report.synthetic.seeds_apart import seeds_apart
from demograd.statistics import Verdict

_ADDED = {
    Standing.BETTER: " (it is better)",
    Standing.WORSE: " (it is worse)",
    Standing.AS_GOOD: " (it is as good)",
    Standing.AS_GOOD_OR_BETTER: " (it is as good or better)",
}
"""What a run's one sentence adds where a network is not what it was held against."""


def algorithms(rows: pd.DataFrame, by_seed: Mapping[Subject, Sequence[float]]) -> list[Finding]:
    """Whether a network does what each reference does that it was held against; `by_seed`: its ratios of losses.

    Where seeds ended at different optima their mean is the loss of no network, so the sentence counts them.
    """
    ratios, cosines = (by_subject(rows, metric) for metric in ("loss_ratio", "sensitivity_cosine"))
    found = []
    for of, ratio in ratios.items():
        if of not in cosines:  # a linear system: there is no query whose x a prediction is sensitive to
            continue
        cosine = cosines[of]
        decision = same_algorithm(ratio, cosine)
        apart = seeds_apart(by_seed.get(of, ())) if ratio.value is not None else ""
        but = f" from every seed: {apart}" if apart else _but(ratio)
        does = said(
            decision,
            f"“{of.network}” does what {of.reference} does",
            f"“{of.network}” does not do what {of.reference} does{but}",
        )
        times = f"its loss is {written(ratio)} times as large" if ratio.value is not None else ratio.text
        seeds = f", a mean over seeds of which {apart}" if apart and decision.verdict != Verdict.CONTRADICTED else ""
        values = f"{times}{seeds}; the cosine of their sensitivities {written(cosine)}"
        added = " (its seeds disagree)" if apart else _ADDED.get(standing(ratio), "")
        about = f"“{of.network}” as {of.reference}{added if decision.verdict == Verdict.CONTRADICTED else ''}"
        found.append(conclusion(decision, of.world, does, values, about, ratio.n_seeds))
    return found


def _but(ratio: Number) -> str:
    """What a network that is not a reference is instead: another algorithm may be a better one."""
    words = standing_in_words(ratio)
    match standing(ratio):
        case Standing.BETTER:
            return f": {words}, so it is not that algorithm but a better one"
        case Standing.WORSE:
            return f": {words}, so it is not that algorithm but a worse one"
        case Standing.AS_GOOD | Standing.AS_GOOD_OR_BETTER:
            return f", though {words}: it is another algorithm that is as good"
        case Standing.OPEN:
            return ""


def preconditioners(rows: pd.DataFrame) -> list[Finding]:
    """Whether a one-layer network has the preconditioner of the closed form."""
    found = []
    for of, distance in by_subject(rows, "preconditioner_distance").items():
        decision = within(distance, (0.0, SAME_PRECONDITIONER), "the distance")
        whose = f"the preconditioner of “{of.network}”"
        does = said(decision, f"{whose} is that of the {of.reference}", f"{whose} is not that of the {of.reference}")
        values = f"relative Frobenius distance {written(distance)}; up to {SAME_PRECONDITIONER:g} counts as equal"
        found.append(conclusion(decision, of.world, does, values, f"“{of.network}”", distance.n_seeds))
    return found


def matching(rows: pd.DataFrame) -> list[Finding]:
    """Whether the network whose attention is the world's kernel has the lowest loss of that world."""
    margins: dict[tuple[str, str], dict[Subject, Number]] = {}
    for of, margin in by_subject(rows, "loss_margin").items():
        if of.network != of.reference:
            margins.setdefault((of.world, of.reference), {})[of] = margin
    found = []
    for (world, best), others in margins.items():
        decision = lowest_loss(others.values())
        whose = f"“{best}”, whose attention is the world’s kernel,"
        does = said(decision, f"{whose} has the lowest loss", f"{whose} does not have the lowest loss")
        above = [f"{written(margin)} of “{of.network}”" for of, margin in others.items()]
        values = f"by how much the others’ losses are higher: {listed(above)}"
        n_seeds = min(margin.n_seeds for margin in others.values())
        found.append(conclusion(decision, world, does, values, f"“{best}”", n_seeds))
    return found


def systems(rows: pd.DataFrame, worlds: dict[str, Any]) -> list[Finding]:
    """Whether a network errs as much as least squares, once it has seen more states than the system has dimensions."""
    found = []
    for of, ratios in ratios_by_position(rows).items():
        dimension = int(worlds[of.world]["dimension"])
        after = {t: ratio for t, ratio in ratios.items() if t > dimension}
        if after:
            decision = as_good_everywhere(list(after.values()))
            error = f"with more than {dimension} states seen, the error of “{of.network}”"
            does = said(
                decision,
                f"{error} is always within 10 % of {LEAST_SQUARES}’",
                f"{error} is not always within 10 % of {LEAST_SQUARES}’",
            )
            n_seeds = min(ratio.n_seeds for ratio in after.values())
            found.append(conclusion(decision, of.world, does, extremes(after), f"“{of.network}”", n_seeds))
    return found


def without_loss(rows: pd.DataFrame) -> list[Finding]:
    """The networks of which there is nothing to say, for they diverged."""
    return [
        Finding(
            f"Undecided: in {of.world}, nothing can be said of “{of.network}”: {loss.text}.",
            Verdict.UNDECIDED,
            f"“{of.network}” in {of.world}",
            loss.text,
        )
        for of, loss in by_subject(rows, "loss").items()
        if loss.value is None
    ]
