"""A decision in words."""

from demograd.report.finding import Finding
from demograd.report.networks import seeds
from demograd.statistics import Decision, Verdict


def said(decision: Decision, yes: str, no: str) -> str:
    """The claim as it was decided: `yes` and `no` are clauses."""
    clauses = {Verdict.SUPPORTED: yes, Verdict.CONTRADICTED: no, Verdict.UNDECIDED: f"it is open whether {yes}"}
    return clauses[decision.verdict]


def conclusion(decision: Decision, world: str, does: str, values: str, about: str, n_seeds: int) -> Finding:
    """A finding `about` something in a world; it ends with why it is open, or on how many training seeds it rests."""
    reason = decision.reason if decision.verdict == Verdict.UNDECIDED else ""
    ending = f": {reason}" if reason else f"; 95 % intervals over {seeds(n_seeds)}"
    return Finding(
        f"{decision.verdict.capitalize()}: in {world}, {does} ({values}){ending}.",
        decision.verdict,
        f"{about} in {world}",
        reason,
    )
