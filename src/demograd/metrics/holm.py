"""Many claims at once: the correction of their p-values."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan


@dataclass(frozen=True)
class Corrected:
    """Corrected p-values, in the order given."""

    p_values: tuple[float, ...]
    """NaN where not tested."""
    n_tested: int
    """The size of the family that was corrected for."""
    n_not_tested: int


def holm(p_values: Sequence[float]) -> Corrected:
    """Holm's step-down correction: the i-th smallest of m times m − i + 1, never below the one before, at most 1.

    Claims with a corrected value of α or less are together wrong with a chance of α at most, however the tests depend
    on each other (ours share queries and demonstrations). NaN is a claim that was not tested: it stays NaN, is counted,
    and does not make the others harder to show.

    **Source:** Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    ascending = sorted((p, index) for index, p in enumerate(p_values) if not isnan(p))
    corrected = [float("nan")] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(ascending):
        largest = max(largest, min((len(ascending) - rank) * p, 1.0))
        corrected[index] = largest
    return Corrected(tuple(corrected), len(ascending), len(p_values) - len(ascending))
