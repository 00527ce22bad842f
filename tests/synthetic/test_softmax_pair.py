"""Two heads of softmax attention go to a GD step on centred inputs as their bandwidth goes to 0; one head does not."""

import pytest
import torch
from torch import Tensor

from demograd.synthetic import AttentionLayer, Sequences, as_tokens, attended, predictions
from demograd.synthetic.constructions import random_problems, softmax_pair

PROBLEMS, ETA = random_problems(3, outputs=2), 0.3


def centred_step(problems: Sequences) -> Tensor:
    """One step from W = 0 with the gradient that autograd finds, on inputs less their mean."""
    inputs, outputs = problems.x.shape[-1], problems.y.shape[-1]
    w = torch.zeros(len(problems.x), outputs, inputs, dtype=torch.float64, requires_grad=True)
    x = problems.x - problems.x.mean(dim=1, keepdim=True)
    loss = 0.5 * (x @ w.mT - problems.y).square().sum(dim=-1).mean(dim=1).sum()
    step = -ETA * torch.autograd.grad(loss, w)[0]
    return (step @ problems.query_x[..., None]).squeeze(-1)


def error(layer: AttentionLayer) -> float:
    outputs = PROBLEMS.y.shape[-1]
    tokens = as_tokens(PROBLEMS, 0.0 * PROBLEMS.query_y)
    return float((predictions(attended(tokens, layer, "softmax"), outputs) - centred_step(PROBLEMS)).abs().max())


def pair(bandwidth: float) -> AttentionLayer:
    return softmax_pair(ETA, bandwidth, PROBLEMS.x.shape[-1], PROBLEMS.y.shape[-1])


def test_half_the_bandwidth_is_a_quarter_of_the_error() -> None:
    assert PROBLEMS.context > 1 and PROBLEMS.x.shape[-1] > 1
    errors = [error(pair(bandwidth)) for bandwidth in (0.02, 0.01, 0.005)]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.02) and errors[1] / errors[2] == pytest.approx(4, rel=0.02)
    assert error(pair(1e-4)) < 1e-7


@pytest.mark.parametrize("matrix", ["key", "query", "value", "projection"])
@pytest.mark.parametrize("head", [0, 1])
def test_a_wrong_sign_of_either_head_is_seen(matrix: str, head: int) -> None:
    layer = pair(1e-3)
    matrices = {name: getattr(layer, name).clone() for name in ("key", "query", "value", "projection")}
    matrices[matrix][head] *= -1
    assert error(AttentionLayer(**matrices)) > 1e-2


def test_plain_gd_and_one_head_alone_are_something_else() -> None:
    layer = pair(1e-3)
    assert error(AttentionLayer(*(matrix[:1] for matrix in layer.matrices()))) > 1e-2
    uncentred = (PROBLEMS.y.mT @ PROBLEMS.x @ PROBLEMS.query_x[..., None]).squeeze(-1) * ETA / PROBLEMS.context
    assert (uncentred - centred_step(PROBLEMS)).abs().max() > 1e-2
