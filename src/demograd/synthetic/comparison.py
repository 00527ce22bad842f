"""Do two learners do the same? Their predictions, what those depend on, and weights between theirs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from demograd.synthetic.attention import AttentionLayer
from demograd.synthetic.sequences import Sequences

Learner = Callable[[Sequences], Tensor]
"""Problems → predictions of the queries' y `[sequences, outputs]`."""


@dataclass(frozen=True)
class Comparison:
    """How far two learners agree, problem by problem; infinite where one of them diverged."""

    prediction_difference: Float[Tensor, " sequences"]
    """‖ŷ − ŷ′‖."""
    sensitivity_cosine: Float[Tensor, " sequences"]
    """cos(∂ŷ/∂x, ∂ŷ′/∂x) at the query's x; NaN where one of them is zero."""
    sensitivity_distance: Float[Tensor, " sequences"]
    """‖∂ŷ/∂x − ∂ŷ′/∂x‖."""


def compare(first: Learner, other: Learner, problems: Sequences) -> Comparison:
    """Both learners on the same problems (von Oswald 2023a, figure 2)."""
    (predicted, sensitivity), (also, as_sensitive) = (
        _with_sensitivity(learner, problems) for learner in (first, other)
    )
    cosine = cosine_similarity(sensitivity, as_sensitive, dim=-1)
    is_flat = (sensitivity.norm(dim=-1) == 0) | (as_sensitive.norm(dim=-1) == 0)
    distance = infinite_if_undefined((sensitivity - as_sensitive).norm(dim=-1))
    return Comparison(
        infinite_if_undefined((predicted - also).norm(dim=-1)),
        infinite_if_undefined(cosine).masked_fill(is_flat, torch.nan).masked_fill(distance.isinf(), torch.inf),
        distance,
    )


