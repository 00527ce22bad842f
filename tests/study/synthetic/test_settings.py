"""The meaning of a synthetic study's settings, and the errors in them."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pydantic import ValidationError
from tests.study.synthetic.small import REGRESSION, SYSTEM, study

from demograd import UserError, read_study
from demograd.statistics import SEEDS_TO_DECIDE
from demograd.study import SyntheticStudy, preset_names
from demograd.study.synthetic.constructions import as_layers
from demograd.study.synthetic.questions.losses import families_of
from demograd.study.synthetic.questions.order import constructions
from demograd.study.synthetic.references import ReferenceSpec, references_of, tune, tuned
from demograd.study.synthetic.spec import Network


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"wrlds": {}}, ["wrlds", "Did you mean worlds"]),
        ({"worlds": {"a": {"kind": "quadratic", "dimension": 2}}}, ["worlds.a", "quadratic", "linear"]),
        ({"worlds": {"a": {"dimension": 2, "spectrum": [1]}}}, ["worlds.a", "spectrum of 1"]),
        ({"worlds": {"a": {"dimension": 2, "nois": 1}}}, ["worlds.a", "'nois'", "Did you mean noise"]),
        ({"networks": {"a": {"attention": "cubic"}}}, ["networks.a.attention", "'cubic'", "softmax"]),
        ({"networks": {}}, ["networks", "at least 1"]),
        ({"references": ["kernel regression"]}, ["kernel regression", "anisotropic"]),
        ({"references": ["GD++"]}, ["mixes", "GD"]),
        ({"laws": ["laplace"]}, ["laws", "linear regression", "from ReLU"]),
        ({"worlds": {"a": {"dimension": 2}}, "distractors": [6]}, ["6 distractors among 5 examples"]),
        ({"worlds": SYSTEM["worlds"]}, ["linear system", "scales"]),
        ({"seeds": [1, 1]}, ["each value once"]),
        ({"seeds": [2**32]}, ["seeds = 4294967296", "less than 4294967296"]),
        ({"test_seed": 2**64}, ["test_seed", "less than 4294967296"]),
        ({"worlds": {"a": {"dimension": 2, "rotation": 2**64}}}, ["worlds.a.rotation", "less than 4294967296"]),
        ({"orders": 10_001}, ["orders = 10001", "less than or equal to 10000"]),
        ({"networks": {"a": {"features": 4}}}, ["features", "sine worlds"]),
        ({"networks": {"a": {"descent": True}}}, ["networks.a", "descent is one head of linear attention on features"]),
        ({"networks": {"a": {"positions": 4}}}, ["networks.a", "needs two layers"]),
        ({"training": {"learning_rate": -1}}, ["training.learning_rate", "greater than 0"]),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        study(tmp_path, REGRESSION, **changes)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_saved_study_is_the_same_study(tmp_path: Path) -> None:
    networks = {"linear": {"training": {"learning_rate": 0.001}}}
    first = study(tmp_path, REGRESSION, networks=networks, mixes=[])
    again = SyntheticStudy(**yaml.safe_load(yaml.safe_dump(first.model_dump(mode="json"))))
    assert again == first
    assert again.training_of("linear").steps == 30 and again.training_of("linear").learning_rate == 0.001


def test_layers_that_share_their_weights_are_held_against_steps_that_are_all_the_same(tmp_path: Path) -> None:
    networks = {"free": {"layers": 2}, "tied": {"layers": 2, "shared": True}, "one": {"shared": True}}
    kinds = ["GD", "GD, rate per step", "GD++", "functional GD", "Bayes"]
    small = study(tmp_path, REGRESSION, networks=networks, references=kinds)
    suited = {
        name: {reference.label for reference in references_of(small) if reference.suits(network)}
        for name, network in small.networks.items()
    }
    assert suited == {
        "free": {
            "GD, 2 steps",
            "GD, rate per step, 2 steps",
            "GD++, 2 steps",
            "functional GD (linear), 2 steps",
            "Bayes",
        },
        "tied": {"GD, 2 steps", "GD++ (shared), 2 steps", "Bayes"},
        "one": {"GD, 1 step", "GD, rate per step, 1 step", "GD++, 1 step", "functional GD (linear), 1 step", "Bayes"},
    }


def test_a_shared_reference_takes_the_same_step_every_time(tmp_path: Path) -> None:
    small = study(tmp_path, REGRESSION, networks={"tied": {"layers": 2, "shared": True}}, references=["GD", "GD++"])
    world = small.world("anisotropic")
    tied, free = (tune(small, world, ReferenceSpec("GD++", 2, shared=shared)) for shared in (True, False))
    assert torch.equal(tied["preconditioners"][0], tied["preconditioners"][1])
    assert not torch.allclose(free["preconditioners"][0], free["preconditioners"][1], rtol=0.01)


@pytest.mark.parametrize(
    "label",
    [
        "GD, 1 step",
        "preconditioned GD++, 2 steps",
        "functional GD (relu), 1 step",
        "functional GD, bandwidth (softmax), 2 steps",
    ],
)
def test_a_reference_as_layers_predicts_what_it_predicts_itself(tmp_path: Path, label: str) -> None:
    networks = {**REGRESSION["networks"], "softmax": {"attention": "softmax", "layers": 2}}
    references = ["GD", "preconditioned GD++", "functional GD", "functional GD, bandwidth"]
    small = study(tmp_path, REGRESSION, networks=networks, references=references)
    world = small.world("anisotropic")
    problems = world.draw(5, small.context, torch.Generator().manual_seed(0), dtype=torch.float64)
    [reference] = [candidate for candidate in references_of(small) if candidate.label == label]
    tuned_reference = tuned(world, reference, tune(small, world, reference))
    assert ("bandwidth" in label) == (tuned_reference.tensors.get("bandwidth", 1.0) != 1.0)
    layers = as_layers(tuned_reference, world)
    assert layers is not None
    both = constructions(layers, reference.attention or "linear", small.context).values()
    plain, causal = (learner(problems) for learner in both)
    torch.testing.assert_close(plain, tuned_reference.learner(problems))
    # the query comes last: a causal mask hides nothing from it, but from the examples before a second layer
    assert torch.allclose(plain, causal) == (len(layers) == 1)


def test_least_squares_is_no_layers(tmp_path: Path) -> None:
    world = study(tmp_path, REGRESSION).world("anisotropic")
    assert as_layers(tuned(world, ReferenceSpec("least squares"), {}), world) is None


def test_a_run_folder_of_an_older_version_holds_the_same_study() -> None:
    settings = read_study("vonoswald2023").model_dump()
    assert SyntheticStudy(**settings, language_model=None) == read_study("vonoswald2023")
    with pytest.raises(ValidationError, match="language_model"):
        SyntheticStudy(**settings, language_model={"k": 4})


def test_every_synthetic_preset_is_a_study() -> None:
    studies = [read_study(name) for name in preset_names()]
    assert {study.name for study in studies if isinstance(study, SyntheticStudy)} == {
        "vonoswald2023",
        "vonoswald2023-layers",
        "vonoswald2023-elsewhere",
        "vonoswald2023-copying",
        "vonoswald2023-sine",
        "vonoswald2023-recurrence",
        "vonoswald2023-softmax",
        "ahn2023",
        "ahn2023-context",
        "ahn2023-layers",
        "akyurek2023",
        "cheng2024",
        "cheng2024-context",
        "cheng2024-layers",
        "vonoswald2023b-autoregressive",
        "shen2023-bridge-transformers",
    }


def test_networks_that_differ_only_in_their_training_are_two_curves_over_layers() -> None:
    plain, slow = {"layers": 2}, {"layers": 2, "training": {"learning_rate": 0.001}}
    deep = {"layers": 3, "training": {"learning_rate": 0.003}}
    networks = {name: Network(**settings) for name, settings in {"one": {}, "two": plain, "three": deep}.items()}
    assert families_of(networks, networks) == {"linear attention": {1: "one", 2: "two", 3: "three"}}
    networks |= {"two, slowly": Network(**slow)}
    assert families_of(networks, networks) == {
        "linear attention, initial scale 0.5": {1: "one", 2: "two"},
        "linear attention, initial scale 0.5, learning rate 0.003": {3: "three"},
        "linear attention, initial scale 0.5, learning rate 0.001": {2: "two, slowly"},
    }


def test_every_synthetic_preset_has_the_seeds_that_a_claim_needs() -> None:
    studies = [preset for preset in map(read_study, preset_names()) if isinstance(preset, SyntheticStudy)]
    assert studies and all(len(study.seeds) >= SEEDS_TO_DECIDE for study in studies)
