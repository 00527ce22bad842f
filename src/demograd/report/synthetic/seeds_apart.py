"""Training seeds that ended at different optima: a mean over them describes no network."""

from collections.abc import Sequence

from demograd.report.numbers import formatted
from demograd.report.synthetic.decision import SAME_LOSS

FAR = 2.0
"""Times the smallest of the seeds' losses, from which on the largest is that of another optimum."""


def seeds_apart(ratios: Sequence[float]) -> str:
    """`in 2 of 5 seeds its loss is within 2 %, in 3 above, seed by seed 1.002 to 190.0 times as large`.

    `ratios` are of a network's losses to a reference's, one per seed. Empty where all stand alike to it, and none is
    `FAR` from another.
    """
    if not ratios:
        return ""
    low, high = SAME_LOSS
    counts = {
        "within 2 %": sum(low <= ratio <= high for ratio in ratios),
        "below": sum(ratio < low for ratio in ratios),
        "above": sum(ratio > high for ratio in ratios),
    }
    here = [(where, n) for where, n in counts.items() if n]
    if len(here) == 1 and max(ratios) <= FAR * min(ratios):
        return ""
    (first, n), *others = here
    told = [f"in {n} of {len(ratios)} seeds its loss is {first}", *(f"in {n} {where}" for where, n in others)]
    smallest, largest = (formatted(ratio) for ratio in (min(ratios), max(ratios)))
    return f"{', '.join(told)}, seed by seed {smallest} to {largest} times as large"
