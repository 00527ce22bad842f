"""A linear layer trained by gradient descent is a frozen one plus linear attention over its training (Irie 2022).

W_T x = W₀ x + Σ_t e_t ⟨x_t, x⟩, with the training inputs as keys and the weighted error signals as values (Aizerman
1964; Dai 2023 for GD). With momentum μ a step goes on in all later ones: (1 − μ^{T−t}) / (1 − μ) of it by the end.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class DualForm:
    """Explicit matrices: what the trained layer is, apart from W₀."""

    values: Float[Tensor, "outputs steps"]
    """E: each step's error signal −η ∂L/∂(output), as much of it as momentum has applied by the end."""
    keys: Float[Tensor, "inputs steps"]
    """X: each step's input."""

    def __call__(self, query: Float[Tensor, " inputs"]) -> Float[Tensor, " outputs"]:
        """LinearAttn(E, X, x) = E Xᵀ x."""
        return self.values @ (self.keys.mT @ query)


def dual_form(
    w0: Float[Tensor, "outputs inputs"],
    x: Float[Tensor, "steps inputs"],
    y: Float[Tensor, "steps outputs"],
    learning_rate: float,
    momentum: float = 0.0,
) -> DualForm:
    """What SGD does with the loss ½‖W x_t − y_t‖², one example a step; the layer itself is never updated here.

    Each step's error needs the layer's output at that time, which the dual form of the steps before gives.

    **Source:** Irie 2022 and Dai 2023 without momentum; with it, ours (Dai 2023 has momentum attention).
    """
    errors = torch.zeros(y.shape[1], 0, dtype=w0.dtype, device=w0.device)
    for t in range(len(x)):
        so_far = DualForm(errors * _applied(t, momentum).to(w0), x[:t].mT)
        error = w0 @ x[t] + so_far(x[t]) - y[t]
        errors = torch.cat([errors, -learning_rate * error[:, None]], dim=1)
    return DualForm(errors * _applied(len(x), momentum).to(w0), x.mT)


def dual_form_error(
    dual: DualForm,
    w0: Float[Tensor, "outputs inputs"],
    x: Float[Tensor, "steps inputs"],
    y: Float[Tensor, "steps outputs"],
    learning_rate: float,
    momentum: float,
    query: Float[Tensor, " inputs"],
) -> float:
    """How far W₀ x + LinearAttn(E, X, x) is from the layer that torch's own SGD trains, at most."""
    w = w0.clone().requires_grad_()
    sgd = torch.optim.SGD([w], lr=learning_rate, momentum=momentum)
    for example, target in zip(x, y, strict=True):
        sgd.zero_grad()
        (0.5 * (w @ example - target).square().sum()).backward()
        sgd.step()
    return float((w.detach() @ query - (w0 @ query + dual(query))).abs().max())


def _applied(steps: int, momentum: float) -> Tensor:
    """How much of each step has been applied after so many: 1 + μ + μ² + …, one term for each step since."""
    since = torch.arange(steps, 0, -1, dtype=torch.float64)
    return (1 - momentum**since) / (1 - momentum)
