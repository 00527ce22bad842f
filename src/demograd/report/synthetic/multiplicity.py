"""How many statements a page makes, and that chance decides some of them."""

from collections.abc import Sequence

from demograd.report.finding import Finding
from demograd.statistics import Verdict


def multiplicity(findings: Sequence[Finding]) -> str:
    """What a reader must know of decisions that rest on intervals of their own; empty for a single one.

    Intervals, unlike p-values, are kept at one level, so the decisions are not corrected (Holm) as those of a language
    model's page are. How many are wrong is not said: it depends on how many statements are true, and on how often
    their numbers err together.
    """
    if len(findings) < 2:
        return ""
    decided = sum(one.verdict != Verdict.UNDECIDED for one in findings)
    return (
        f"This page decides {decided} of {len(findings)} statements, each by 95 % intervals of its own, and corrects "
        "none for being one of many, so chance alone may have decided some of them. A statement that needs k numbers "
        "(all rivals, all positions) is supported by all of them together and contradicted by any one: where it is "
        "true, it is contradicted by chance in up to k × 2.5 % of such studies."
    )
