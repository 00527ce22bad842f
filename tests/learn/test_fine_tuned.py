"""Inside the block the weights are tuned; after it every bit is restored, however the block ended."""

import copy
from typing import Any

import pytest
import torch
from tests.learn.fine_tunings import Interrupted, MakeModel, MakeSequences, assert_as_before, bits

from demograd.errors import UserError
from demograd.learn import (
    Diverged,
    GradientDescent,
    LayerCausalGradientDescent,
    Method,
    ParameterSubset,
    fine_tuned,
)
from demograd.models import ARCHITECTURES
from demograd.observe import observe
from demograd.tasks.prompts import Prompts, TrainingSequence

METHODS: list[Method] = [
    GradientDescent(learning_rate=0.01),
    GradientDescent(learning_rate=0.01, optimizer="adam", epochs=2),
    GradientDescent(learning_rate=0.01, step="batch", momentum=0.9, epochs=2),
    LayerCausalGradientDescent(learning_rate=0.01),
    LayerCausalGradientDescent(learning_rate=0.01, step="token", softmax_gradient=False),
    GradientDescent(learning_rate=0.01, clip=1.0, parameters=ParameterSubset(which="all")),
    LayerCausalGradientDescent(learning_rate=0.01, optimizer="adam", parameters=ParameterSubset("all", fraction=0.3)),
]
NAMES = ["GD", "Adam", "momentum", "LCGD", "LCGD by token", "GD all", "LCGD all in part"]
EACH_METHOD = pytest.mark.parametrize("method", METHODS, ids=NAMES)
# separate and fused matrices (a slice, a slice of columns, interleaved), tied embeddings, attention replaced
EACH_KIND = pytest.mark.parametrize("kind", ["llama", "phi3", "gpt2", "gpt_neox", "gemma2", "xglm"])


