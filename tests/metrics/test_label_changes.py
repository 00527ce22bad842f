"""SimLabels, against cosines worked out by hand."""

import math

import pytest
import torch
from tests.metrics.conftest import Make
from torch import Tensor

from demograd.metrics import METRICS, sim_labels, sim_labels_mean_removed


def log_probs(*rows: list[float]) -> Tensor:
    return torch.tensor(rows)


def test_it_is_the_cosine_of_changes_less_their_mean(observation: Make) -> None:
    """ICL changes by (3, 0, 0), so (2, −1, −1); FT by (1, 1, 4), so (−1, −1, 2): −3 of √6 √6. What all labels share is
    no change."""
    zsl = observation(log_probs=log_probs([-4.0, -5.0, -6.0]))
    icl = observation(log_probs=log_probs([-1.0, -5.0, -6.0]))
    ft = observation(log_probs=log_probs([-3.0, -4.0, -2.0]))
    assert float(sim_labels(zsl, icl, ft)) == pytest.approx(-0.5)
    assert float(sim_labels(zsl, icl, observation(log_probs=log_probs([5.0, -5.0, -6.0])))) == pytest.approx(1)
    assert float(sim_labels(zsl, icl, observation(log_probs=log_probs([5.0, -2.0, -3.0])))) == pytest.approx(1)
    opposite = observation(log_probs=log_probs([-6.0, -5.0, -6.0]))
    assert float(sim_labels(zsl, icl, opposite)) == pytest.approx(-1)


def test_of_two_label_words_a_cosine_is_a_sign_and_is_missing(observation: Make) -> None:
    zsl = observation(log_probs=log_probs([-1.0, -2.0], [-1.0, -2.0], [-3.0, -1.0]))
    icl = observation(log_probs=log_probs([-1.0, -3.0], [-2.0, -2.0], [-1.0, -1.0]))
    ft = observation(log_probs=log_probs([-1.0, -9.0], [-1.0, -2.1], [-3.0, -1.4]))
    for name, score in (("sim_labels", sim_labels), ("sim_labels_mean_removed", sim_labels_mean_removed)):
        assert score(zsl, icl, ft).isnan().tolist() == [True] * 3
        assert METRICS[name].why_undefined(2) == "with 2 label words a cosine is a sign"
        assert METRICS[name].why_undefined(3) == "" and METRICS["sim_aou"].why_undefined(1) == ""


def test_where_nothing_changes_there_is_no_direction(observation: Make) -> None:
    """Nor where what changes is the same for all label words, or is no number."""
    zsl = observation(log_probs=log_probs(*[[-1.0, -2.0, -3.0]] * 5))
    icl = observation(log_probs=log_probs([-1.0, -3.0, -3.0], [-1.0, -2.0, -3.0], *[[-1.0, -3.0, -3.0]] * 3))
    ft_rows = [-1.0, -2.0, -3.0], [-1.0, -3.0, -3.0], [-2.0, -3.0, -4.0], [math.nan, -3.0, -3.0], [-1.0, -4.0, -3.0]
    similarity = sim_labels(zsl, icl, observation(log_probs=log_probs(*ft_rows)))
    assert similarity[:4].isnan().all() and similarity[4] == pytest.approx(1)


def test_a_bias_towards_a_label_is_no_similarity_where_means_are_removed(observation: Make) -> None:
    """FT raises the same label for both queries alike, whatever ICL does; with its own part added, that part counts."""
    zsl = observation(log_probs=log_probs(*[[-1.0, -1.0, -1.0]] * 3))
    icl = observation(log_probs=log_probs([0.0, -1.0, -1.0], [-1.0, -3.0, -3.0], [2.0, -1.0, -1.0]))
    bias = observation(log_probs=log_probs(*[[4.0, -1.0, -1.0]] * 3))
    assert sim_labels(zsl, icl, bias).tolist() == pytest.approx([1, 1, 1])
    assert sim_labels_mean_removed(zsl, icl, bias).isnan().all()
    # changes of the first against the others: ICL 1, 2, 3, so −1, 0, 1; FT 6, 5, 4, so 1, 0, −1
    against = observation(log_probs=log_probs([5.0, -1.0, -1.0], [4.0, -1.0, -1.0], [3.0, -1.0, -1.0]))
    assert sim_labels(zsl, icl, against).tolist() == pytest.approx([1, 1, 1])
    mean_removed = sim_labels_mean_removed(zsl, icl, against)
    assert mean_removed[[0, 2]].tolist() == pytest.approx([-1, -1]) and mean_removed[1].isnan()


def test_a_query_without_a_change_is_not_in_the_mean(observation: Make) -> None:
    """Its change is zero; in the mean it would turn the others' similarity."""
    zsl = observation(log_probs=log_probs(*[[-1.0, -1.0, -1.0]] * 3))
    icl = observation(log_probs=log_probs([0.0, -1.0, -1.0], [2.0, -1.0, -1.0], [-1.0, -1.0, -1.0]))
    ft = observation(log_probs=log_probs([3.0, -1.0, -1.0], [1.0, -1.0, -1.0], [9.0, -1.0, -1.0]))
    mean_removed = sim_labels_mean_removed(zsl, icl, ft)
    assert mean_removed[:2].tolist() == pytest.approx([-1, -1]) and mean_removed[2].isnan()
