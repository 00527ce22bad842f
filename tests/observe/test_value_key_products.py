"""Weight matrices that attention over some tokens amounts to."""

import math

import pytest
import torch

from demograd.observe.extras import last_token_weights, value_key_products, weighted_value_key_products


def test_products_by_hand() -> None:
    """(1, 2) ⊗ (3, 4) + (1, 0) ⊗ (0, 5)."""
    value, key = torch.tensor([[[1.0, 2], [1, 0]]]), torch.tensor([[[3.0, 4], [0, 5]]])
    assert value_key_products(value, key).tolist() == [[[3, 9], [6, 8]]]


def test_weights_are_averaged_over_the_heads_that_share_a_key() -> None:
    """Two key heads, two query heads each: the first pair weighs the tokens ½ and ¼ on average, the second 0 and 1."""
    value, key = torch.tensor([[[1.0, 2], [1, 0]]] * 2), torch.tensor([[[3.0, 4], [0, 5]]] * 2)
    weights = torch.tensor([[[0.75, 0.25], [0.25, 0.25], [0, 1], [0, 1]]])
    products = weighted_value_key_products(weights, value, key)
    assert products.tolist() == [[[[1.5, 3.25], [3, 4]], [[0, 5], [0, 0]]]]


def test_weights_of_the_last_token_by_hand() -> None:
    """Behind it is padding; with a window of two it sees itself and the token before it."""
    logits = torch.tensor([1.0, 2, 3, 100]).log()[None, None]
    last = torch.tensor([2])
    assert last_token_weights(logits, last, torch.tensor([0])).flatten().tolist() == pytest.approx(
        [1 / 6, 2 / 6, 3 / 6, 0]
    )
    assert last_token_weights(logits, last, torch.tensor([1])).flatten().tolist() == pytest.approx([0, 2 / 5, 3 / 5, 0])
    sink = torch.tensor([4.0]).log()  # as a key of weight 4 without a value
    assert last_token_weights(logits, last, torch.tensor([0]), sink).flatten().tolist() == pytest.approx(
        [0.1, 0.2, 0.3, 0]
    )


def test_the_weighted_products_are_the_response_of_softmax_attention_to_its_query_but_for_centring() -> None:
    """∂o/∂q = s (Σ a v kᵀ − o (Σ a k)ᵀ)."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(size, generator=generator) for size in ((4,), (7, 4), (7, 5)))
    scaling = 1 / math.sqrt(4)

    def head_output(query: torch.Tensor) -> torch.Tensor:
        return (key @ query * scaling).softmax(-1) @ value

    weights = last_token_weights((key @ query * scaling)[None, None], torch.tensor([6]), torch.tensor([0]))
    products = weighted_value_key_products(weights, value[None], key[None])[0, 0]
    centring = torch.outer(head_output(query), weights[0, 0] @ key)
    jacobian = torch.autograd.functional.jacobian(head_output, query)
    torch.testing.assert_close(scaling * (products - centring), jacobian)
    assert centring.norm() < products.norm()
