"""A model on a device is what it is on the CPU. Where there is no CUDA device, only the tests themselves are tried."""

from pathlib import Path

import pytest
import torch
from tests.conftest import as_model, random_network
from tests.observe.one_by_one import EVERYTHING, differences, one_by_one

from demograd.learn import GradientDescent, LayerCausalGradientDescent, Method, fine_tuned
from demograd.models import load_model, load_tokenizer
from demograd.observe import observe
from demograd.tasks.prompts import Prompts, TrainingSequence

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
EACH_DTYPE = pytest.mark.parametrize("dtype", DTYPES)
# grouped queries, windows and capped logits, fused projections, attention replaced, ALiBi
EACH_KIND = pytest.mark.parametrize("kind", ["llama", "gemma2", "gpt2", "xglm", "falcon alibi"])
EACH_METHOD = pytest.mark.parametrize(
    "method", [GradientDescent(learning_rate=0.01), LayerCausalGradientDescent(learning_rate=0.01)], ids=["GD", "LCGD"]
)
# Of the largest value: the order of sums in float32; three layers of values with 8 bits
TOLERANCES = {"float32": 1e-4, "bfloat16": 0.1}

PROMPTS = Prompts(
    [0, *range(3, 16)],
    [[20, 31, 7, 52, 9, 60], [8, 90, 33], [71, 6, 44, 80, 12, 3, 19, 28, 5], [40, 41]],
    [[5], [6, 7, 8], [9, 10]],
    [0, 1, 2, 0],
    demonstration_spans=[(1, 7), (8, 13)],
)
SEQUENCES = [
    TrainingSequence([0, *range(3, 10)], [False] + [True] * 7),
    TrainingSequence([0, 50, 9, 31], [False] + [True] * 3),
]


@pytest.fixture(
    params=[
        "cpu",
        pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here")),
    ]
)
def device(request: pytest.FixtureRequest) -> str:
    return request.param


@EACH_DTYPE
def test_a_model_is_loaded_onto_the_device(device: str, dtype: str, tmp_path: Path) -> None:
    tokenizer, _ = load_tokenizer("smollm2-135m")
    random_network("llama", vocab_size=len(tokenizer)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = load_model(str(tmp_path), device=device, dtype=dtype)
    for parameter in model.network.parameters():
        assert (parameter.device.type, parameter.dtype) == (device, DTYPES[dtype])
    observed = observe(model, PROMPTS)
    assert (observed.attention_output.device.type, observed.attention_output.dtype) == ("cpu", torch.float32)
    assert observed.dtype == dtype
    assert observed.attention_output.isfinite().all()


@EACH_DTYPE
@EACH_KIND
def test_packed_on_the_device_equals_one_by_one_in_float32_on_the_cpu(device: str, dtype: str, kind: str) -> None:
    network = random_network(kind, dtype=DTYPES[dtype])
    observed = observe(as_model(network.to(device), dtype), PROMPTS, extras=EVERYTHING, pack_tokens=12)
    reference = one_by_one(as_model(random_network(kind, dtype=DTYPES[dtype]).float()), PROMPTS)
    assert observed.notes == ()
    differing = differences(observed, reference)
    assert max(differing.values()) < TOLERANCES[dtype], differing


@EACH_METHOD
@EACH_DTYPE
@EACH_KIND
def test_fine_tuning_on_the_device_is_that_on_the_cpu_and_every_bit_comes_back(
    device: str, dtype: str, kind: str, method: Method
) -> None:
    on_cpu = as_model(random_network(kind, dtype=DTYPES[dtype]).float())
    model = as_model(random_network(kind, dtype=DTYPES[dtype]).to(device), dtype)
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    with fine_tuned(model, SEQUENCES, method) as tuned, fine_tuned(on_cpu, SEQUENCES, method) as reference:
        torch.testing.assert_close(tuned.losses, reference.losses, rtol=TOLERANCES[dtype], atol=0)
        changed = [name for name, tensor in model.network.state_dict().items() if not torch.equal(tensor, before[name])]
        assert len(changed) >= len(model.anatomy.blocks), "every layer learned"
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor.view(torch.uint8), before[name].view(torch.uint8)), name
