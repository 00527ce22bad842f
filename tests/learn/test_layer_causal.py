"""LCGD: a layer learns from its own readout and from nothing above it; held against naive implementations."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from tests.learn.fine_tunings import MakeModel, MakeSequences
from torch import Tensor
from torch.nn.functional import cross_entropy

from demograd.learn import GradientDescent, LayerCausalGradientDescent, Method, ParameterSubset, fine_tuned
from demograd.learn.reference import Layer, layer_causal_losses, output_of
from demograd.models import Model
from demograd.tasks.prompts import TrainingSequence

Find = Callable[[Any], dict[str, Tensor]]

READOUTS = ["block", "attention_residual", "attention"]


def read_out(network: Any, hidden: Tensor) -> Tensor:
    """U of Deutch 2024 §4.3, spelled out for each architecture of these tests."""
    kind = network.config.model_type
    if kind == "opt":
        decoder = network.model.decoder
        return network.lm_head(decoder.project_out(decoder.final_layer_norm(hidden)))
    if kind in ("gpt2", "gptj", "gpt_neo", "bloom", "falcon"):
        return network.lm_head(network.transformer.ln_f(hidden))
    logits = network.lm_head(network.model.norm(hidden))
    if kind == "gemma2":
        return 3.0 * torch.tanh(logits / 3.0)
    return logits / 2.0 if kind == "granite" else logits


def blocks(network: Any) -> list[Any]:
    if hasattr(network, "transformer"):
        return list(network.transformer.h)
    return list(network.model.decoder.layers if network.config.model_type == "opt" else network.model.layers)


def attention_projection(block: Any) -> Any:
    """The module whose output is the attention output; BLOOM's attention returns the sum with the residual."""
    if hasattr(block, "self_attention"):
        return block.self_attention.dense
    return block.attn if hasattr(block, "attn") else block.self_attn


def layers_of(network: Any, readout: str) -> list[Layer]:
    """f_l of each layer, which ends where it is read."""
    if readout == "block":
        return blocks(network)
    return [
        attention_of(network, block) if readout == "attention" else into_stream(network, block)
        for block in blocks(network)
    ]


def attention_of(network: Any, block: Any) -> Layer:
    return output_of(attention_projection(block), block)


def into_stream(network: Any, block: Any) -> Layer:
    """The residual stream after attention: Gemma 2 and OLMo 2 norm what is added to it, Granite scales it."""

    def layer(hidden: Tensor, *arguments: Any, **options: Any) -> Tensor:
        attention = attention_of(network, block)(hidden, *arguments, **options)
        if network.config.model_type in ("gemma2", "olmo2"):
            attention = block.post_attention_layernorm(attention)
        return hidden + (0.5 if network.config.model_type == "granite" else 1.0) * attention

    return layer


