"""How widely untrained weights are drawn, and who says so."""

import json
from collections.abc import Callable
from math import sqrt
from pathlib import Path

import pytest
import torch
from tests.models.test_bos import byte_tokenizer

from demograd import load_model
from demograd.errors import UserError
from demograd.models import BUILT_IN, Model
from demograd.models.load import load_config
from demograd.models.untrained import set_initialisation, untrained
from demograd.study.language_model.keys import network_fingerprint
from demograd.words import Weights

MakeModel = Callable[..., Model]


@pytest.fixture
def folder(random_model: MakeModel, tmp_path: Path) -> str:
    """A small network whose configuration says 0.05."""
    tokenizer = byte_tokenizer(eos_token="<|im_end|>")
    network = random_model("llama", vocab_size=len(tokenizer), initializer_range=0.05, bos_token_id=None).network
    network.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return str(tmp_path)


def spread(model: Model) -> float:
    """Standard deviation of the embedding: 17,000 weights, so within two per cent of what draws them."""
    return float(model.network.get_input_embeddings().weight.std())


def test_a_twin_is_drawn_as_its_configuration_says_or_as_is_asked_for(folder: str) -> None:
    own = load_model(folder, weights="no_training")
    assert spread(own) == pytest.approx(0.05, rel=0.05)
    assert own.notes == ("untrained weights are drawn with initializer_range 0.05, as its configuration says",)
    requested = load_model(folder, weights="no_training", initializer_range=0.5)
    assert spread(requested) == pytest.approx(0.5, rel=0.05)
    assert "0.5, as asked for" in requested.initialisation
    assert load_model(folder).notes == (), "of a trained network it is no matter"


def test_cells_of_twins_that_are_drawn_otherwise_have_other_names(folder: str) -> None:
    states = {
        (weights, deviation): network_fingerprint(load_model(folder, weights=weights, initializer_range=deviation))
        for weights in ("trained", "no_training")
        for deviation in (None, 0.05, 0.5)
    }
    assert states["trained", None] == states["no_training", None] == states["trained", 0.05]
    assert states["trained", 0.5] == states["no_training", 0.5] != states["trained", None]


def test_a_configuration_that_does_not_say_it_is_noted(folder: str) -> None:
    file = Path(folder) / "config.json"
    settings = json.loads(file.read_text())
    file.write_text(json.dumps({name: value for name, value in settings.items() if name != "initializer_range"}))
    twin = load_model(folder, weights="norms_only")
    assert spread(twin) == pytest.approx(0.02, rel=0.05)
    (note,) = twin.notes
    assert "0.02, the default of transformers: its configuration does not say it" in note


def test_a_gguf_file_does_not_say_it(random_model: MakeModel) -> None:
    config = random_model("llama").network.config
    assert "a GGUF file does not say it" in set_initialisation(config, {}, None, None, "model.gguf")


@pytest.mark.parametrize("kind", ["xglm", "opt"])
def test_architectures_that_call_it_otherwise(kind: str, random_model: MakeModel) -> None:
    network = random_model(kind).network
    sentence = set_initialisation(network.config, {"init_std": 0.02}, 0.3, None, kind)
    assert "init_std 0.3" in sentence
    assert network.config.init_std == 0.3


@pytest.mark.parametrize("deviation", [0.0, -0.02, float("nan"), float("inf")])
def test_what_is_no_standard_deviation_is_refused(deviation: float, folder: str) -> None:
    with pytest.raises(UserError, match="a standard deviation above zero"):
        load_model(folder, initializer_range=deviation)


def test_the_built_in_models_carry_theirs() -> None:
    """HuggingFaceTB/SmolLM2-135M and google/gemma-3-270m, config.json."""
    assert BUILT_IN["smollm2-135m"].initializer_range == 0.041666666666666664
    assert BUILT_IN["gemma3-270m"].initializer_range == 0.02


def test_fairseq_draws_an_xglm_by_the_shapes_of_its_matrices(random_model: MakeModel) -> None:
    """Deviation and largest value of each: a uniform draw within ±b has a deviation of b/√3, and reaches b."""
    size, inner = 96, 384
    trained = random_model("xglm", d_model=size, ffn_dim=inner, pad_token_id=1).network
    twin = untrained(trained, Weights.NO_TRAINING, seed=0, drawn_as="fairseq")
    xavier = sqrt(6 / (2 * size))
    reach = {
        **dict.fromkeys(("q_proj.weight", "k_proj.weight", "v_proj.weight"), xavier / sqrt(2)),
        "out_proj.weight": xavier,
        **dict.fromkeys(("fc1.weight", "fc1.bias"), 1 / sqrt(size)),
        **dict.fromkeys(("q_proj.bias", "k_proj.bias", "v_proj.bias"), 1 / sqrt(size)),
        **dict.fromkeys(("fc2.weight", "fc2.bias"), 1 / sqrt(inner)),
    }
    for name, drawn_parameter in twin.named_parameters():
        parameter = drawn_parameter.detach()
        bound = next((bound for ending, bound in reach.items() if name.endswith(f".{ending}")), None)
        if bound is not None:
            assert 0.93 * bound < parameter.abs().max() <= bound, name
            assert parameter.std() == pytest.approx(bound / sqrt(3), rel=0.15), name
        elif name.endswith("embed_tokens.weight"):
            assert not parameter[1].any(), "the padding token's"
            assert parameter[2:].std() == pytest.approx(size**-0.5, rel=0.05)
            assert parameter.abs().max() > 2.5 * size**-0.5, "normal, not uniform"
        else:
            neutral = float("norm.weight" in name)
            assert (parameter == neutral).all(), name
    with_embeddings = untrained(trained, Weights.TRAINED_EMBEDDINGS, seed=0, drawn_as="fairseq")
    assert torch.equal(with_embeddings.get_input_embeddings().weight, trained.get_input_embeddings().weight)
    assert twin.get_output_embeddings().weight is twin.get_input_embeddings().weight
    other = untrained(trained, Weights.NO_TRAINING, seed=0)
    assert not torch.equal(other.model.layers[0].fc1.weight, twin.model.layers[0].fc1.weight)


def test_only_what_fairseq_has_is_drawn_as_fairseq_draws_it(folder: str) -> None:
    with pytest.raises(UserError, match="whose architecture is llama"):
        load_model(folder, weights="no_training", drawn_as="fairseq")
    with pytest.raises(UserError, match="one of the two"):
        load_model(folder, weights="no_training", drawn_as="fairseq", initializer_range=0.1)


@pytest.mark.slow
def test_the_default_models_twin_is_drawn_as_the_original_was() -> None:
    """Also from a folder that an earlier version dequantised, whose configuration says 0.02."""
    twin = load_model("smollm2-135m", weights="no_training", device="cpu")
    assert load_config("smollm2-135m").initializer_range == 0.02, "what the file says by itself"
    assert spread(twin) == pytest.approx(1 / 24, rel=0.01)
    assert any("as the configuration of the original says" in note for note in twin.notes)