def infinite_if_undefined(scores: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Scores of which none can be missing: what is no number (∞ − ∞, ∞ / ∞) comes of a learner that diverged."""
    return torch.where(scores.isnan(), torch.inf, scores)


def sensitivity(learner: Learner, problems: Sequences) -> Float[Tensor, "sequences inputs"]:
    """∂(Σ ŷ)/∂x of each query: with one output, the weights of the linear rule that was learned in context."""
    return _with_sensitivity(learner, problems)[1]


def implicit_weights(
    learner: Learner, problems: Sequences, queries: Float[Tensor, "queries inputs"]
) -> tuple[Float[Tensor, "sequences inputs"], Float[Tensor, " sequences"]]:
    """The linear rule that is nearest to a learner's predictions at these queries, for each problem's examples; and the
    share R² of the predictions' squares that it explains. One output.

    **Source:** Akyürek 2023, eq. 16 (the implicit linear weights).
    """
    n, m = len(problems.x), len(queries)
    repeated = Sequences(
        problems.x.repeat_interleave(m, dim=0),
        problems.y.repeat_interleave(m, dim=0),
        queries.repeat(n, 1),
        problems.query_y.repeat_interleave(m, dim=0),
    )
    predicted = learner(repeated).detach().reshape(n, m).double()
    weights = predicted @ torch.linalg.pinv(queries.double()).mT
    left = (predicted - weights @ queries.double().mT).square().sum(dim=1)
    return weights, 1 - left / predicted.square().sum(dim=1)


def order_spread(learner: Learner, problems: Sequences, orders: Sequence[Tensor]) -> Float[Tensor, " sequences"]:
    """Standard deviation (n − 1) of the prediction over orders of the examples, over the root mean square prediction.

    What Shen 2023 calls order sensitivity, where a prediction is a number and not a distribution over words. Infinite
    for all where the learner diverged on any, for then there is no root mean square.
    """
    predicted = torch.stack([learner(problems.reordered(order)).double() for order in orders])
    scale = predicted.square().sum(dim=-1).mean().sqrt()
    if not scale.isfinite():
        return torch.full_like(predicted[0, ..., 0], torch.inf)
    return predicted.std(dim=0).norm(dim=-1) / scale


def products(layer: AttentionLayer) -> tuple[Float[Tensor, "heads width width"], Float[Tensor, "heads width width"]]:
    """QᵀK and PV of each head: what a layer does depends on nothing else."""
    return layer.query.mT @ layer.key, layer.projection @ layer.value


def scaled_like(layer: AttentionLayer, like: AttentionLayer) -> AttentionLayer:
    """The same one-headed linear layer, with c QᵀK and PV / c such that what y adds to y is as in the other.

    What a linear layer does does not depend on c, so its weights cannot be compared before this. K and P become I.
    """
    (qk, pv), (_, target_pv) = products(layer), products(like)
    c = pv[:, -1:, -1:] / target_pv[:, -1:, -1:]
    return _from_products(c * qk, pv / c)


def interpolated(trained: AttentionLayer, constructed: AttentionLayer, mix: float) -> AttentionLayer:
    """Between a trained one-headed linear layer (mix 0) and a constructed one (mix 1), in their products QᵀK and PV.

    **Source:** von Oswald 2023a, figure 2 (there the mean of the two).
    """
    own, target = products(scaled_like(trained, constructed)), products(constructed)
    return _from_products(*((1 - mix) * product + mix * other for product, other in zip(own, target, strict=True)))


def learned_blocks(layer: AttentionLayer) -> tuple[Float[Tensor, "inputs inputs"], Float[Tensor, "inputs inputs"]]:
    """A and B of a one-headed layer: what KᵀQ and −PV do to x, for one output (Ahn 2023, eq. 11)."""
    qk, pv = products(layer)
    return qk.mT[0, :-1, :-1], -pv[0, :-1, :-1]


def distance_from_multiples(matrix: Float[Tensor, "n n"], base: Float[Tensor, "n n"] | None = None) -> float:
    """‖M − (tr M / n) I‖ / ‖M‖ in the Frobenius norm, with M = C^−½ A C^−½ for a positive definite C, and M = A without
    one: 0 where A is a multiple of C (of I), whatever its sign and size. NaN where A is zero.

    **Source:** Ahn 2023, figure 3, with C = Σ⁻¹; its code takes (UD)ᵀ A UD with Σ = U D² Uᵀ, which has the same norms.
    """
    if base is not None:
        eigenvalues, axes = torch.linalg.eigh(base)
        root = axes @ eigenvalues.rsqrt().diag() @ axes.mT
        matrix = root @ matrix @ root
    everything = torch.eye(len(matrix)).to(matrix)
    return float((matrix - matrix.trace() / len(matrix) * everything).norm() / matrix.norm())


def effective_preconditioner(layer: AttentionLayer, context: int) -> Float[Tensor, "inputs inputs"]:
    """The A of ŷ = n⁻¹ Σ y_i x_iᵀ A x in what a one-layer linear network does to a query with y = 0.

    Its prediction is −pᵀ Σ e_i e_iᵀ M (x, 0), with p the last row of PV and M = KᵀQ; A is all that is linear in y_i.
    Terms without y_i, or with its square, are no step of gradient descent; training makes them vanish.
    """
    total = torch.zeros_like(layer.key[0, :-1, :-1])
    for qk, pv in zip(*products(layer), strict=True):
        m, p = qk.mT, pv[-1]
        total = total - context * (p[-1] * m[:-1, :-1] + torch.outer(p[:-1], m[-1, :-1]))
    return total


def _with_sensitivity(learner: Learner, problems: Sequences) -> tuple[Tensor, Tensor]:
    x = problems.query_x.detach().clone().requires_grad_()
    predicted = learner(replace(problems, query_x=x))
    (gradient,) = torch.autograd.grad(predicted.sum(), x)
    return predicted.detach(), gradient


def _from_products(qk: Tensor, pv: Tensor) -> AttentionLayer:
    everything = torch.eye(qk.shape[-1], dtype=qk.dtype, device=qk.device).expand_as(qk)
    return AttentionLayer(everything, qk.mT, pv, everything)
