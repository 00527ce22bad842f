"""Networks over several devices. No machine here has two: what is tried is all but the devices themselves."""

from collections.abc import Callable

import pytest
import torch
from accelerate import dispatch_model

from demograd.errors import UserError
from demograd.learn import LayerCausalGradientDescent, fine_tuned
from demograd.models import Model, load_model
from demograd.models.placement import check_device, device_map, where_it_fits
from demograd.observe import observe
from demograd.self_check import check_model
from demograd.tasks import Prompts, TrainingSequence

MakeModel = Callable[..., Model]
PROMPTS = Prompts([0, 5, 6, 7, 8], [[9, 10, 11], [12, 13]], [[4], [5, 6]], [0, 1])


def dispatched(model: Model) -> Model:
    """With accelerate's hooks on every module, as it spreads a network, but all on the CPU."""
    network, blocks = model.network, {id(block) for block in model.anatomy.blocks}
    whole = [name for name, module in network.named_modules() if id(module) in blocks]
    rest = [
        name
        for name, module in network.named_modules()
        if list(module.parameters(recurse=False)) and not name.startswith(tuple(f"{block}." for block in whole))
    ]
    places = dict.fromkeys([*whole, *rest], "cpu")
    assert dispatch_model(network, places, force_hooks=True) is network
    assert all(hasattr(attention, "_hf_hook") for attention in model.anatomy.attentions)
    return model


@pytest.mark.parametrize("kind", ["gemma2", "xglm", "gptj", "bloom"])
def test_a_network_with_accelerates_hooks_is_observed_and_trained_as_without(
    kind: str, random_model: MakeModel
) -> None:
    plain, hooked = random_model(kind), dispatched(random_model(kind))
    assert [check for check in check_model(hooked) if not check.passed] == []
    method = LayerCausalGradientDescent(learning_rate=0.01, readout="attention_residual")
    sequences = [TrainingSequence([0, 5, 6, 7], [False, True, True, True])]
    forwards = [attention.forward for attention in hooked.anatomy.attentions]
    observed = []
    for model in (plain, hooked):
        with fine_tuned(model, sequences, method) as tuned:
            observed.append(observe(tuned, PROMPTS))
    assert torch.equal(observed[0].attention_output, observed[1].attention_output)
    assert torch.equal(observed[0].label_log_probs, observed[1].label_log_probs)
    assert [attention.forward for attention in hooked.anatomy.attentions] == forwards, "the hooks stay"


def test_blocks_are_spread_whole_and_evenly(random_model: MakeModel) -> None:
    network = random_model("llama", num_hidden_layers=4).network
    size = sum(tensor.nbytes for tensor in network.state_dict().values())
    places = device_map(network, {0: size // 2 + 20000, 1: size, "cpu": size})
    blocks = [places[f"model.layers.{block}"] for block in range(4)]
    assert blocks == sorted(blocks)
    assert set(blocks) == {0, 1}
    assert places["lm_head"] == 1


def test_a_network_that_the_cuda_devices_cannot_hold_is_refused(random_model: MakeModel) -> None:
    network = random_model("llama").network
    with pytest.raises(UserError, match=r"does not fit the memory of all CUDA devices.*bfloat16"):
        device_map(network, {0: 60000, 1: 60000, "cpu": 10**9})


@pytest.mark.parametrize(
    ("free", "size", "place"),
    [([], 40, "cpu"), ([100], 90, "cuda"), ([100, 100], 50, "cuda"), ([100, 100], 51, "balanced")],
)
def test_auto_takes_one_cuda_device_if_the_network_fills_no_more_than_half_of_it(
    free: list[int], size: int, place: str
) -> None:
    assert where_it_fits(size, free) == place


def test_balanced_needs_several_cuda_devices() -> None:
    if torch.cuda.device_count() > 1:
        pytest.skip("here are several")
    with pytest.raises(UserError, match=r"'balanced' needs several CUDA devices; here are \d"):
        load_model("no/such/model", device="balanced")


@pytest.mark.parametrize("name", ["meta", "nonsense", "cuda:99"])
def test_a_device_that_cannot_compute_here_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"'{name}' cannot be used here"):
        check_device(name)
