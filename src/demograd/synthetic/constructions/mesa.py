"""Causal linear attention that learns a linear system's W from the states so far (von Oswald 2023b).

Tokens are (0, s_t, s_t, s_{t−1}): a place for the prediction of s_{t+1}, the query, the value, the key. With means over
the pairs so far, C = mean s_i s_{i−1}ᵀ and H = mean s_{i−1} s_{i−1}ᵀ, a layer's first head adds η C q to the prediction
and its second takes γ H q from the query. So the prediction is C times a polynomial of H times s_t: preconditioned GD,
with (H + λ)⁻¹ approximated by as many powers as there are layers.
"""

from collections.abc import Sequence
from functools import reduce
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.synthetic.attention import AttentionLayer, attended_causally
from demograd.synthetic.sequences import Trajectories

PARTS = 4
"""Prediction, query, value, key: each as wide as the state."""


def system_tokens(states: Float[Tensor, "sequences times state"]) -> Float[Tensor, "sequences times width"]:
    """(0, s_t, s_t, s_{t−1}) for each t; before the first state there is 0."""
    before = torch.cat([torch.zeros_like(states[:, :1]), states[:, :-1]], dim=1)
    return torch.cat([torch.zeros_like(states), states, states, before], dim=-1)


def mesa_layers(
    steps: Sequence[float] | Float[Tensor, " layers"], curvature: Sequence[float] | Float[Tensor, " layers"], state: int
) -> list[AttentionLayer]:
    """One layer of two heads for each η and γ.

    **Source:** von Oswald 2023b, Propositions 1 and 2 (there with a layer for each part).
    """
    key, query = (_part(state, to=0, source=source) for source in (3, 1))
    heads = torch.stack([_part(state, to=0, source=2), _part(state, to=0, source=3)])
    layers = []
    for eta, gamma in zip(*(torch.as_tensor(sizes, dtype=torch.float64) for sizes in (steps, curvature)), strict=True):
        out = torch.stack([eta * _part(state, to=0, source=0), -gamma * _part(state, to=1, source=0)])
        layers.append(AttentionLayer(key.expand(2, -1, -1), query.expand(2, -1, -1), heads, out))
    return layers


def mesa_layer(penalty: float, state: int) -> AttentionLayer:
    """The one mesa-layer that is regularised least squares: it fits each state to the one before, W K e = V e.

    **Source:** von Oswald 2023b, the mesa-layer.
    """
    key, query, value, out = (_part(state, to=0, source=source)[None] for source in (3, 1, 2, 0))
    return AttentionLayer(key, query, value, out, torch.tensor([penalty], dtype=torch.float64))


def mesa_layer_error(layer: AttentionLayer, trajectories: Trajectories, penalty: float) -> float:
    """How far the layer's predictions are from W_t s_t, at most, W_t being where what is minimised has no slope:
    W (Σ_i s_{i−1} s_{i−1}ᵀ + λ) = Σ_i s_i s_{i−1}ᵀ, with the pairs of each time written out.
    """
    tokens = attended_causally(system_tokens(trajectories.states), layer)
    states, differences = trajectories.states, []
    for s, t in product(range(len(states)), range(states.shape[1])):
        pairs = [(states[s, i], states[s, i - 1]) for i in range(1, t + 1)]
        h = penalty * torch.eye(states.shape[2]).to(states)
        c = torch.zeros_like(h)
        for after, before in pairs:
            c, h = c + torch.outer(after, before), h + torch.outer(before, before)
        differences.append((tokens[s, t, : states.shape[2]] - c @ torch.linalg.inv(h) @ states[s, t]).abs().max())
    return float(torch.stack(differences).max())


def mesa_predictions(
    trajectories: Trajectories,
    steps: Sequence[float] | Float[Tensor, " layers"],
    curvature: Sequence[float] | Float[Tensor, " layers"],
) -> Float[Tensor, "sequences times state"]:
    """What the layers predict for each next state, without attention: η C q more by each, and q ← q − γ H q."""
    s = trajectories.states
    before = torch.cat([torch.zeros_like(s[:, :1]), s[:, :-1]], dim=1)
    counts = torch.arange(1, s.shape[1] + 1).to(s)[:, None, None]
    c, h = (torch.einsum("bti,btj->btij", states, before).cumsum(dim=1) / counts for states in (s, before))
    q, predicted = s[..., None], torch.zeros_like(s[..., None])
    rates = (torch.as_tensor(sizes, dtype=s.dtype, device=s.device) for sizes in (steps, curvature))
    for eta, gamma in zip(*rates, strict=True):
        predicted, q = predicted + eta * c @ q, q - gamma * h @ q
    return predicted.squeeze(-1)


def mesa_error(
    layers: Sequence[AttentionLayer],
    trajectories: Trajectories,
    steps: Sequence[float],
    curvature: Sequence[float],
) -> float:
    """How far the layers' predictions are from C p(H) s_t, at most, with the matrices of each time written out.

    p(H) = Σ_l η_l Π_{k<l} (I − γ_k H) is formed as a matrix, the product from its last factor to its first.
    """
    tokens = system_tokens(trajectories.states)
    for layer in layers:
        tokens = attended_causally(tokens, layer)
    states, differences = trajectories.states, []
    everything = torch.eye(states.shape[2]).to(states)
    for s, t in product(range(len(states)), range(states.shape[1])):
        pairs = [(states[s, i], states[s, i - 1]) for i in range(1, t + 1)]  # the first state has none before it
        zero = torch.zeros_like(everything)
        c = sum((torch.outer(after, before) for after, before in pairs), zero) / (t + 1)
        h = sum((torch.outer(before, before) for _, before in pairs), zero) / (t + 1)
        p = zero
        for n, eta in enumerate(steps):
            p = p + eta * reduce(torch.mm, [everything - gamma * h for gamma in reversed(curvature[:n])], everything)
        differences.append((tokens[s, t, : states.shape[2]] - c @ p @ states[s, t]).abs().max())
    return float(torch.stack(differences).max())


def _part(state: int, *, to: int, source: int) -> Tensor:
    """The matrix that puts one part of a token into the place of another."""
    matrix = torch.zeros(PARTS * state, PARTS * state, dtype=torch.float64)
    matrix[to * state : (to + 1) * state, source * state : (source + 1) * state] = torch.eye(state)
    return matrix
