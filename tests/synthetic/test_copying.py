"""Plain sequences x, y, x, y, …, positions, and the layer that makes tokens (x, y) of them."""

import pytest
import torch
from tests.synthetic.problems import PROBLEMS

from demograd.study.synthetic.questions.copying import copying_sensitivity
from demograd.synthetic import Architecture, Sequences, SmallTransformer, as_tokens, attended
from demograd.synthetic.constructions import behind_positions, copying_error, copying_layer, gradient_descent_layers
from demograd.synthetic.constructions.copying import plain_tokens, sinusoids

INPUTS, PLACES = PROBLEMS.x.shape[-1], 2 * PROBLEMS.context + 1


def test_a_plain_sequence_has_each_x_and_each_y_in_a_token_of_its_own_and_the_query_last() -> None:
    tokens = plain_tokens(PROBLEMS, torch.eye(PLACES))
    assert tokens.shape == (50, PLACES, PLACES + INPUTS + 1)
    assert torch.equal(tokens[0, :, :PLACES], torch.eye(PLACES).double())
    contents = tokens[..., PLACES:]
    assert torch.equal(contents[:, :-1:2, :-1], PROBLEMS.x) and not contents[:, ::2, -1].any()
    assert torch.equal(contents[:, 1::2, -1:], PROBLEMS.y) and not contents[:, 1::2, :-1].any()
    assert torch.equal(contents[:, -1, :-1], PROBLEMS.query_x)


@pytest.mark.parametrize(("kind", "sharpness"), [("linear", 1.0), ("softmax", 50.0)])
def test_a_sequence_in_which_y_comes_first_or_a_layer_that_looks_behind_is_seen(kind: str, sharpness: float) -> None:
    w0 = torch.zeros(1, INPUTS, dtype=torch.float64)
    step = behind_positions(gradient_descent_layers([0.3], PROBLEMS.context, w0)[0], PLACES)
    copying = copying_layer(PLACES, INPUTS, sharpness=sharpness)
    assert copying_error([copying, step], PROBLEMS, kind, 0.3) < 1e-12  # type: ignore[arg-type]
    backwards = copying_layer(PLACES, INPUTS, sharpness=sharpness)
    backwards.query[0, :PLACES, :PLACES] = backwards.query[0, :PLACES, :PLACES].mT.clone()
    assert copying_error([backwards, step], PROBLEMS, kind, 0.3) > 1e-2  # type: ignore[arg-type]
    assert copying_error([copying, step], PROBLEMS, kind, -0.3) > 1e-2  # type: ignore[arg-type]
    tokens = plain_tokens(PROBLEMS, torch.eye(PLACES))
    y_first = torch.cat([tokens[:, 1:2], tokens[:, 0:1], tokens[:, 2:]], dim=1)
    y_first[..., :PLACES] = tokens[..., :PLACES]
    tokens_made = attended(y_first, copying, kind)[:, 0, PLACES:]  # type: ignore[arg-type]
    assert (tokens_made - as_tokens(PROBLEMS)[:, 0]).abs().max() > 1e-2


def test_sinusoids_depend_on_the_place_alone_and_a_shift_is_a_rotation() -> None:
    few, many = sinusoids(5, 6), sinusoids(9, 6)
    assert torch.equal(many[:5], few) and few[0].tolist() == [0, 1, 0, 1, 0, 1]
    assert torch.allclose(many.square().sum(dim=1), torch.full((9,), 3.0))
    between = many @ many.mT
    assert torch.allclose(between.diagonal(1), between.diagonal(1)[0].expand(8), atol=1e-5)


def plain_network(first: str = "softmax") -> SmallTransformer:
    architecture = Architecture(layers=2, first=first, positions=PLACES)  # type: ignore[arg-type]
    return SmallTransformer(architecture, PLACES + INPUTS + 1, 0).requires_grad_(False)


def test_the_first_layer_has_its_own_attention_and_the_second_is_linear() -> None:
    problems = Sequences(*(tensor.float() for tensor in vars(PROBLEMS).values()))
    network = plain_network()
    first, second = network.layers()
    tokens = attended(network.tokens(problems), first, "softmax")
    torch.testing.assert_close(network(problems), -attended(tokens, second, "linear")[:, -1, -1:])
    assert not torch.allclose(network(problems), plain_network("linear")(problems), atol=1e-3)


def test_the_constructed_layer_depends_on_itself_and_on_its_y_alone() -> None:
    network, problems = plain_network().double(), PROBLEMS
    layer = copying_layer(PLACES, INPUTS, sharpness=50.0)
    for name in ("key", "query", "value", "projection"):
        getattr(network, name)[0] = getattr(layer, name)
    network.tokens = lambda problems: plain_tokens(problems, torch.eye(PLACES))  # type: ignore[method-assign]
    own, following, others = copying_sensitivity(network, problems)
    assert own == pytest.approx(torch.full((50,), (INPUTS + 1) ** 0.5).double())  # d and one components, each once
    assert following == pytest.approx(torch.ones(50).double()) and others.max() < 1e-12


def test_an_untrained_layer_depends_on_all_tokens_alike() -> None:
    problems = Sequences(*(tensor.float() for tensor in vars(PROBLEMS).values()))
    own, following, others = (scores.mean() for scores in copying_sensitivity(plain_network(), problems))
    assert others > 0 and following < 3 * others < own
