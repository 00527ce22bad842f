"""Scores of methods or weights at equal size of their updates, not at one learning rate each.

A score over learning rates is a curve, and the rate means something else for every method, task and state of the
weights. ‖u_FT‖ / ‖u_ICL‖ means the same for all, so the curve is read as one of score against size: linear in the
logarithm of the size between neighbouring rates, demonstration set by demonstration set, query by query.

Sizes need not rise with the rate: near divergence they may fall again. The curve is followed from the smallest rate on,
and read where it *first* reaches a size; what comes after is another regime. It is never continued beyond the rates
that were measured, nor bridged over a rate that is missing (diverged): there it is NaN, and counted as missing.
"""

from collections.abc import Sequence
from math import log

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.statistics.aggregate import infinite_where_any


def at_equal_size(
    sizes: Float[Tensor, "rates seeds"], scores: Float[Tensor, "rates seeds queries *layers"], at: float
) -> Float[Tensor, "seeds queries *layers"]:
    """The scores where ‖u_FT‖ / ‖u_ICL‖ first is `at`, rates in ascending order; ready for `paired_test`.

    NaN (missing) for seeds whose sizes do not reach `at`, and where a score beside it is missing; infinite where one
    beside it is (it diverged). A size that is not finite, or not above zero, is missing.

    **Raises:** ValueError if `at` is not above zero.
    """
    if not at > 0:
        raise ValueError(f"sizes are compared at a ratio above zero, not at {at:g}")
    return torch.stack([_read(*curve, at) for curve in _curves(sizes, scores)])


def mean_over_sizes(
    sizes: Float[Tensor, "rates seeds"],
    scores: Float[Tensor, "rates seeds queries *layers"],
    low: float,
    high: float,
) -> Float[Tensor, "seeds queries *layers"]:
    """The mean of the curve between two sizes, over the logarithm of the size: the area under it, divided by its width.

    Comparing two methods over the whole of `common_sizes` needs no choice of one size. NaN (missing) as in
    `at_equal_size`, if at any point of the curve.

    **Raises:** ValueError unless 0 < low < high.
    """
    if not 0 < low < high:
        raise ValueError(f"sizes run from a smaller to a larger ratio above zero, not from {low:g} to {high:g}")
    return torch.stack([_mean(*curve, low, high) for curve in _curves(sizes, scores)])


def common_sizes(all_sizes: Sequence[Float[Tensor, "_rates seeds"]]) -> tuple[float, float]:
    """The smallest and largest size that every method's curve reaches with every demonstration set.

    (NaN, NaN) if there is no such range.
    """
    present = [_present(sizes) for sizes in all_sizes]
    low = max(x.nan_to_num(torch.inf).amin(dim=0).max().item() for x in present)
    high = min(x.nan_to_num(-torch.inf).amax(dim=0).min().item() for x in present)
    return (low, high) if low < high else (torch.nan, torch.nan)


def neighbours_of_size(sizes: Float[Tensor, "rates seeds"], at: float) -> set[int]:
    """The places of the rates between which `at_equal_size` reads any seed; of the rate itself, where one has this
    size."""
    brackets = [_bracket(curve, at) for curve in _present(sizes).T.tolist()]
    return {place for bracket in brackets if bracket for place in bracket}


def _curves(
    sizes: Float[Tensor, "rates seeds"], scores: Float[Tensor, "rates seeds queries *layers"]
) -> list[tuple[list[float], Float[Tensor, "rates queries *layers"]]]:
    """The size and the score at each rate, of each seed."""
    return list(zip(_present(sizes).T.tolist(), scores.double().unbind(dim=1), strict=True))


def _present(sizes: Float[Tensor, "rates seeds"]) -> Float[Tensor, "rates seeds"]:
    sizes = sizes.double()
    return torch.where(sizes.isfinite() & (sizes > 0), sizes, torch.nan)


def _bracket(x: list[float], at: float) -> tuple[int, int] | None:
    """The places between which sizes x first are `at`; twice the same where one is; None where they never are."""
    for i, size in enumerate(x):
        if size == at:
            return i, i
        if i and (x[i - 1] - at) * (size - at) < 0:  # False beside a missing size
            return i - 1, i
    return None


def _read(x: list[float], y: Float[Tensor, "rates queries *layers"], at: float) -> Float[Tensor, "queries *layers"]:
    """The curve at the size `at`, of sizes x."""
    bracket = _bracket(x, at)
    if bracket is None:
        return torch.full_like(y[0], torch.nan)
    low, high = bracket
    if low == high:
        return y[low]
    between = y[low] + log(at / x[low]) / log(x[high] / x[low]) * (y[high] - y[low])
    return infinite_where_any(between, y[low], y[high])


def _mean(
    x: list[float], y: Float[Tensor, "rates queries *layers"], low: float, high: float
) -> Float[Tensor, "queries *layers"]:
    """By the trapezoidal rule with a corner at every rate's size.

    Exact where sizes rise with the rate, for the curve is then straight in between; where they fall and rise again it
    may jump, and a jump is taken as a slope.
    """
    corners = sorted({low, high, *(size for size in x if low < size < high)})
    values = torch.stack([_read(x, y, corner) for corner in corners])
    mean = torch.trapezoid(values, torch.tensor(corners, dtype=torch.float64).log(), dim=0) / log(high / low)
    return infinite_where_any(mean, *values)
