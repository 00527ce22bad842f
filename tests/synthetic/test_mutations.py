"""A construction with one wrong sign, transpose or start is not the construction: its own check says so."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.searches import examples
from torch import Generator, Tensor

from demograd.synthetic import (
    AttentionLayer,
    Descent,
    Sequences,
    Trajectories,
    as_tokens,
    functional_descent,
    predictions,
    products,
    run_layers,
)
from demograd.synthetic.constructions import (
    behind_positions,
    copying_error,
    copying_layer,
    descent_error,
    descent_layers,
    dual_form,
    dual_form_error,
    functional_descent_error,
    functional_descent_layers,
    gd_plus_plus_error,
    gd_plus_plus_layers,
    gradient_descent_error,
    gradient_descent_layers,
    mesa_error,
    mesa_layer,
    mesa_layer_error,
    mesa_layers,
)
from demograd.synthetic.constructions.mesa import PARTS

EXACT, WRONG = 1e-10, 1e-4
INPUTS, OUTPUTS, CONTEXT = 3, 2, 6
MATRICES = ("key", "query", "value", "projection")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=Generator().manual_seed(seed), dtype=torch.float64)


def problems(inputs: int = INPUTS, outputs: int = OUTPUTS, context: int = CONTEXT, seed: int = 0) -> Sequences:
    x, y = normal(4, context + 1, inputs, seed=seed), normal(4, context + 1, outputs, seed=seed + 1)
    return Sequences(x[:, :-1], y[:, :-1], x[:, -1], y[:, -1])


@dataclass(frozen=True)
class Case:
    layers: list[AttentionLayer]
    error: Callable[[list[AttentionLayer]], float]
    parts: tuple[int, ...] = (INPUTS, OUTPUTS)
    """Widths of the parts of a token: signs are changed block by block."""


W0, STEPS, CURVATURE = normal(OUTPUTS, INPUTS, seed=2), [0.3, 0.2], [0.02, 0.01]
DESCENT = Descent(0.2 * normal(2, INPUTS, INPUTS, seed=3), 0.2 * normal(2, INPUTS, INPUTS, seed=4), CONTEXT)
TRAJECTORIES = Trajectories(normal(2, 6, 3, seed=5))
CASES = {
    "GD from W₀": Case(
        gradient_descent_layers(STEPS, CONTEXT, W0),
        lambda layers: gradient_descent_error(layers, problems(), STEPS, W0),
    ),
    "GD++": Case(
        gd_plus_plus_layers(STEPS, CURVATURE, CONTEXT, INPUTS, OUTPUTS),
        lambda layers: gd_plus_plus_error(layers, problems(), STEPS, CURVATURE),
    ),
    "preconditioned GD++": Case(
        descent_layers(DESCENT, OUTPUTS), lambda layers: descent_error(layers, problems(), DESCENT)
    ),
    **{
        f"functional GD, {kind}": Case(
            functional_descent_layers([0.05, 0.03], INPUTS, OUTPUTS),
            lambda layers, kind=kind: functional_descent_error(layers, problems(), [0.05, 0.03], kind),
        )
        for kind in ("linear", "relu", "exponential", "softmax")
    },
    **{
        f"copying layer, {kind}": Case(
            [
                copying_layer(2 * CONTEXT + 1, INPUTS, OUTPUTS, sharpness),
                behind_positions(gradient_descent_layers([0.3], CONTEXT, 0 * W0)[0], 2 * CONTEXT + 1),
            ],
            lambda layers, kind=kind: copying_error(layers, problems(), kind, 0.3),
            parts=(2 * CONTEXT + 1, INPUTS, OUTPUTS),
        )
        for kind, sharpness in (("linear", 1.0), ("softmax", 50.0))
    },
    "mesa-optimiser": Case(
        mesa_layers(STEPS, [0.2, 0.1], 3),
        lambda layers: mesa_error(layers, TRAJECTORIES, STEPS, [0.2, 0.1]),
        parts=(3,) * PARTS,
    ),
    "mesa-layer": Case(
        [mesa_layer(0.3, 3)], lambda layers: mesa_layer_error(layers[0], TRAJECTORIES, 0.3), parts=(3,) * PARTS
    ),
}


def mutations(case: Case) -> Iterator[tuple[str, AttentionLayer]]:
    """The first layer with the sign of one block of one head's matrix changed, or with something transposed."""
    layer = case.layers[0]
    ends = torch.tensor([0, *case.parts]).cumsum(0).tolist()
    spans = [slice(low, high) for low, high in pairwise(ends)]
    for name in MATRICES:
        matrix = getattr(layer, name)
        for head in range(len(matrix)):
            for row, rows in enumerate(spans):
                for column, columns in enumerate(spans):
                    changed = matrix.clone()
                    changed[head, rows, columns] *= -1
                    yield f"sign of {name} {row}{column}, head {head}", replace(layer, **{name: changed})
        yield f"transposed {name}", replace(layer, **{name: matrix.mT})
    yield "transposed QᵀK", replace(layer, key=layer.query, query=layer.key)


def applicable(case: Case) -> Iterator[tuple[str, AttentionLayer]]:
    """Those after which QᵀK or PV is another matrix; else the layer is the same layer."""
    for name, mutated in mutations(case):
        both = zip(products(mutated), products(case.layers[0]), strict=True)
        if not all(torch.allclose(first, other) for first, other in both):
            yield name, mutated


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_sign_or_transpose_anywhere_is_seen(name: str) -> None:
    case = CASES[name]
    assert case.error(case.layers) < EXACT
    wrong = dict(applicable(case))
    assert {mutation.split(" ")[2] for mutation in wrong if mutation.startswith("sign")} == set(MATRICES)
    for mutation, mutated in wrong.items():
        assert case.error([mutated, *case.layers[1:]]) > WRONG, mutation