def naive(
    network: Any,
    sequences: list[TrainingSequence],
    masks: dict[str, Tensor],
    readout: str,
    optimizer: Callable[..., Any] = lambda parameters: torch.optim.SGD(parameters, lr=0.01),
    clip: float = float("inf"),
) -> tuple[dict[str, Tensor], list[float], list[list[float]]]:
    """The trained parameters, the summed losses, and the gradient norms [steps][layers]."""
    network = copy.deepcopy(network)
    parameters = dict(network.named_parameters())
    for name in masks:
        parameters[name].requires_grad_(True)
    steps = optimizer([parameters[name] for name in masks])
    losses, norms = [], []
    for sequence in sequences:
        by_layer = layer_causal_losses(
            network, blocks(network), partial(read_out, network), sequence, layers_of(network, readout)
        )
        losses.append(sum(loss.item() for loss in by_layer))
        gradients = torch.autograd.grad(sum(by_layer), [parameters[name] for name in masks])
        masked = {name: gradient * masks[name] for name, gradient in zip(masks, gradients, strict=True)}
        norms.append(
            [
                torch.cat([gradient.flatten() for name, gradient in masked.items() if f".{layer}." in name])
                .norm()
                .item()
                for layer in range(len(by_layer))
            ]
        )
        for name, gradient in masked.items():
            parameters[name].grad = gradient
        for layer in range(len(by_layer)):
            own = [parameters[name] for name in masks if f".{layer}." in name]
            torch.nn.utils.clip_grad_norm_(own, clip)
        steps.step()
    return {name: parameter.detach() for name, parameter in parameters.items()}, losses, norms


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize(
    ("kind", "layers"),
    [
        ("llama", 3),
        ("llama", 6),
        ("gemma2", 3),
        ("olmo2", 3),
        ("gpt2", 3),
        ("opt", 3),
        ("granite", 3),
        ("gptj", 3),
        ("gpt_neo", 3),
        ("bloom", 3),
        ("falcon", 3),
        ("falcon grouped", 3),
        ("falcon alibi", 3),
    ],
)
def test_every_readout_is_what_a_naive_implementation_computes(
    kind: str,
    layers: int,
    readout: Any,
    random_model: MakeModel,
    random_sequences: MakeSequences,
    keys_and_values: Find,
    request: pytest.FixtureRequest,
) -> None:
    deep = {} if layers == 3 else {"num_hidden_layers": layers}
    model, sequences = random_model(kind, **deep), random_sequences(12, 7, 9)
    masks = keys_and_values(model.network)
    before = {name: parameter.clone() for name, parameter in model.network.named_parameters()}
    expected, losses, norms = naive(model.network, sequences, masks, readout)
    with fine_tuned(model, sequences, LayerCausalGradientDescent(learning_rate=0.01, readout=readout)) as tuned:
        for name, parameter in tuned.network.named_parameters():
            mask = masks.get(name, torch.zeros(parameter.shape, dtype=torch.bool))
            assert torch.equal(parameter[~mask], before[name][~mask]), name
            torch.testing.assert_close(parameter, expected[name], rtol=1e-5, atol=2e-6, msg=name)
            if mask.any() and ".bias" not in name:
                assert (parameter - before[name])[mask].abs().max() > 1e-5, name
    assert tuned.losses.tolist() == pytest.approx(losses, rel=1e-5)
    assert tuned.gradient_norms.T.tolist() == [pytest.approx(step, rel=1e-4) for step in norms]


@pytest.mark.parametrize(
    "kind", ["mistral", "qwen2", "phi3", "starcoder2", "smollm3", "gemma3_text", "gpt_oss", "llama4_text"]
)
def test_tokens_outside_a_window_or_chunk_teach_nothing(
    kind: str, random_model: MakeModel, random_sequences: MakeSequences, keys_and_values: Find
) -> None:
    """Sequences are longer than two windows of 7; without the network's own masks the losses differ."""
    model, sequences = random_model(kind), random_sequences(19, 16)
    expected, losses, norms = naive(model.network, sequences, keys_and_values(model.network), "block")
    with fine_tuned(model, sequences, LayerCausalGradientDescent(learning_rate=0.01)) as tuned:
        for name, parameter in tuned.network.named_parameters():
            torch.testing.assert_close(parameter, expected[name], rtol=1e-4, atol=5e-6, msg=name)
    assert tuned.losses.tolist() == pytest.approx(losses, rel=1e-5)
    assert tuned.gradient_norms.T.tolist() == [pytest.approx(step, rel=1e-4) for step in norms]
    everything = {"attention_chunk_size": 64} if kind == "llama4_text" else {"sliding_window": 64}
    unmasked = random_model(kind, **everything).network
    _, others, _ = naive(unmasked, sequences, keys_and_values(unmasked), "block")
    assert others != pytest.approx(losses, rel=1e-3)


@pytest.mark.parametrize(
    ("settings", "optimizer"),
    [
        ({"epochs": 2}, lambda parameters: torch.optim.SGD(parameters, lr=0.01)),
        ({"momentum": 0.8, "epochs": 2}, lambda parameters: torch.optim.SGD(parameters, lr=0.01, momentum=0.8)),
        ({"optimizer": "adam", "epochs": 2}, lambda parameters: torch.optim.Adam(parameters, lr=0.01)),
    ],
    ids=["epochs", "momentum", "adam"],
)
def test_other_optimizers_are_torchs_own_in_every_layer(
    settings: dict[str, Any],
    optimizer: Any,
    random_model: MakeModel,
    random_sequences: MakeSequences,
    keys_and_values: Find,
) -> None:
    model, sequences = random_model("qwen3"), random_sequences(12, 7)
    expected, losses, _ = naive(model.network, sequences * 2, keys_and_values(model.network), "block", optimizer)
    with fine_tuned(model, sequences, LayerCausalGradientDescent(learning_rate=0.01, **settings)) as tuned:
        for name, parameter in tuned.network.named_parameters():
            torch.testing.assert_close(parameter, expected[name], rtol=1e-4, atol=2e-5, msg=name)
    assert tuned.losses.tolist() == pytest.approx(losses, rel=1e-4)


