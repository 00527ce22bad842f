"""Predictions do not depend on the order of the label words, in 16 bit or where two words have one row."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from demograd import metrics
from demograd.models import Model
from demograd.observe import Observation, observe
from demograd.tasks import Prompts

MakeModel = Callable[..., Model]
WORDS = (11, 12, 13)


def prompts(order: tuple[int, ...], queries: int = 40) -> Prompts:
    """Queries of random tokens; the words as classes in this order, gold being word 12 for even queries, else 11."""
    generator = torch.Generator().manual_seed(0)
    texts = torch.randint(20, 90, (queries, 6), generator=generator).tolist()
    gold = [order.index(12 if query % 2 == 0 else 11) for query in range(queries)]
    return Prompts([0, 30, 31], texts, [[word] for word in order], gold)


def near_model(random_model: MakeModel, kind: str, distance: float, dtype: torch.dtype) -> Model:
    """Words 11 and 12 have rows so alike that 16 bit cannot tell their logits apart, or equal ones."""
    model = random_model(kind, dtype=torch.float32)
    weight = model.network.get_output_embeddings().weight
    apart = distance * torch.randn(weight.shape[1], generator=torch.Generator().manual_seed(1))
    weight[11] *= 1 if kind == "gemma2" else 8  # whose soft cap of 3 makes all large logits one
    weight[12] = weight[11] + apart
    weight[13] = -weight[11]
    model.network.to(dtype)
    return replace(model, dtype=str(dtype).removeprefix("torch."))


def predicted(observation: Observation, order: tuple[int, ...]) -> list[int]:
    return [order[label] for label in observation.predictions.tolist()]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("kind", ["llama", "gemma2", "granite"])
def test_16_bit_tells_words_apart_whose_logits_it_rounds_to_one(
    kind: str, dtype: torch.dtype, random_model: MakeModel
) -> None:
    model = near_model(random_model, kind, 0.02, dtype)
    observations = [(order, observe(model, prompts(order))) for order in ((11, 12), (12, 11))]
    assert not any(observation.tied.any() for _, observation in observations)
    assert predicted(observations[0][1], observations[0][0]) == predicted(observations[1][1], observations[1][0])
    assert torch.equal(observations[0][1].label_log_probs, observations[1][1].label_log_probs.flip(-1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_words_of_one_row_tie_exactly_and_no_order_decides(dtype: torch.dtype, random_model: MakeModel) -> None:
    model = near_model(random_model, "llama", 0.0, dtype)
    orders = ((11, 12, 13), (12, 13, 11), (13, 12, 11))
    observed = {order: observe(model, prompts(order)) for order in orders}
    first = observed[orders[0]]
    both = first.label_log_probs[:, 0] > first.label_log_probs[:, 2]  # 11 and 12 together, or 13
    assert 0 < both.sum() < len(both)
    for order, observation in observed.items():
        assert torch.equal(observation.tied, both)
        assert predicted(observation, order) == [11 if tie else 13 for tie in both.tolist()]
        assert metrics.accuracy(observation) == pytest.approx(both.double().mean().item() / 2)
        assert metrics.macro_f1(observation) == pytest.approx(metrics.macro_f1(first))
        assert not metrics.correct(observation).any(), "none is right for sure"


def test_what_decides_a_tie_is_kept_with_an_observation(random_model: MakeModel, tmp_path: Path) -> None:
    observation = observe(near_model(random_model, "llama", 0.0, torch.float32), prompts((12, 13, 11)))
    observation.save(tmp_path / "kept.safetensors")
    again = Observation.load(tmp_path / "kept.safetensors", extras=())
    assert torch.equal(again.predictions, observation.predictions)
    assert again.tie_order is not None and again.tie_order.tolist() == [2, 0, 1]


@pytest.mark.parametrize("kind", ["llama", "gemma2", "cohere", "granite", "opt"])
def test_scores_in_float32_are_the_networks_own_logits(kind: str, random_model: MakeModel) -> None:
    """With what the architecture does to them, whichever way they are computed."""
    anatomy = random_model(kind).anatomy
    normed = torch.randn(5, anatomy.unembedding.weight.shape[1], generator=torch.Generator().manual_seed(2))
    logits, tokens = anatomy.unembed(normed), torch.tensor([3, 96, 0, 11, 3])
    torch.testing.assert_close(anatomy.exact_logits(normed), logits)
    torch.testing.assert_close(anatomy.exact_logits_of(normed, tokens), logits.gather(1, tokens[:, None])[:, 0])