def test_constructions_that_are_not_symmetric_have_transposes_to_be_seen() -> None:
    transposes = {
        name: {mutation for mutation, _ in applicable(case) if "transposed" in mutation} for name, case in CASES.items()
    }
    assert transposes["GD from W₀"] == {"transposed value"}
    assert transposes["preconditioned GD++"] == {"transposed query", "transposed value", "transposed QᵀK"}
    assert "transposed QᵀK" in transposes["mesa-optimiser"]


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith(("mesa", "copying"))])
def test_the_query_must_begin_at_minus_w0_x(name: str) -> None:
    layers, sequences = CASES[name].layers, problems()
    begin = -sequences.query_x @ W0.mT if name == "GD from W₀" else torch.zeros_like(sequences.query_y)
    kind = name.split(", ")[1] if "functional" in name else "linear"
    if "functional" in name:
        right = functional_descent(sequences, [0.05, 0.03], kind)
    elif name == "preconditioned GD++":
        right = DESCENT(sequences)
    elif name == "GD++":
        right = gd_plus_plus_descent(sequences)
    else:
        right = gradient_descent(sequences)
    for start, is_right in ((begin, True), (begin + 0.1, False), (sequences.query_x @ W0.mT, False)):
        predicted = predictions(run_layers(as_tokens(sequences, start), layers, kind), OUTPUTS)
        assert ((predicted - right).abs().max() < EXACT) == is_right


def gradient_descent(sequences: Sequences) -> Tensor:
    w = W0.expand(len(sequences.x), -1, -1)
    for eta in STEPS:
        w = w - eta / CONTEXT * (sequences.x @ w.mT - sequences.y).mT @ sequences.x
    return (w @ sequences.query_x[..., None]).squeeze(-1)


def gd_plus_plus_descent(sequences: Sequences) -> Tensor:
    """The construction's γ multiplies XXᵀ, the descent's B n⁻¹ XXᵀ A."""
    etas, gammas = (torch.tensor(sizes, dtype=torch.float64)[:, None, None] for sizes in (STEPS, CURVATURE))
    everything = torch.eye(INPUTS, dtype=torch.float64)
    return Descent(etas * everything, CONTEXT * gammas / etas * everything, CONTEXT)(sequences)


@settings(max_examples=examples(40))
@given(
    seed=st.integers(0, 2**30),
    inputs=st.integers(1, 5),
    outputs=st.integers(1, 3),
    context=st.integers(1, 10),
    steps=st.integers(1, 4),
    size=st.floats(0.01, 0.5),
)
def test_a_descent_is_the_layers_built_of_it_and_the_recursion_on_the_examples_themselves(
    seed: int, inputs: int, outputs: int, context: int, steps: int, size: float
) -> None:
    a, b = (size / inputs * normal(steps, inputs, inputs, seed=seed + n) for n in (1, 2))
    descent, sequences = Descent(a, b, context), problems(inputs, outputs, context, seed)
    assert descent_error(descent_layers(descent, outputs), sequences, descent) < EXACT
    x, residual, query = sequences.x, sequences.y, sequences.query_x[..., None]
    predicted = torch.zeros_like(sequences.query_y)
    for a_k, b_k in zip(a, b, strict=True):
        step, curved = residual.mT @ x @ a_k / context, b_k @ x.mT @ x @ a_k / context
        predicted = predicted + (step @ query).squeeze(-1)
        residual, x, query = residual - x @ step.mT, x - x @ curved.mT, query - curved @ query
    assert (descent(sequences) - predicted).abs().max() < EXACT


@settings(max_examples=examples(40))
@given(
    seed=st.integers(0, 2**30),
    inputs=st.integers(1, 6),
    outputs=st.integers(1, 4),
    examples=st.integers(1, 10),
    rate=st.floats(0.001, 0.1),
    momentum=st.floats(0.0, 0.99),
)
def test_the_dual_form_holds_with_any_momentum(
    seed: int, inputs: int, outputs: int, examples: int, rate: float, momentum: float
) -> None:
    x, y = (normal(examples, size, seed=seed + n) for n, size in enumerate((inputs, outputs)))
    w0, query = normal(outputs, inputs, seed=seed + 2), normal(inputs, seed=seed + 3)
    x = x / inputs**0.5
    assert dual_form_error(dual_form(w0, x, y, rate, momentum), w0, x, y, rate, momentum, query) < EXACT


@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.9])
def test_a_dual_form_with_a_wrong_sign_or_keys_for_values_is_seen(momentum: float) -> None:
    """With as many outputs as inputs, so that keys and values can take each other's place."""
    x, y, w0, query = normal(6, 3, seed=1), normal(6, 3, seed=2), normal(3, 3, seed=3), normal(3, seed=4)
    dual = dual_form(w0, x, y, 0.05, momentum)
    assert dual_form_error(dual, w0, x, y, 0.05, momentum, query) < EXACT
    wrongs = (
        replace(dual, values=-dual.values),
        replace(dual, keys=-dual.keys),
        replace(dual, values=dual.keys, keys=dual.values),
        replace(dual, keys=dual.keys.flip(1)),
        dual_form(w0.mT, x, y, 0.05, momentum),
        dual_form(w0, x, y, 0.05, momentum + 0.05),
    )
    for wrong in wrongs:
        assert dual_form_error(wrong, w0, x, y, 0.05, momentum, query) > WRONG
    assert dual_form_error(dual, w0.mT, x, y, 0.05, momentum, query) > WRONG
