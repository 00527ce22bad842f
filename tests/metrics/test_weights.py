"""Facts about a model's weights alone: their sparsity, and the distance of two states."""

import numpy as np
import pytest
import torch

from demograd import metrics


def test_the_share_of_small_weights_by_hand() -> None:
    """Layer 0 has |w| = 1, 2, 3, 0 and 5; layer 3 has 1 and 1. A weight at the threshold is not under it."""
    matrices = {3: [torch.ones(1, 2)], 0: [torch.tensor([[1.0, -2.0], [3.0, 0.0]]), torch.tensor([-5.0])]}
    expected = torch.tensor([[0.2, 0.6], [0.0, 1.0]])
    torch.testing.assert_close(metrics.sparsity_ratio(matrices, [1.0, 2.5]), expected)


def test_a_layer_without_weights_has_no_sparsity() -> None:
    assert metrics.sparsity_ratio({0: [], 1: [torch.zeros(2)]}, [0.1]).isnan().tolist() == [[True], [False]]


def test_a_threshold_is_not_rounded_to_the_weights_precision() -> None:
    """In bfloat16 the threshold 1.003 would be 1, and a weight of 1 not under it."""
    assert metrics.sparsity_ratio({0: [torch.ones(4, dtype=torch.bfloat16)]}, [1.003]).item() == 1


def test_parameter_distance_by_hand() -> None:
    """Layer 0 moves by (3, 4) from (6, 8); layer 1 by (0, 2) from (0, 1): ½ and 2; together √29 / √101."""
    b = [("layer 0", torch.tensor([6.0])), ("layer 0", torch.tensor([8.0])), ("layer 1", torch.tensor([0.0, 1.0]))]
    a = [("layer 0", torch.tensor([9.0])), ("layer 0", torch.tensor([12.0])), ("layer 1", torch.tensor([0.0, 3.0]))]
    distance = metrics.parameter_distance(a, iter(b))
    assert distance == pytest.approx({"layer 0": 0.5, "layer 1": 2})
    whole = metrics.parameter_distance(*([("all", tensor) for _, tensor in state] for state in (a, b)))
    assert whole == pytest.approx({"all": (29 / 101) ** 0.5})


def test_no_distance_is_relative_to_zero() -> None:
    zero, unit = torch.zeros(2), torch.ones(2)
    distance = metrics.parameter_distance([("bias", unit), ("weight", 3 * unit)], [("bias", zero), ("weight", unit)])
    assert np.isnan(distance["bias"]) and distance["weight"] == pytest.approx(2)
    whole = metrics.parameter_distance([("all", unit), ("all", 3 * unit)], [("all", zero), ("all", unit)])
    assert whole == pytest.approx({"all": (10 / 2) ** 0.5})


def test_states_of_different_models_are_not_compared() -> None:
    with pytest.raises(ValueError, match=r"k \[2\] and v \[2\]"):
        metrics.parameter_distance([("k", torch.ones(2))], [("v", torch.ones(2))])
    with pytest.raises(ValueError, match="longer"):
        metrics.parameter_distance([("k", torch.ones(2))], [("k", torch.ones(2))] * 2)
