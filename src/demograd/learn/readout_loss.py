"""A readout's cross-entropy and its gradient, without the logits of the whole vocabulary ever being there.

The unembedding of a small model is its largest matrix, and layer-causal GD reads through it once per layer. Logits of
the whole vocabulary would go through memory six times. A piece of the vocabulary stays in the cache: each piece adds to
the sum and to the gradient, which are scaled down where a larger logit turns up (an online softmax, Milakov 2018; with
its gradient, Wijmans 2024, "Cut your losses"). On a CPU what is left is the time of the matrix products.

The sums are over the *other* tokens. Where the target is likely, 1 − p(target) and the gradient are small, and as a
difference of two sums over the vocabulary they would be mostly rounding.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import softplus

from demograd.learn.parameters import exact_dtype
from demograd.models import Anatomy

TOKENS_AT_A_TIME = 2048


def readout_loss(
    anatomy: Anatomy, hidden: Float[Tensor, "rows hidden"], targets: Int[Tensor, " rows"]
) -> tuple[Float[Tensor, " rows"], Float[Tensor, "rows hidden"]]:
    """Each row's CE(U(h), target) in nats (Deutch 2024 §4.4), and its gradient with respect to that row of `hidden`."""
    entering = anatomy.normed(hidden.requires_grad_())
    losses, gradient = unembedding_loss(anatomy, entering.detach(), targets)
    return losses, torch.autograd.grad(entering, hidden, gradient.to(entering.dtype))[0]


def unembedding_loss(
    anatomy: Anatomy, normed: Float[Tensor, "rows hidden"], targets: Int[Tensor, " rows"]
) -> tuple[Float[Tensor, " rows"], Float[Tensor, "rows hidden"]]:
    """The same of rows that have passed the final norm, with respect to those; gradients are float32 at least.

    With L the log of Σ exp(logit) over the other tokens, the loss is log(1 + exp(L − logit of the target)), and its
    gradient (1 − p(target)) (∇L − ∇ logit of the target).
    """
    exact = exact_dtype(normed.dtype)
    normed, targets = normed.requires_grad_(), targets.to(anatomy.unembedding.weight.device)

    def gradient(logits: Tensor, weights: Tensor) -> Tensor:
        return torch.autograd.grad(logits, normed, weights.to(logits.dtype))[0].to(exact)

    top = torch.full((len(targets), 1), -torch.inf, dtype=exact, device=targets.device)
    total, expected = torch.zeros_like(top), torch.zeros_like(normed, dtype=exact)
    for first in range(0, len(anatomy.unembedding.weight), TOKENS_AT_A_TIME):
        logits = anatomy.unembed(normed, slice(first, first + TOKENS_AT_A_TIME))
        rows = ((first <= targets) & (targets < first + TOKENS_AT_A_TIME)).nonzero().squeeze(1)
        others = logits.detach()
        others[rows, targets[rows] - first] = -torch.inf
        before, top = top, torch.maximum(top, others.amax(dim=1, keepdim=True))
        exponentials, shrunk = (others - top).exp_(), (before - top).exp_()
        total = shrunk * total + exponentials.sum(dim=1, keepdim=True)
        expected = shrunk.to(expected.device) * expected + gradient(logits, exponentials)
    of_targets = anatomy.unembed(normed, targets).diagonal()
    ahead = top + total.log() - of_targets.detach()[:, None]
    descent = expected / total.to(expected.device) - gradient(of_targets, torch.ones_like(of_targets))
    return softplus(ahead).squeeze(1), ahead.sigmoid().to(descent.device) * descent
