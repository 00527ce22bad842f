"""Facts about key biases: softmax ignores what they add to a row of logits, unless positions rotate them."""

import pytest
import torch
from tests.learn.fine_tunings import MakeModel, MakeSequences
from torch import Tensor

from demograd import GradientDescent, LayerCausalGradientDescent, fine_tuned
from demograd.learn.key_biases import unnoticed_key_biases
from demograd.models import Model
from demograd.models.parameters import fused_rows
from demograd.tasks.prompts import TrainingSequence

ADAM = GradientDescent(learning_rate=0.01, optimizer="adam", epochs=2)


def key_biases(model: Model) -> Tensor:
    """The key biases [layers, heads, head_dim]."""
    architecture, biases = model.anatomy.architecture, []
    for attention in model.anatomy.attentions:
        bias = attention.get_submodule(architecture.fused or architecture.key).bias.detach()
        biases.append(
            bias[fused_rows(model.network.config, architecture.layout)["key"]] if architecture.fused else bias
        )
    return torch.stack(biases).clone().unflatten(-1, (-1, 16))


def moved(
    model: Model, sequences: list[TrainingSequence], method: GradientDescent | LayerCausalGradientDescent
) -> Tensor:
    """The change of the key biases by fine-tuning."""
    before = key_biases(model)
    with fine_tuned(model, sequences, method) as tuned:
        change = (key_biases(tuned) - before).abs()
    assert torch.equal(key_biases(model), before)
    return change


@pytest.mark.parametrize("kind", ["gpt2", "opt", "xglm", "bloom"])
@pytest.mark.parametrize("method", [ADAM, LayerCausalGradientDescent(learning_rate=0.01, optimizer="adam")])
def test_without_rotary_positions_adam_does_not_move_them(
    random_model: MakeModel,
    random_sequences: MakeSequences,
    kind: str,
    method: GradientDescent | LayerCausalGradientDescent,
) -> None:
    assert moved(random_model(kind), random_sequences(12, 9), method).max() == 0


def test_where_all_dimensions_are_rotated_adam_moves_them_all(
    random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    model = random_model("qwen2")
    assert not any(mask.any() for mask in unnoticed_key_biases(model.anatomy).values())
    assert moved(model, random_sequences(12, 9), ADAM).min() > 0


def test_where_some_dimensions_are_rotated_adam_moves_those_alone(
    random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    """This GPT-NeoX rotates the first half of each head."""
    model = random_model("gpt_neox")
    change = moved(model, random_sequences(12, 9), ADAM)
    assert (change[..., 8:] == 0).all() and change[..., :8].min() > 0


@pytest.mark.parametrize("kind", ["gpt2", "xglm"])
def test_their_gradient_is_rounding_of_which_sgd_makes_nothing(
    random_model: MakeModel, random_sequences: MakeSequences, kind: str
) -> None:
    assert moved(random_model(kind), random_sequences(12, 9), GradientDescent(learning_rate=0.1)).max() < 1e-6


def test_all_else_that_adam_trains_it_still_does(random_model: MakeModel, random_sequences: MakeSequences) -> None:
    model = random_model("opt")
    before = {name: parameter.detach().clone() for name, parameter in model.network.named_parameters()}
    with fine_tuned(model, random_sequences(12, 9), ADAM) as tuned:
        changed = {
            name for name, parameter in tuned.network.named_parameters() if not torch.equal(parameter, before[name])
        }
    ends = {name.partition("self_attn.")[2] for name in changed}
    assert ends == {"k_proj.weight", "v_proj.weight", "v_proj.bias"}


def test_no_model_without_key_biases_is_probed(random_model: MakeModel) -> None:
    assert unnoticed_key_biases(random_model("mistral").anatomy) == {}
