"""Facts about operations: the sums of a plan are what torch counts during the computation."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from tests.conftest import CONFIGS, VOCABULARY, random_network
from tests.study.plan.flop_counter import counted

from demograd import GradientDescent, LayerCausalGradientDescent, ParameterSubset, fine_tuned, observe
from demograd.learn import Method
from demograd.models import Model
from demograd.observe.masks import attention_masks
from demograd.observe.self_check import way_at_length
from demograd.study.language_model.sizes import prompt_sizes, sequence_sizes
from demograd.study.plan.blueprint import Blueprint, empty_network
from demograd.study.plan.flops import observing, training
from demograd.tasks import Prompts, TrainingSequence

GENERATOR = torch.Generator().manual_seed(0)


def tokens(count: int) -> list[int]:
    return torch.randint(3, VOCABULARY, (count,), generator=GENERATOR).tolist()


PROMPTS = Prompts(tokens(60), [tokens(length) for length in (14, 15, 16, 17)], [[5], [6, 7]], [0] * 4)
SEQUENCES = [TrainingSequence(tokens(length), [False] + [True] * (length - 1)) for length in (40, 30)]
STILL = GradientDescent(learning_rate=0.0)
LCGD = LayerCausalGradientDescent(learning_rate=0.0)


def blueprint_of(model: Model) -> Blueprint:
    return Blueprint(model.name, model.network.config)


def ratio(model: Model, method: Method) -> float:
    def train() -> None:
        with fine_tuned(model, SEQUENCES, method):
            pass

    attention_masks(model.anatomy)  # asked for once per network, in a pass over two tokens, which no plan counts
    return training(blueprint_of(model), sequence_sizes(SEQUENCES), method).total / counted(train)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen3", "xglm", "bart"])
@pytest.mark.parametrize(
    "method",
    [
        STILL,
        replace(STILL, epochs=2),
        replace(STILL, step="batch"),
        replace(STILL, step="token"),
        replace(STILL, parameters=ParameterSubset(layers=-1)),
        replace(STILL, parameters=ParameterSubset(layers=(1, 2), which="value")),
        replace(STILL, parameters=ParameterSubset(which="all")),
        LCGD,
        replace(LCGD, parameters=ParameterSubset(layers="deep")),
    ],
    ids=lambda method: method.label,
)
def test_training_takes_the_operations_that_torch_counts(
    random_model: Callable[..., Model], kind: str, method: Method
) -> None:
    assert ratio(random_model(kind), method) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen3", "xglm", "gptj", "falcon"])
def test_observing_takes_the_operations_that_torch_counts(random_model: Callable[..., Model], kind: str) -> None:
    model = random_model(kind)
    way_at_length(model, PROMPTS)  # tried once per network and length, which no plan counts
    counts = counted(lambda: observe(model, PROMPTS))
    assert observing(blueprint_of(model), prompt_sizes(PROMPTS)).total / counts == pytest.approx(1, abs=0.02)


def test_sizes_are_those_of_a_network_worked_out_by_hand(random_model: Callable[..., Model]) -> None:
    """The network is 64 wide, has an MLP of 96, four heads of 16 of which two have keys and values, and 97 tokens."""
    blueprint = blueprint_of(random_model("llama"))
    attention, mlp = 64 * 64 + 2 * 64 * 32 + 64 * 64, 3 * 64 * 96
    assert blueprint.sizes[0].all == attention + mlp and blueprint.sizes[0].before_attention == 64 * 64 + 2 * 64 * 32
    sizes = prompt_sizes(Prompts([0], [[5, 6]], [[7]], [0]))
    pairs = 1 + 2 * 1 + 2 * 2
    assert observing(blueprint, sizes).forward == 3 * (2 * 3 * (attention + mlp) + 4 * 64 * pairs) + 2 * 64 * 97


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_network_of_fewer_layers_has_the_same_widths(kind: str) -> None:
    whole = random_network(kind)
    for layers in (1, 2):
        small = Blueprint(kind, empty_network(whole.config, "meta", layers).config)
        assert small.layers == layers
        shapes = [
            parameter.shape for parameter in whole.get_submodule(small.anatomy.architecture.blocks)[0].parameters()
        ]
        assert [parameter.shape for parameter in small.anatomy.blocks[0].parameters()] == shapes
