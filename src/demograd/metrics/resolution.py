"""How small a difference of two activations can be and still mean something, and the cosine that respects it.

A cosine of two rounding errors is a number like any other, so it has to be recognised before it is computed. An update
counts only if ‖Δ‖ ≥ bound · ‖ZSL‖; otherwise the score is NaN, which everywhere in `demograd.metrics` means *missing*:
it is counted, and never averaged in.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

BOUNDS = {
    "float64": 1e-5,  # an Observation stores float32, whatever the model computed in
    "float32": 1e-5,  # method.md; 84 machine epsilons
    # 84 epsilons of a 16-bit type would be 8 % or 66 % of the vector. Four are the least that is safe: the recorded
    # value, the attention weights, the values and the normalised input are each rounded once to within one epsilon.
    "bfloat16": 4 * 2**-7,  # 3.1 %
    "float16": 4 * 2**-10,  # 0.39 %
}
"""The smallest ‖Δ‖ / ‖ZSL‖ that counts, by the dtype that the model computed in."""


def resolution(dtype: str) -> float:
    """The bound for `Observation.dtype`.

    **Raises:** ValueError for a dtype without one.
    """
    if dtype not in BOUNDS:
        raise ValueError(f"no resolution bound is known for dtype {dtype!r}; known: {', '.join(BOUNDS)}")
    return BOUNDS[dtype]


def is_resolved(
    update: Float[Tensor, "*rows components"], scale: Float[Tensor, "*rows components"], bound: float
) -> Bool[Tensor, "*rows"]:
    """‖update‖ ≥ bound · ‖scale‖, and the update is not zero. False where either is NaN."""
    size = update.norm(dim=-1)
    return (size >= bound * scale.norm(dim=-1)) & (size > 0)


def cosine(
    a: Float[Tensor, "*rows components"],
    b: Float[Tensor, "*rows components"],
    scale_a: Float[Tensor, "*rows components"],
    scale_b: Float[Tensor, "*rows components"],
    bound: float,
) -> Float[Tensor, "*rows"]:
    """cos(a, b) in float32; NaN (missing) where a is below the resolution of `scale_a`, or b of `scale_b`.

    The scale is what the vector was computed from, so that rounding errors are `bound` times its norm at most: the
    zero-shot vector for an update, the whole row for a row whose mean was subtracted.
    """
    cos = (a * b).sum(dim=-1) / (a.norm(dim=-1) * b.norm(dim=-1))
    counts = is_resolved(a, scale_a, bound) & is_resolved(b, scale_b, bound)
    return torch.where(counts, cos, torch.nan).float()
