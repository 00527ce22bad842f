"""The linear rule behind predictions is found, and room in tokens that nothing uses changes nothing (Akyürek 2023)."""

import pytest
import torch
from tests.synthetic.problems import EYE, PROBLEMS
from torch import Generator, Tensor
from torch.func import functional_call
from torch.nn.functional import pad

from demograd.synthetic import Architecture, Sequences, SmallTransformer, implicit_weights, ridge

QUERIES = torch.randn(12, 4, generator=Generator().manual_seed(1), dtype=torch.float64)


def ridge_weights(problems: Sequences, penalty: float) -> Tensor:
    x, y = problems.x, problems.y
    return torch.linalg.solve(x.mT @ x + penalty * EYE, x.mT @ y).squeeze(-1)


def test_the_rule_behind_ridge_is_its_weights_and_explains_everything() -> None:
    weights, r_squared = implicit_weights(lambda problems: ridge(problems, 0.5 * EYE), PROBLEMS, QUERIES)
    assert torch.allclose(weights, ridge_weights(PROBLEMS, 0.5))
    assert torch.allclose(r_squared, torch.ones_like(r_squared))
    assert not torch.allclose(weights, ridge_weights(PROBLEMS, 1.0), atol=1e-3)


def test_a_prediction_that_is_not_linear_in_the_query_has_a_rule_that_explains_less() -> None:
    weights, r_squared = implicit_weights(
        lambda problems: ridge(problems, 0.5 * EYE) + problems.query_x[:, :1].square(), PROBLEMS, QUERIES
    )
    assert r_squared.max() < 0.99 and weights.shape == (50, 4)


@pytest.mark.parametrize("attention", ["linear", "softmax", "mesa"])
def test_extra_components_that_nothing_reads_or_writes_change_no_prediction(attention: str) -> None:
    narrow = SmallTransformer(Architecture(attention, layers=2), 5, 0).double()
    wide = SmallTransformer(Architecture(attention, layers=2, extra=3), 8, 0).double()
    weights = {
        name: pad(parameter, (3, 0, 3, 0)) if parameter.dim() == 4 else parameter
        for name, parameter in narrow.named_parameters()
    }
    assert torch.allclose(functional_call(wide, weights, (PROBLEMS,)), narrow(PROBLEMS))
    assert not torch.allclose(wide(PROBLEMS), narrow(PROBLEMS), atol=1e-3)


def test_tokens_of_free_blocks_have_no_room() -> None:
    with pytest.raises(ValueError, match="extra"):
        Architecture(free="A", extra=2)
