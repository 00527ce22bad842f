"""Training moves the chosen subset of the parameters, in every architecture; all else stays bit for bit."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from tests.learn.fine_tunings import MakeModel, MakeSequences
from torch import Tensor

from demograd.errors import UserError
from demograd.learn import GradientDescent, LayerCausalGradientDescent, ParameterSubset, fine_tuned
from demograd.learn.parameters import drawn_entries
from demograd.models import ARCHITECTURES, Model
from demograd.tasks.prompts import TrainingSequence

Find = Callable[[Any], dict[str, Tensor]]
BOTH = pytest.mark.parametrize("make", [GradientDescent, LayerCausalGradientDescent])


@pytest.mark.parametrize(
    ("layers", "depth", "expected"),
    [
        ("all", 7, [0, 1, 2, 3, 4, 5, 6]),
        ("shallow", 7, [0, 1]),
        ("middle", 7, [2, 3, 4]),
        ("deep", 7, [5, 6]),
        ("middle", 8, [2, 3, 4, 5]),
        ("deep", 9, [6, 7, 8]),
        (0, 7, [0]),
        (-1, 7, [6]),
        ((2, 4), 7, [2, 3, 4]),
        ((-3, -2), 7, [4, 5]),
        ((5, -1), 7, [5, 6]),
    ],
)
def test_thirds_numbers_and_ranges_of_layers(layers: Any, depth: int, expected: list[int]) -> None:
    assert list(ParameterSubset(layers=layers).numbers(depth)) == expected


@BOTH
@pytest.mark.parametrize(
    ("subset", "message"),
    [
        (ParameterSubset(layers=3), r"layers 3 of a network with 3\. Expected: numbers from 0 to 2"),
        (ParameterSubset(layers=-4), "layers -4"),
        (ParameterSubset(layers=(0, 3)), r"layers \(0, 3\)"),
        (ParameterSubset(layers=(2, 1)), "the first before the last"),
        (ParameterSubset(fraction=0.0), "fraction 0.0"),
        (ParameterSubset(fraction=1.1), "fraction 1.1"),
        (ParameterSubset(fraction=float("nan")), "fraction nan"),
    ],
)
def test_a_subset_that_the_network_has_not_is_refused(
    make: Any, subset: ParameterSubset, message: str, random_model: MakeModel
) -> None:
    with pytest.raises(UserError, match=message):
        make(learning_rate=0.01, parameters=subset).check(random_model("llama").anatomy)


def test_two_layers_have_no_thirds() -> None:
    with pytest.raises(UserError, match="deep layers of 2"):
        ParameterSubset(layers="deep").check(2)


def moved_by(model: Model, sequences: list[TrainingSequence], method: Any) -> dict[str, Tensor]:
    """The entries that training changed, as a mask per parameter."""
    before = {name: parameter.clone() for name, parameter in model.network.named_parameters()}
    with fine_tuned(model, sequences, method) as tuned:
        moved = {
            name: parameter.view(torch.int32) != before[name].view(torch.int32)
            for name, parameter in tuned.network.named_parameters()
        }
    for name, parameter in model.network.named_parameters():
        assert torch.equal(parameter.view(torch.uint8), before[name].view(torch.uint8)), f"{name} was not put back"
    return moved


def value_only(mask: Tensor, name: str) -> Tensor:
    """The value entries among the key and value entries of `conftest.keys_and_values`."""
    values = mask.clone()
    if ".k_proj." in name:
        values[...] = False
    elif ".c_attn." in name:
        values[..., :128] = False
    elif ".qkv_proj." in name:
        values[:96] = False
    elif ".query_key_value." in name:
        values.view(4, 3, 16, -1)[:, 1] = False
    return values


@BOTH
@pytest.mark.parametrize("kind", ["llama", "phi3", "gpt2", "gpt_neox", "xglm"])
def test_values_of_one_layer_are_all_that_moves(
    kind: str, make: Any, random_model: MakeModel, random_sequences: MakeSequences, keys_and_values: Find
) -> None:
    model = random_model(kind)
    subset = ParameterSubset(which="value", layers=1)
    moved = moved_by(model, random_sequences(12, 9), make(learning_rate=0.05, parameters=subset))
    masks = keys_and_values(model.network)
    for name, changed in moved.items():
        allowed = value_only(masks[name], name) if name in masks and ".1." in name else torch.zeros_like(changed)
        assert not changed[~allowed].any(), name
        if allowed.any():
            assert changed[allowed].float().mean() > 0.9, name


@BOTH
def test_layers_that_are_not_trained_have_no_gradient_norm(
    make: Any, random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    method = make(learning_rate=0.01, parameters=ParameterSubset(layers=(1, 2)))
    with fine_tuned(random_model("llama", num_hidden_layers=4), random_sequences(12, 9), method) as tuned:
        trained = tuned.gradient_norms.isfinite()
        assert trained.all(dim=1).tolist() == [False, True, True, False]
        assert tuned.gradient_norms[[0, 3]].isnan().all()


def test_lcgd_learns_the_same_in_its_first_step_whichever_other_layers_learn(
    random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    """Each layer is a problem of its own; in GD, too, the first gradient does not depend on which layers will move."""
    model, sequences = random_model("llama"), random_sequences(12)
    for make in (GradientDescent, LayerCausalGradientDescent):
        norms = []
        for subset in (ParameterSubset(), ParameterSubset(layers=1)):
            with fine_tuned(model, sequences, make(learning_rate=0.0, parameters=subset)) as tuned:
                norms.append(tuned.gradient_norms[1, 0].item())
        assert norms[0] == pytest.approx(norms[1], rel=1e-5)


@pytest.mark.parametrize("kind", sorted(ARCHITECTURES))
def test_all_means_the_network_in_gd_and_the_blocks_in_lcgd(
    kind: str, random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    model = random_model(kind)
    in_blocks = {id(parameter) for block in model.anatomy.blocks for parameter in block.parameters()}
    by_name = dict(model.network.named_parameters())
    # BART's blocks have an attention to an encoder, which a decoder alone does not use
    used = {name for name in by_name if "encoder_attn" not in name}
    of_blocks = {name for name in used if id(by_name[name]) in in_blocks}
    assert 0 < len(of_blocks) < len(used)
    for make, layers, expected in (
        (GradientDescent, "all", used),
        (LayerCausalGradientDescent, "all", of_blocks),
        (GradientDescent, (0, 2), of_blocks),
    ):
        subset = ParameterSubset(which="all", layers=layers)
        moved = moved_by(model, random_sequences(12, 9), make(learning_rate=0.05, parameters=subset))
        names = {name for name, changed in moved.items() if changed.any()}
        assert names <= expected
        # without rotary positions a key's bias adds the same to all logits, which the softmax ignores
        assert all(name.endswith("k_proj.bias") for name in expected - names)


@BOTH
@pytest.mark.parametrize("kind", ["llama", "phi3", "gpt2", "gpt_neox"])
def test_a_fraction_is_the_same_share_of_entries_in_every_step(
    kind: str, make: Any, random_model: MakeModel, random_sequences: MakeSequences, keys_and_values: Find
) -> None:
    model, sequences = random_model(kind), random_sequences(12, 9, 11)
    masks = keys_and_values(model.network)

    def moved(seed: int = 0, **settings: Any) -> dict[str, Tensor]:
        subset = ParameterSubset(fraction=0.2, seed=seed, **settings)
        return moved_by(model, sequences, make(learning_rate=0.05, parameters=subset))

    first = moved()
    shares = [
        changed[masks[name]].float().mean().item()
        for name, changed in first.items()
        if name in masks and changed.dim() > 1
    ]
    assert all(0.15 < share < 0.25 for share in shares), "of every matrix"
    assert not any(changed[~masks.get(name, torch.zeros_like(changed))].any() for name, changed in first.items())
    # a part of the parameters is trained at the very same entries as it is among all
    of_one_layer = moved(which="value", layers=1)
    entries = sum(changed.sum().item() for changed in of_one_layer.values())
    assert 0 < entries < sum(changed.sum().item() for changed in first.values()) / 3
    assert all((first[name] | ~changed).float().mean() > 0.999 for name, changed in of_one_layer.items())
    assert any(not torch.equal(changed, first[name]) for name, changed in moved(seed=1).items())


def test_a_drawn_share_depends_on_seed_and_name_alone() -> None:
    entries = drawn_entries("0.key.weight", 100_000, 0.1, seed=0)
    assert entries.float().mean().item() == pytest.approx(0.1, abs=0.003)  # three standard deviations
    assert torch.equal(entries, drawn_entries("0.key.weight", 100_000, 0.1, seed=0))
    for other in (drawn_entries("1.key.weight", 100_000, 0.1, 0), drawn_entries("0.key.weight", 100_000, 0.1, 1)):
        assert (entries & other).float().mean().item() == pytest.approx(0.01, abs=0.001), "independent"


def test_a_plain_mapping_becomes_a_method() -> None:
    """A study file has names and lists, no objects; a misspelt name is an error."""
    make = TypeAdapter(GradientDescent).validate_python
    subset = {"which": "value", "layers": [1, -1], "fraction": 0.5}
    assert make({"learning_rate": 0.1, "parameters": subset, "clip": 1}) == GradientDescent(
        learning_rate=0.1, parameters=ParameterSubset(which="value", layers=(1, -1), fraction=0.5), clip=1.0
    )
    for wrong in ({"parameters": {"layers": "upper"}}, {"parameters": {"layer": 1}}, {"paramters": {}}):
        with pytest.raises(ValidationError):
            make({"learning_rate": 0.1, **wrong})


def test_a_label_names_what_is_not_the_default() -> None:
    gd, lcgd = GradientDescent, LayerCausalGradientDescent
    labels = {
        gd(learning_rate=0.1).label: "GD",
        gd(
            learning_rate=0.1, step="token", momentum=0.9, epochs=3
        ).label: "GD, momentum 0.9, 3 epochs, one step per token",
        gd(learning_rate=0.1, step="batch", clip=1.5, linearised=True).label: "GD, clip 1.5, linearised, full batch",
        gd(
            learning_rate=0.1, optimizer="adam", parameters=ParameterSubset("value", "deep")
        ).label: "GD, value projections only, deep layers only, Adam",
        gd(
            learning_rate=0.1, parameters=ParameterSubset("all", -2, 0.05, 3)
        ).label: "GD, all parameters, layer -2 only, a random 5 % of the entries, seed 3",
        lcgd(learning_rate=0.1).label: "LCGD",
        lcgd(
            learning_rate=0.1, readout="attention", step="token", softmax_gradient=False
        ).label: "LCGD, reads the attention output, one step per token, no softmax derivative",
        lcgd(learning_rate=0.1, parameters=ParameterSubset(layers=(1, 3))).label: "LCGD, layers 1 to 3 only",
    }
    for label, expected in labels.items():
        assert label == expected
