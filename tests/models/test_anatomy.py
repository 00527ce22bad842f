"""What the table says of each architecture is true of its networks."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.conftest import CONFIGS
from torch import Tensor

from demograd.errors import UserError
from demograd.models import ARCHITECTURES, Model, find_anatomy
from demograd.observe import AttentionCall, attention_routed
from demograd.observe.attention import causal_attention

MakeModel = Callable[..., Model]
EACH_KIND = pytest.mark.parametrize("kind", sorted(CONFIGS))
IDS = torch.tensor([[0, 11, 12, 13, 50, 51, 20]])


def attention_inputs(model: Model, layer: int) -> dict[str, Tensor]:
    """The query, key and value vectors with which a layer's attention is called."""
    calls: dict[int, AttentionCall] = {}

    def attend(call: AttentionCall) -> Tensor:
        calls[call.layer] = call
        return causal_attention(call)

    with attention_routed(model.anatomy, attend):
        model.anatomy.decoder(input_ids=IDS, use_cache=False)
    return {part: getattr(calls[layer], part) for part in ("query", "key", "value")}


@EACH_KIND
@pytest.mark.parametrize("part", ["key", "value"])
@pytest.mark.parametrize("layer", [0, 2])
def test_what_is_called_a_key_or_value_parameter_moves_keys_or_values_and_nothing_else(
    layer: int, part: str, kind: str, random_model: MakeModel
) -> None:
    model = random_model(kind)
    before = attention_inputs(model, layer)
    for parameter in model.anatomy.key_value_parameters(layer):
        if parameter.part == part:
            noise = torch.randn(parameter.read().shape, generator=torch.Generator().manual_seed(1))
            parameter.write(parameter.read() + 0.1 * noise)
    after = attention_inputs(model, layer)
    for name in {"query", "key", "value"} - {part}:
        assert torch.equal(after[name], before[name]), f"{name} vectors must keep their bits"
    # OLMo clips its projections: a clipped entry does not move
    assert (after[part] != before[part]).float().mean() > 0.5, f"{part} vectors must move"
    assert (after[part] != before[part]).any(dim=(0, 2)).all(), "in every head and dimension"


@EACH_KIND
def test_key_and_value_parameters_are_all_there_is_to_the_keys_and_values(kind: str, random_model: MakeModel) -> None:
    """With all of them zero, there is neither key nor value left; the slices overlap nowhere."""
    model = random_model(kind)
    network = model.network
    marks = {id(parameter): torch.zeros(parameter.shape) for parameter in network.parameters()}
    names = set()
    for layer in range(3):
        for part in model.anatomy.key_value_parameters(layer):
            marked = torch.ones_like(part.select(marks[id(part.parameter)]))
            if part.index is None:
                marks[id(part.parameter)] += marked
            else:
                marks[id(part.parameter)].index_add_(part.dim, part.index, marked)
            names.add(part.name)
            part.write(torch.zeros_like(part.read()))
    assert max(count.max() for count in marks.values()) == 1
    per_layer = 4 if any("bias" in name for name in names) else 2
    assert len(names) == 3 * per_layer
    inputs = attention_inputs(model, 1)
    assert not inputs["value"].any()
    # what is left of a key is a learned bias of a norm on keys (Phi, StableLM): the same at every head's every token
    assert not inputs["key"].any() or kind in ("phi", "stablelm")
    assert inputs["query"].any()


def test_writing_a_slice_keeps_every_bit_around_it(random_model: MakeModel) -> None:
    model = random_model("gpt_neox")
    parameter = model.network.gpt_neox.layers[1].attention.query_key_value.weight
    before = parameter.clone()
    (key,) = [part for part in model.anatomy.key_value_parameters(1) if part.name == "1.key.weight"]
    key.write(key.read() + 1)
    rows = parameter.view(4, 3, 16, 64)
    assert torch.equal(rows[:, [0, 2]], before.view(4, 3, 16, 64)[:, [0, 2]])
    assert torch.equal(rows[:, 1], before.view(4, 3, 16, 64)[:, 1] + 1)


