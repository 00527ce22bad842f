"""Facts about the update that the dual form of linear attention reads off keys and values."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from demograd import metrics, statistics
from demograd.learn import GradientDescent, fine_tuned
from demograd.models import Model
from demograd.observe import Observation, observe
from demograd.tasks.prompts import Prompts, TrainingSequence

from .conftest import Make

W_ZSL = torch.tensor([[1.0, 2], [3, 4]])


def single(matrix: Tensor) -> Tensor:
    """The matrix as one query, one layer, one key-value head."""
    return matrix[None, None, None]


@pytest.fixture
def blank(observation: Make) -> Observation:
    """An observation of one query and one layer."""
    return observation(queries=1, outputs=torch.ones(1, 1, 8))


def with_heads(blank: Observation, heads: int) -> Observation:
    return dataclasses.replace(blank, attention_logits=[torch.ones(1, heads, 3)])


def test_implicit_update_by_hand(blank: Observation) -> None:
    """ΔW_ICL is 7 in one corner; FT adds 3 there and 4 elsewhere: cos = 3/5."""
    zsl = dataclasses.replace(blank, value_key_products=single(W_ZSL), weighted_value_key_products=single(W_ZSL))
    changed = single(W_ZSL + torch.tensor([[3.0, 0], [4, 0]]))
    ft = dataclasses.replace(zsl, value_key_products=changed, weighted_value_key_products=changed)
    corner = torch.tensor([[7.0, 0], [0, 0]])
    icl = dataclasses.replace(
        blank, context_value_key_products=corner[None, None], weighted_context_value_key_products=single(corner)
    )
    assert metrics.implicit_update(zsl, icl, ft).item() == pytest.approx(0.6)
    assert metrics.implicit_update_weighted(zsl, icl, ft).item() == pytest.approx(0.6)


def test_weighted_and_plain_products_are_not_mixed_up(blank: Observation) -> None:
    zsl = dataclasses.replace(blank, value_key_products=single(W_ZSL), weighted_value_key_products=single(-W_ZSL))
    ft = dataclasses.replace(zsl, value_key_products=single(2 * W_ZSL), weighted_value_key_products=single(2 * W_ZSL))
    plain, weighted = torch.tensor([[1.0, 0], [0, 0]]), torch.tensor([[0.0, 0], [0, 1]])
    icl = dataclasses.replace(
        blank, context_value_key_products=plain[None, None], weighted_context_value_key_products=single(weighted)
    )
    assert metrics.implicit_update(zsl, icl, ft).item() == pytest.approx(1 / 30**0.5)
    assert metrics.implicit_update_weighted(zsl, icl, ft).item() == pytest.approx(4 / 30**0.5)


def test_where_ft_changes_no_key_and_no_value_there_is_no_update_to_compare(blank: Observation) -> None:
    zsl = dataclasses.replace(blank, value_key_products=single(W_ZSL), context_value_key_products=W_ZSL[None, None])
    ft = dataclasses.replace(zsl, value_key_products=single(W_ZSL * (1 + 1e-7)))
    assert metrics.implicit_update(zsl, zsl, ft).isnan().all()


def test_validity_by_hand(blank: Observation) -> None:
    """ΔW (1, 1) = (1, 2) beside a change of (2, 1), and ΔW (1, 0) = (1, 0) beside (3, 4): cos = 4/5 and 3/5."""
    blank = with_heads(blank, 2)
    zsl = dataclasses.replace(blank, head_outputs=torch.tensor([[[[1.0, 1], [1, 1]]]]))
    icl = dataclasses.replace(
        blank,
        head_outputs=torch.tensor([[[[3.0, 2], [4, 5]]]]),
        rotated_query_vectors=torch.tensor([[[1.0, 1, 1, 0]]]),
        context_value_key_products=torch.tensor([[[[1.0, 0], [0, 2]]]]),
    )
    assert metrics.implicit_update_validity(zsl, icl, None).flatten().tolist() == pytest.approx([0.8, 0.6])
    assert statistics.aggregate(metrics.implicit_update_validity(zsl, icl, None)).value == pytest.approx(0.7)


def test_query_heads_meet_the_matrix_of_the_key_head_that_they_share(blank: Observation) -> None:
    """Four query heads share two key heads, whose matrices are orthogonal on q = (1, 0)."""
    turn = torch.tensor([[0.0, -1], [1, 0]])
    blank = with_heads(blank, 4)
    zsl = dataclasses.replace(blank, head_outputs=torch.ones(1, 1, 4, 2))
    icl = dataclasses.replace(
        blank,
        head_outputs=torch.ones(1, 1, 4, 2) + torch.tensor([1.0, 0]),
        rotated_query_vectors=torch.tensor([1.0, 0]).repeat(4)[None, None],
        context_value_key_products=torch.stack([torch.eye(2), turn])[None],
    )
    assert metrics.implicit_update_validity(zsl, icl, None).flatten().tolist() == pytest.approx([1, 1, 0, 0])


def test_the_mean_validity_is_that_of_demonstration_sets() -> None:
    sets = [torch.full((2, 2, 2), 0.4), torch.tensor([0.5, torch.nan]).reshape(1, 2, 1)]
    means = [statistics.aggregate(validity).value for validity in sets]
    assert statistics.over_seeds(means).mean == pytest.approx(0.45)
    missing = statistics.aggregate(torch.full((1, 1, 1), torch.nan)).value
    assert np.isnan(statistics.over_seeds([missing]).mean)


def linear_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return (key @ query) @ value


def test_for_linear_attention_the_dual_form_is_exact_and_for_softmax_it_is_not(blank: Observation) -> None:
    blank = with_heads(blank, 1)
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(size, generator=generator) for size in ((16,), (40, 16), (40, 16)))

    def softmax_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return (key @ query / 4).softmax(-1) @ value

    scores = []
    for attend in (linear_attention, softmax_attention):
        zsl = dataclasses.replace(blank, head_outputs=single(attend(query, key[30:], value[30:])))
        icl = dataclasses.replace(
            blank,
            head_outputs=single(attend(query, key, value)),
            rotated_query_vectors=query[None, None],
            context_value_key_products=(value[:30].T @ key[:30])[None, None],
        )
        scores.append(metrics.implicit_update_validity(zsl, icl, None).item())
    linear, softmax = scores
    assert linear == pytest.approx(1)
    assert abs(softmax) < 0.9


def test_what_was_not_recorded_is_named(blank: Observation) -> None:
    with pytest.raises(ValueError, match="ZSL was observed without value_key_products"):
        metrics.implicit_update(blank, blank, blank)
    with pytest.raises(ValueError, match="ZSL was observed without head_outputs"):
        metrics.implicit_update_validity(blank, blank, None)


def test_gradient_descent_has_an_implicit_update_on_a_network(random_model: Callable[..., Model]) -> None:
    model = random_model("qwen3")
    context = [0, 4, 9, 5, 1, 6, 11, 5, 1]
    icl_prompts = Prompts(context, [[7, 8, 9], [4, 12]], [[5], [6]], [0, 1], demonstration_spans=[(1, 4), (5, 8)])
    prompts = Prompts([0], icl_prompts.queries, [[5], [6]], [0, 1], query_position=len(context))
    mask = [False, True, True, True]
    sequences = [TrainingSequence([0, *context[start : start + 3]], mask) for start in (1, 5)]
    of_query = ("value_key_products", "weighted_value_key_products", "head_outputs")
    of_icl = (
        "context_value_key_products",
        "weighted_context_value_key_products",
        "head_outputs",
        "rotated_query_vectors",
    )
    zsl, icl = observe(model, prompts, extras=of_query), observe(model, icl_prompts, extras=of_icl)
    with fine_tuned(model, sequences, GradientDescent(learning_rate=0.1)) as tuned:
        ft = observe(tuned, prompts, extras=of_query)
    for score in (metrics.implicit_update(zsl, icl, ft), metrics.implicit_update_weighted(zsl, icl, ft)):
        assert score.shape == (2, 3, 2)
        assert (score.abs() < 1).all()
        assert score.unique().numel() == 12
    validity = metrics.implicit_update_validity(zsl, icl, ft)
    assert validity.shape == (2, 3, 4)
    assert (validity.abs() < 1).all()
