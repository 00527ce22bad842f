"""An entry of the weights that is called idle changes no prediction, and every other changes some."""

import pytest
import torch
from torch import Generator, Tensor
from torch.func import functional_call

from demograd.synthetic import Architecture, LinearRegression, SmallTransformer, in_use

PROBLEMS = LinearRegression(2).draw(64, 5, Generator().manual_seed(0), scale=0.5, dtype=torch.float64)
WIDTH = 3


@pytest.mark.parametrize("kind", ["linear", "relu", "exponential", "softmax"])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("mlp", [0, 4])
@pytest.mark.parametrize("by_inputs", [False, True])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_what_is_in_use_changes_predictions_and_what_is_idle_does_not(
    layers: int, by_inputs: bool, mlp: int, shared: bool, kind: str
) -> None:
    architecture = Architecture(kind, layers, shared=shared, mlp=mlp, by_inputs=by_inputs)
    network = SmallTransformer(architecture, WIDTH, 0).double()
    # Q = P = I / 2: what is in K is in QᵀK, and what is in V is in PV
    everything = 0.5 * torch.eye(WIDTH, dtype=torch.float64).expand_as(network.query)
    network.query.data, network.projection.data = everything.clone(), everything.clone()
    before = network(PROBLEMS)

    def changes(name: str, layer: int, row: int, column: int) -> bool:
        perturbed: Tensor = getattr(network, name).detach().clone()
        perturbed[layer, 0, row, column] += 0.1
        return bool((functional_call(network, {name: perturbed}, (PROBLEMS,)) - before).abs().max() > 1e-9)

    masks = in_use(layers, 2, shared=shared, mlp=bool(mlp), by_inputs=by_inputs)
    for n, both in enumerate(masks[:1] if shared else masks):
        for name, mask in zip(("key", "value"), both, strict=True):
            changing = [[changes(name, n, row, column) for column in range(WIDTH)] for row in range(WIDTH)]
            assert mask.tolist() == changing


def test_one_layer_reads_the_query_by_its_x_and_writes_its_y_alone() -> None:
    [(qk, moved)] = in_use(1, 2)
    assert qk.tolist() == [[True] * 3, [True] * 3, [False] * 3]
    assert moved.tolist() == [[False] * 3, [False] * 3, [True] * 3]


def test_keys_and_queries_that_see_x_alone_use_no_y_at_any_layer() -> None:
    for qk, _ in in_use(2, 2, by_inputs=True):
        assert qk.tolist() == [[True, True, False], [True, True, False], [False] * 3]