@EACH_KIND
def test_reading_out_the_last_block_gives_the_networks_logits(kind: str, random_model: MakeModel) -> None:
    """Final norm, projection, scale and soft-capping are all found: U of Deutch 2024 §4.3 at the top is the model."""
    model = random_model(kind)
    outputs: list[Tensor] = []

    def keep(module: Any, inputs: Any, output: Any) -> None:
        outputs.append(output[0] if isinstance(output, tuple) else output)

    handle = model.anatomy.blocks[-1].register_forward_hook(keep)
    expected = model.network(input_ids=IDS, use_cache=False).logits
    handle.remove()
    torch.testing.assert_close(model.anatomy.readout(outputs[0]), expected, rtol=1e-5, atol=1e-5)


@EACH_KIND
def test_blocks_and_attentions_come_in_the_order_of_the_layers(kind: str, random_model: MakeModel) -> None:
    anatomy = random_model(kind).anatomy
    assert len(anatomy.blocks) == len(anatomy.attentions) == 3
    order: list[int] = []
    for layer, attention in enumerate(anatomy.attentions):
        attention.register_forward_hook(lambda module, inputs, output, layer=layer: order.append(layer))
    anatomy.network(input_ids=IDS, use_cache=False)
    assert order == [0, 1, 2]


def test_an_unknown_architecture_that_is_built_like_llama_is_taken_as_one() -> None:
    from transformers import HeliumConfig, HeliumForCausalLM

    config = HeliumConfig(
        vocab_size=97,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    assert "helium" not in ARCHITECTURES
    anatomy = find_anatomy(HeliumForCausalLM(config).eval())
    assert [part.name for part in anatomy.key_value_parameters(1)] == ["1.key.weight", "1.value.weight"]


@pytest.mark.parametrize("name", ["CodeGen", "Mpt"])
def test_an_architecture_that_is_not_in_the_table_is_refused_by_name(name: str) -> None:
    import transformers

    settings: dict[str, Any] = {"vocab_size": 97, "hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
    if name == "Mpt":
        settings = {"vocab_size": 97, "d_model": 32, "n_heads": 2, "n_layers": 2}
    config = getattr(transformers, f"{name}Config")(**settings)
    network = getattr(transformers, f"{name}ForCausalLM")(config)
    with pytest.raises(UserError, match=rf"Unknown architecture '{config.model_type}'.*llama"):
        find_anatomy(network)


def test_a_family_that_cannot_be_measured_is_refused_by_name_and_with_the_reason() -> None:
    from transformers import MambaConfig, MambaForCausalLM

    network = MambaForCausalLM(MambaConfig(vocab_size=97, hidden_size=32, num_hidden_layers=2))
    with pytest.raises(UserError, match="mamba is an architecture that cannot be measured: layers that carry a state"):
        find_anatomy(network)


def test_equal_fingerprints_mean_equal_weights(random_model: MakeModel) -> None:
    first, same, other = random_model("llama"), random_model("llama"), random_model("llama", seed=1)
    assert first.fingerprint == same.fingerprint != other.fingerprint
    value = same.network.model.layers[2].self_attn.v_proj.weight
    value[0, 0] = torch.nextafter(value[0, 0], torch.tensor(9.0))
    moved = Model("llama", same.network, None, same.anatomy)
    assert moved.fingerprint != first.fingerprint


def test_a_buffer_that_is_kept_with_the_weights_is_part_of_the_fingerprint(random_model: MakeModel) -> None:
    model = random_model("llama")
    prints = {model.fingerprint}
    model.network.register_buffer("scale", torch.tensor([1.0, 2.0]))
    for change in (lambda x: x, lambda x: x + 1, lambda x: x.double(), lambda x: x.reshape(2, 1)):
        model.network.scale = change(torch.tensor([1.0, 2.0]))
        prints.add(replace(model).fingerprint)
    assert len(prints) == 5
    model.network.register_buffer("made_from_the_configuration", torch.tensor([3.0]), persistent=False)
    assert replace(model).fingerprint in prints
