"""How a network's loss stands to a reference's, in words."""

from collections.abc import Sequence
from enum import StrEnum
from math import floor

from demograd.statistics import RangeTest
from demograd.statistics.number import formatted

FAR = 2.0
"""Times the smallest of the seeds' losses, from which on the largest is that of another optimum."""


class Standing(StrEnum):
    """How a network's loss stands to a reference's, as far as its whole interval says."""

    BETTER = "better"
    WORSE = "worse"
    AS_GOOD = "as good"
    """Within 2 %."""
    AS_GOOD_OR_BETTER = "as good or better"
    """Within 2 % or below; which of the two is open."""
    OPEN = "open"


def standing(ratio: RangeTest) -> Standing:
    """By the range within which two losses count as the same."""
    low, high = ratio.number.low, ratio.number.high
    if ratio.undecidable() or low is None or high is None:
        return Standing.OPEN
    if low > ratio.high:
        return Standing.WORSE
    if high > ratio.high:
        return Standing.OPEN
    if high < ratio.low:
        return Standing.BETTER
    return Standing.AS_GOOD if low >= ratio.low else Standing.AS_GOOD_OR_BETTER


def standing_in_words(ratio: RangeTest) -> str:
    """`its loss is at least 3.2 times below`: by what bound of the interval is on the reference's side; empty where
    nothing can be said."""
    match standing(ratio):
        case Standing.BETTER:
            return f"its loss is at least {_floored(1 / max(ratio.number.high or 0.0, 1e-12))} times below"
        case Standing.WORSE:
            return f"its loss is at least {_floored(ratio.number.low or 0.0)} times as large"
        case Standing.AS_GOOD:
            return "its loss is within 2 %"
        case Standing.AS_GOOD_OR_BETTER:
            return "its loss is within 2 %, or below"
        case Standing.OPEN:
            return ""


def seeds_apart(ratios: Sequence[float], low: float, high: float) -> str:
    """`in 2 of 5 seeds its loss is within 2 %, in 3 above, seed by seed 1.002 to 190.0 times as large`: training seeds
    that ended at different optima, of which a mean over them describes no network.

    Args:
        ratios: of a network's losses to a reference's, one per seed.
        low: two losses count as the same from here on.
        high: and up to here.

    Returns: nothing where all seeds stand alike to the reference, and none is `FAR` from another.
    """
    if not ratios:
        return ""
    counts = {
        "within 2 %": sum(low <= ratio <= high for ratio in ratios),
        "below": sum(ratio < low for ratio in ratios),
        "above": sum(ratio > high for ratio in ratios),
    }
    places = [(place, n) for place, n in counts.items() if n]
    if len(places) == 1 and max(ratios) <= FAR * min(ratios):
        return ""
    (first, n), *others = places
    clauses = [f"in {n} of {len(ratios)} seeds its loss is {first}", *(f"in {n} {place}" for place, n in others)]
    smallest, largest = (formatted(ratio) for ratio in (min(ratios), max(ratios)))
    return f"{', '.join(clauses)}, seed by seed {smallest} to {largest} times as large"


def _floored(times: float) -> str:
    """Two decimals, cut and not rounded: "at least" must stay true."""
    return f"{floor(100 * times) / 100:g}"
