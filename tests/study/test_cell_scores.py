"""The row of a matrix that one fine-tuning gives."""

from math import inf, nan

import torch

from demograd.study.language_model.cell_scores import over_heads


def test_only_heads_count_that_icl_on_every_set_has() -> None:
    """Three sets, one query, one layer, two heads; the second head, which is more alike, is missing with one set."""
    scores = torch.tensor([[0.1, 0.9], [0.2, nan], [0.3, 0.8]]).reshape(3, 1, 1, 2)
    torch.testing.assert_close(over_heads(scores).flatten(), torch.tensor([0.1, 0.2, 0.3]))
    complete = scores.nan_to_num(0.7)
    torch.testing.assert_close(over_heads(complete).flatten(), torch.tensor([0.5, 0.45, 0.55]))


def test_a_head_that_diverged_is_no_missing_one() -> None:
    scores = torch.tensor([[inf, 0.9], [nan, 0.5]]).reshape(2, 1, 1, 2)
    assert over_heads(scores).flatten().tolist() == [inf, 0.5]


def test_scores_without_heads_or_layers_are_as_they_are() -> None:
    assert over_heads(torch.ones(2, 3)).shape == (2, 3, 1)
    with_layers = torch.tensor([[[0.1, nan]], [[0.2, 0.3]]])
    torch.testing.assert_close(over_heads(with_layers), with_layers, equal_nan=True)