@pytest.mark.parametrize("kind", ["llama", "gemma2", "gpt2"])
def test_all_parameters_of_a_block_learn_from_its_own_readout(
    kind: str, random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    """Norms and MLP learn too, but neither the readout nor the embeddings, with which it may be tied."""
    model, sequences = random_model(kind), random_sequences(12, 7)
    of_blocks = {id(parameter) for block in model.anatomy.blocks for parameter in block.parameters()}
    masks = {
        name: torch.ones_like(parameter, dtype=torch.bool)
        for name, parameter in model.network.named_parameters()
        if id(parameter) in of_blocks
    }
    expected, losses, norms = naive(model.network, sequences, masks, "block")
    method = LayerCausalGradientDescent(learning_rate=0.01, parameters=ParameterSubset(which="all"))
    with fine_tuned(model, sequences, method) as tuned:
        for name, parameter in tuned.network.named_parameters():
            torch.testing.assert_close(parameter, expected[name], rtol=1e-4, atol=2e-5, msg=name)
    assert tuned.losses.tolist() == pytest.approx(losses, rel=1e-5)
    assert tuned.gradient_norms.T.tolist() == [pytest.approx(step, rel=1e-4) for step in norms]


def test_clipping_is_layer_by_layer(
    random_model: MakeModel, random_sequences: MakeSequences, keys_and_values: Find
) -> None:
    """A layer with a small gradient keeps its gradient, whatever the size of the others."""
    model, sequences = random_model("llama"), random_sequences(12, 7)
    masks = keys_and_values(model.network)
    _, _, unclipped = naive(model.network, sequences, masks, "block")
    clip = sorted(unclipped[0])[1]  # of the first step, one layer is clipped, and one is not
    expected, _, norms = naive(model.network, sequences, masks, "block", clip=clip)
    with fine_tuned(model, sequences, LayerCausalGradientDescent(learning_rate=0.01, clip=clip)) as tuned:
        for name, parameter in tuned.network.named_parameters():
            torch.testing.assert_close(parameter, expected[name], rtol=1e-5, atol=2e-6, msg=name)
    assert tuned.gradient_norms.T.tolist() == [pytest.approx(step, rel=1e-4) for step in norms]
    assert min(norms[0]) < clip < max(norms[0])


def naive_by_token(
    network: Any, sequences: list[TrainingSequence], rate: float, learning: range, windows: tuple[int, ...] = ()
) -> tuple[dict[str, Tensor], list[float]]:
    """Update the `learning` layers of a llama once per token, with every block's inputs for earlier tokens stored.

    With `windows`, each layer sees only so many tokens, as in networks that are like llama but have windows.
    """
    network = copy.deepcopy(network)
    trained = [
        [parameter for name, parameter in layer.named_parameters() if ".k_proj." in name or ".v_proj." in name]
        for layer in network.model.layers
    ]
    for parameters in trained:
        for projection in parameters:
            projection.requires_grad_(True)
    losses = []
    for sequence in sequences:
        stored = [torch.zeros(1, 0, network.config.hidden_size) for _ in network.model.layers]
        for place, token in enumerate(sequence.tokens[:-1]):
            positions = torch.arange(place + 1)[None]
            rotary = network.model.rotary_emb(stored[0], positions)
            future = torch.full((place + 1, place + 1), -torch.inf).triu(1)[None, None]
            new = network.model.embed_tokens(torch.tensor([[token]]))
            counts = sequence.loss_mask[place + 1]
            updates, total = [], 0.0
            for number, block in enumerate(network.model.layers):
                stored[number] = torch.cat([stored[number], new], dim=1)
                past = torch.full_like(future, -torch.inf).tril(-windows[number]) if windows else 0.0
                output = block(stored[number], attention_mask=future + past, position_embeddings=rotary)
                new = output[:, -1:].detach()
                if counts and number in learning:
                    target = torch.tensor([sequence.tokens[place + 1]])
                    loss = cross_entropy(read_out(network, output[0, -1:]), target)
                    updates += zip(trained[number], torch.autograd.grad(loss, trained[number]), strict=True)
                    total += loss.item()
            with torch.no_grad():
                for parameter, gradient in updates:
                    parameter -= rate * gradient
            if counts:
                losses.append(total)
    return {name: parameter.detach() for name, parameter in network.named_parameters()}, losses


@pytest.mark.parametrize(("layers", "learning"), [(3, range(3)), (6, range(6)), (6, range(2, 4))])
def test_token_steps_are_what_a_naive_implementation_computes(
    layers: int, learning: range, random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    """Layers that do not learn store their inputs like those that do."""
    model, sequences = random_model("llama", num_hidden_layers=layers), random_sequences(9, 6)
    expected, losses = naive_by_token(model.network, sequences, rate=0.01, learning=learning)
    steps: list[int] = []
    subset = ParameterSubset(layers=(learning[0], learning[-1]))
    method = LayerCausalGradientDescent(learning_rate=0.01, step="token", parameters=subset)
    with fine_tuned(model, sequences, method, on_step=steps.append) as tuned:
        for name, parameter in tuned.network.named_parameters():
            torch.testing.assert_close(parameter, expected[name], rtol=1e-5, atol=5e-6, msg=name)
    counted = sum(sum(sequence.loss_mask) for sequence in sequences)
    assert tuned.losses.tolist() == pytest.approx(losses, rel=1e-5)
    assert steps == list(range(1, counted + 1))
    assert tuned.gradient_norms.shape == (layers, counted)


def test_token_steps_behind_a_window_are_what_a_naive_implementation_computes(
    random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    model, sequences = random_model("qwen2"), random_sequences(17, 15)
    assert model.network.config.layer_types == ["full_attention", "sliding_attention", "sliding_attention"]
    expected, losses = naive_by_token(model.network, sequences, rate=0.01, learning=range(3), windows=(99, 7, 7))
    with fine_tuned(model, sequences, LayerCausalGradientDescent(learning_rate=0.01, step="token")) as tuned:
        for name, parameter in tuned.network.named_parameters():
            torch.testing.assert_close(parameter, expected[name], rtol=1e-5, atol=5e-6, msg=name)
    assert tuned.losses.tolist() == pytest.approx(losses, rel=1e-5)
    _, others = naive_by_token(model.network, sequences, rate=0.01, learning=range(3))
    assert others != pytest.approx(losses, rel=1e-3)


@pytest.mark.parametrize("readout", READOUTS)
def test_token_steps_are_not_demonstration_steps(
    readout: Any, random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    """The loss of a token is not divided by the number of tokens; with one counted token both steps are the same."""
    model, (sequence,) = random_model("llama"), random_sequences(8)
    last_only = TrainingSequence(sequence.tokens, [False] * 7 + [True])

    def values(step: Any, sequence: TrainingSequence) -> Tensor:
        method = LayerCausalGradientDescent(learning_rate=0.01, step=step, readout=readout)
        with fine_tuned(model, [sequence], method):
            return model.network.model.layers[1].self_attn.v_proj.weight.clone()

    before = model.network.model.layers[1].self_attn.v_proj.weight
    torch.testing.assert_close(values("token", last_only), values("demonstration", last_only), rtol=1e-5, atol=1e-6)
    by_token, by_demonstration = (values(step, sequence) - before for step in ("token", "demonstration"))
    assert by_token.norm() > 2 * by_demonstration.norm()


def with_other_layers_above(model: Model, make: MakeModel, cut: int) -> Model:
    """The model with the blocks of another model from block `cut` on."""
    other = make("llama", num_hidden_layers=6)
    drawn_anew = make("llama", num_hidden_layers=6, seed=1)
    for layer in range(cut, 6):
        other.network.model.layers[layer].load_state_dict(drawn_anew.network.model.layers[layer].state_dict())
    assert torch.equal(other.network.lm_head.weight, model.network.lm_head.weight)
    return other


@pytest.mark.parametrize(
    "method",
    [
        *(LayerCausalGradientDescent(learning_rate=0.01, readout=readout) for readout in READOUTS),  # type: ignore[arg-type]
        LayerCausalGradientDescent(learning_rate=0.01, step="token"),
        LayerCausalGradientDescent(learning_rate=0.01, softmax_gradient=False),
    ],
    ids=[*READOUTS, "token", "no softmax gradient"],
)
@pytest.mark.parametrize("cut", [2, 5])
def test_replacing_the_layers_above_changes_nothing_below(
    cut: int, method: Method, random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    below, above = updates_of_both(cut, method, random_model, random_sequences)
    for original, other in below:
        torch.testing.assert_close(original, other, rtol=1e-5, atol=1e-8)
    assert all((original - other).norm() > 0.1 * original.norm() for original, other in above)


def test_replacing_the_layers_above_changes_what_gd_learns_below(
    random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    below, _ = updates_of_both(2, GradientDescent(learning_rate=0.01), random_model, random_sequences)
    assert all((original - other).norm() > 0.1 * original.norm() for original, other in below)


def updates_of_both(cut: int, method: Method, make: MakeModel, sequences: MakeSequences) -> Any:
    """Pairs of updates of the layers below and above the cut, with the model's and with other layers above."""
    model = make("llama", num_hidden_layers=6)
    results = []
    for variant in (model, with_other_layers_above(model, make, cut)):
        layers = variant.network.model.layers
        before = [layer.self_attn.v_proj.weight.clone() for layer in layers]
        with fine_tuned(variant, sequences(12, 7, 9), method):
            results.append([layer.self_attn.v_proj.weight - old for layer, old in zip(layers, before, strict=True)])
    pairs = list(zip(*results, strict=True))
    return pairs[:cut], pairs[cut:]


def test_without_the_softmax_derivative_only_the_values_learn(
    random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    """Within one step the values' own gradient does not pass through the softmax, so it is the same."""
    model, sequences = random_model("gemma2"), random_sequences(12)
    attentions = [layer.self_attn for layer in model.network.model.layers]
    keys = [attention.k_proj.weight.clone() for attention in attentions]
    learned = []
    for softmax_gradient in (True, False):
        method = LayerCausalGradientDescent(learning_rate=0.01, softmax_gradient=softmax_gradient)
        with fine_tuned(model, sequences, method) as tuned:
            learned.append([attention.v_proj.weight.clone() for attention in attentions])
            unchanged = [
                torch.equal(attention.k_proj.weight, key) for attention, key in zip(attentions, keys, strict=True)
            ]
            assert all(unchanged) if not softmax_gradient else not any(unchanged)
        assert (tuned.gradient_norms > 0).all()
    for with_derivative, without in zip(*learned, strict=True):
        torch.testing.assert_close(with_derivative, without, rtol=1e-5, atol=1e-7)


class SavedBytes:
    """A counter of the bytes that autograd's graphs save at one time, and of their maximum."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def pack(self, tensor: Tensor) -> "Saved":
        return Saved(self, tensor)

    def change(self, by: int) -> None:
        self.now += by
        self.most = max(self.most, self.now)


class Saved:
    def __init__(self, account: SavedBytes, tensor: Tensor) -> None:
        self.account, self.tensor, self.size = account, tensor, tensor.numel() * tensor.element_size()
        account.change(self.size)

    def __del__(self) -> None:
        self.account.change(-self.size)


def test_lcgd_holds_no_more_graph_in_a_deeper_network_and_gd_does(
    random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    def most(method: Method, layers: int, *lengths: int) -> int:
        account = SavedBytes()
        model = random_model("llama", num_hidden_layers=layers, max_position_embeddings=1024)
        with (
            torch.autograd.graph.saved_tensors_hooks(account.pack, lambda saved: saved.tensor),
            fine_tuned(model, random_sequences(*lengths), method),
        ):
            assert account.now == 0, "no graph outlives training"
        return account.most

    lcgd, gd = LayerCausalGradientDescent(learning_rate=0.001), GradientDescent(learning_rate=0.001)
    # short demonstrations: some layers wait for each other, the same number however many there are
    assert most(lcgd, 84, 24, 20) <= 1.05 * most(lcgd, 46, 24, 20)
    # from 512 counted tokens on: one layer's graph
    assert most(lcgd, 12, 520) <= 1.05 * most(lcgd, 3, 520)
    assert most(gd, 12, 520) > 3 * most(gd, 3, 520)
    assert most(lcgd, 12, 520) < 0.4 * most(gd, 12, 520)