@EACH_METHOD
@EACH_KIND
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_every_weight_comes_back_bit_for_bit(
    dtype: torch.dtype, kind: str, method: Method, random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    network = (model := random_model(kind, dtype=dtype)).network
    before = bits(network)

    with fine_tuned(model, random_sequences(8, 5), method) as tuned:
        inside = bits(tuned.network)
        changed = [name for name in before if not torch.equal(inside[name], before[name])]
        assert len(changed) >= len(model.anatomy.blocks), "every layer learned"
    assert_as_before(network, before)

    with pytest.raises(Interrupted), fine_tuned(model, random_sequences(8, 5), method):
        raise Interrupted
    assert_as_before(network, before)

    def interrupt(done: int) -> None:
        raise Interrupted

    with pytest.raises(Interrupted), fine_tuned(model, random_sequences(8, 5), method, on_step=interrupt):
        pass
    assert_as_before(network, before)


@pytest.mark.parametrize("make", [GradientDescent, LayerCausalGradientDescent])
@EACH_KIND
def test_a_huge_learning_rate_diverges_at_a_step_and_leaves_no_trace(
    kind: str, make: Any, random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    model = random_model(kind)
    before = bits(model.network)
    diverges = pytest.raises(Diverged, match=r"diverged at step \d+: .* not finite")
    with diverges as caught, fine_tuned(model, random_sequences(8, 5, 9, 6), make(learning_rate=1e38)):
        pytest.fail("nothing may be observed on weights that are not finite")
    assert 0 <= caught.value.step < 4
    assert_as_before(model.network, before)


def test_divergence_names_the_first_step_whose_weights_overflow(
    random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    """Weights of 16 bit overflow at 65504, where their float32 masters do not."""
    model = random_model("llama", dtype=torch.float16)
    diverges = pytest.raises(Diverged, match="diverged at step 0: a weight")
    with diverges, fine_tuned(model, random_sequences(8, 5), GradientDescent(learning_rate=1e7)):
        pytest.fail("nothing may be observed on weights that are not finite")


@EACH_METHOD
def test_a_learning_rate_of_zero_changes_nothing(
    method: Method, random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    model = random_model("gpt2")
    before = bits(model.network)
    still = type(method)(**{**vars(method), "learning_rate": 0.0})
    with fine_tuned(model, random_sequences(8, 5), still) as tuned:
        assert all(torch.equal(tensor, before[name]) for name, tensor in bits(tuned.network).items())
        assert (tuned.gradient_norms > 0).all()
        assert tuned.losses.isfinite().all()


@pytest.mark.parametrize("make", [GradientDescent, LayerCausalGradientDescent])
def test_steps_too_small_for_16_bit_add_up_in_float32_masters(
    make: Any, random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    """A bfloat16 weight moves in steps of 1/256 of itself; without a master, a smaller update is lost every time."""
    model = random_model("llama", dtype=torch.bfloat16)
    (sequence,) = random_sequences(12)
    value = model.network.model.layers[1].self_attn.v_proj.weight
    before = value.clone()

    def moved(steps: int) -> float:
        with fine_tuned(model, [sequence] * steps, make(learning_rate=2e-5)):
            return (value != before).float().mean().item()

    assert moved(1) < 0.01
    assert moved(100) > 0.05
    assert moved_by_torch(model.network, sequence, steps=100, rate=2e-5) < 0.02


def moved_by_torch(network: Any, sequence: TrainingSequence, steps: int, rate: float) -> float:
    """The share of the same values that torch's own SGD moves, without masters."""
    network = copy.deepcopy(network)
    value = network.model.layers[1].self_attn.v_proj.weight
    before = value.clone()
    optimizer = torch.optim.SGD([value.requires_grad_(True)], lr=rate)
    tokens = torch.tensor(sequence.tokens)
    labels = torch.where(torch.tensor(sequence.loss_mask), tokens, -100)
    for _ in range(steps):
        optimizer.zero_grad()
        network(input_ids=tokens[None], labels=labels[None], use_cache=False).loss.backward()
        optimizer.step()
    return (value != before).float().mean().item()


@pytest.mark.parametrize("kind", ["llama", "gpt2", "xglm"])
def test_what_is_observed_inside_is_the_tuned_model_and_afterwards_the_old_one(
    kind: str, random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    model = random_model(kind)
    prompts = Prompts([0, 5, 9, 11], [[7, 8, 9], [4, 5]], [[3], [6, 7]], [0, 1])
    before = observe(model, prompts)
    with fine_tuned(model, random_sequences(12, 9), GradientDescent(learning_rate=0.05)) as tuned:
        inside = observe(tuned, prompts)
        assert tuned.method == GradientDescent(learning_rate=0.05)
        assert (tuned.name, tuned.dtype, tuned.tokenizer) == (model.name, model.dtype, model.tokenizer)
        logits = tuned.network(input_ids=torch.tensor([prompts.context + prompts.queries[0]])).logits[0, -1]
        assert inside.label_log_probs[0, 0].item() == pytest.approx(logits.log_softmax(-1)[3].item(), abs=1e-4)
    assert (inside.attention_output - before.attention_output).norm() > 0.01 * before.attention_output.norm()
    after = observe(model, prompts)
    assert torch.equal(after.attention_output, before.attention_output)
    assert torch.equal(after.label_log_probs, before.label_log_probs)


def test_training_teaches_the_demonstrations(random_model: MakeModel, random_sequences: MakeSequences) -> None:
    """Repeated on one demonstration, every method lowers its own loss at every step."""
    model, sequences = random_model("llama"), random_sequences(12) * 4
    methods = [make(learning_rate=0.003) for make in (GradientDescent, LayerCausalGradientDescent)]
    for method in [*methods, GradientDescent(learning_rate=0.001, optimizer="adam")]:
        with fine_tuned(model, sequences, method) as tuned:
            assert (tuned.losses.diff() < 0).all(), method


def test_progress_counts_steps(random_model: MakeModel, random_sequences: MakeSequences) -> None:
    model, sequences = random_model("llama"), random_sequences(8, 5, 9)
    for method, steps in (
        (GradientDescent(learning_rate=0.01, epochs=2), 6),
        (GradientDescent(learning_rate=0.01, epochs=2, step="batch"), 2),
        (LayerCausalGradientDescent(learning_rate=0.01), 3),
    ):
        reported: list[int] = []
        with fine_tuned(model, sequences, method, on_step=reported.append) as tuned:
            assert reported == list(range(1, steps + 1))
            assert tuned.losses.shape == (steps,)
            assert tuned.gradient_norms.shape == (3, steps)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": -0.1}, "learning rate -0.1"),
        ({"learning_rate": float("nan")}, "learning rate nan"),
        ({"learning_rate": float("inf")}, "learning rate inf"),
        ({"learning_rate": 0.1, "momentum": 1.0}, "momentum 1.0"),
        ({"learning_rate": 0.1, "epochs": 0}, "epochs 0"),
        ({"learning_rate": 0.1, "clip": 0.0}, "clip 0.0"),
        ({"learning_rate": 0.1, "clip": float("nan")}, "clip nan"),
        ({"learning_rate": 0.1, "momentum": 0.5, "optimizer": "adam"}, "momentum with Adam"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_when_the_method_is_made(
    settings: dict[str, Any], message: str
) -> None:
    for make in (GradientDescent, LayerCausalGradientDescent):
        with pytest.raises(UserError, match=message):
            make(**settings)


def test_there_must_be_something_to_train_on(random_model: MakeModel) -> None:
    with (
        pytest.raises(ValueError, match="no sequences"),
        fine_tuned(random_model("llama"), [], GradientDescent(learning_rate=0.01)),
    ):
        pass


@pytest.mark.parametrize("kind", sorted(ARCHITECTURES))
def test_every_architecture_learns_by_both_methods(
    kind: str, random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    for method in (GradientDescent(learning_rate=0.01), LayerCausalGradientDescent(learning_rate=0.01)):
        with fine_tuned(random_model(kind), random_sequences(9, 7), method) as tuned:
            assert (tuned.gradient_norms > 0).all() and tuned.losses.isfinite().all()


def test_a_residual_stream_that_is_not_known_is_not_guessed(
    random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    method = LayerCausalGradientDescent(learning_rate=0.01, readout="attention_residual")
    for model in (random_model("bart"), random_model("opt", do_layer_norm_before=False)):
        with pytest.raises(UserError, match="attention_residual"), fine_tuned(model, random_sequences(9), method):
            pass
