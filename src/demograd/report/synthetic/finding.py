"""What a synthetic run says of each claim, in sentences that start with their verdict, and never more than it says."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from demograd.report.finding import FEW, Finding, listed
from demograd.report.networks import by_seed, of_context, synthetic_rows
from demograd.report.synthetic import claimed
from demograd.statistics import Verdict

Findings = dict[str, list[Finding]]
"""What a claim says in general, as it follows "that" → what was found of it."""


def synthetic_findings(results: pd.DataFrame, context: int, worlds: dict[str, Any]) -> Findings:
    """At the study's context; `worlds` as the study has them."""
    rows = of_context(synthetic_rows(results), context)
    ratios = by_seed(of_context(results, context), "loss_ratio")
    every = {
        "a trained transformer does what a reference does": claimed.algorithms(rows, ratios),
        "a trained preconditioner is the best one in closed form": claimed.preconditioners(rows),
        "attention that matches a world’s kernel has the lowest loss": claimed.matching(rows),
        "a trained transformer’s error in a linear system is within 10 % of that of least squares": claimed.systems(
            rows, worlds
        ),
        "a network learned anything": claimed.without_loss(rows),
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
            named = listed(about) if len(about) <= FEW else _counted(len(about), len(found))
            reasons = list(dict.fromkeys(one.reason for one in of_verdict if one.reason))
            parts.append(f"{verdict} for {named}{f' ({reasons[0]})' if len(reasons) == 1 else ''}")
    return "; ".join(parts)


def _counted(n: int, total: int) -> str:
    return f"all {n}" if n == total else f"{n} of {total}"
