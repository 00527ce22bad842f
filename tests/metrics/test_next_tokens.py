"""Facts about next-token distributions: their overlap between settings, and their sensitivity to the order."""

import dataclasses
from math import sqrt

import numpy as np
import pytest
import torch
from torch import Tensor

from demograd import metrics, statistics
from demograd.observe.observation import Observation

from .conftest import Make


def predicting(make: Make, *probabilities: list[float]) -> Observation:
    """Observations of one query per distribution."""
    log_probs = torch.tensor(probabilities).log()
    return dataclasses.replace(make(queries=len(probabilities)), next_token_log_probs=log_probs)


def test_overlap_by_hand(observation: Make) -> None:
    """Top 2: {0, 1} and {1, 2} share token 1, with probabilities 0.3 and 0.5: 0.15 / √(0.09 · 0.25 + 1)."""
    a = predicting(observation, [0.5, 0.3, 0.15, 0.05])
    b = predicting(observation, [0.1, 0.5, 0.3, 0.1])
    assert metrics.token_overlap(a, b, top=2).item() == pytest.approx(0.5)
    assert metrics.overlap_cosine_similarity(a, b, top=2).item() == pytest.approx(0.15 / sqrt(0.09 * 0.25 + 1))


def test_with_all_tokens_common_the_overlap_is_a_cosine(observation: Make) -> None:
    p, q = [0.5, 0.3, 0.2], [0.2, 0.2, 0.6]
    a, b = predicting(observation, p), predicting(observation, q)
    assert metrics.token_overlap(a, b, top=3).item() == 1
    cos = np.dot(p, q) / np.linalg.norm(p) / np.linalg.norm(q)
    assert metrics.overlap_cosine_similarity(a, b, top=3).item() == pytest.approx(cos)


def test_nothing_in_common_scores_zero(observation: Make) -> None:
    a = predicting(observation, [0.4, 0.4, 0.1, 0.1], [0.4, 0.3, 0.2, 0.1])
    b = predicting(observation, [0.1, 0.1, 0.4, 0.4], [0.4, 0.3, 0.2, 0.1])
    assert metrics.token_overlap(a, b, top=2).tolist() == [0, 1]
    assert metrics.overlap_cosine_similarity(a, b, top=2).tolist() == [0, pytest.approx(1)]


def test_tied_tokens_count_by_their_ids(observation: Make) -> None:
    """Three tokens tie for the second place of two: token 1 takes it."""
    a = predicting(observation, [0.2, 0.2, 0.4, 0.2])
    b = predicting(observation, [0.45, 0.05, 0.4, 0.1])
    assert metrics.token_overlap(a, b, top=2).item() == 1
    assert metrics.token_overlap(a, predicting(observation, [0.05, 0.1, 0.4, 0.45]), top=2).item() == 0.5


def test_more_top_tokens_than_there_are_is_refused(observation: Make) -> None:
    a = predicting(observation, [0.5, 0.5])
    with pytest.raises(ValueError, match="10 most probable of 2"):
        metrics.token_overlap(a, a)


def test_order_sensitivity_by_hand(observation: Make) -> None:
    """Probabilities of two tokens are 0.2 and 0.4 under two orders, deviation 0.1 · √2; that of a third is constant."""
    orders = [
        predicting(observation, [0.2, 0.6, 0.2], [0.5, 0.3, 0.2]),
        predicting(observation, [0.4, 0.4, 0.2], [0.5, 0.3, 0.2]),
    ]
    sensitivity = metrics.order_sensitivity(orders).tolist()
    assert sensitivity == pytest.approx([2 * 0.1 * sqrt(2) / 3, 0])
    assert sensitivity[1] == 0  # exactly


def random_orders(make: Make, n: int) -> list[Observation]:
    random = torch.Generator().manual_seed(0)
    log_probs = [torch.randn(4, 50, generator=random).log_softmax(-1) for _ in range(n)]
    return [dataclasses.replace(make(), next_token_log_probs=distribution) for distribution in log_probs]


def test_orders_one_at_a_time_give_the_deviation_of_all(observation: Make) -> None:
    orders = random_orders(observation, 10)
    probabilities = np.stack([order.next_token_log_probs.double().exp().numpy() for order in orders])
    spread = metrics.OrderSensitivity()
    for order in orders:
        spread.add(order)
    assert spread.n == 10
    assert spread.value().numpy() == pytest.approx(probabilities.std(axis=0, ddof=1).mean(axis=-1), rel=1e-6)


def test_one_order_has_no_sensitivity_and_none_is_a_mistake(observation: Make) -> None:
    assert metrics.order_sensitivity(random_orders(observation, 1)).isnan().all()
    with pytest.raises(ValueError, match="there is none"):
        metrics.order_sensitivity([])


def test_orders_of_other_queries_are_refused(observation: Make) -> None:
    orders = [*random_orders(observation, 1), predicting(observation, [0.5, 0.5])]
    with pytest.raises(ValueError, match="the first order and order 2 differ in the number of queries"):
        metrics.order_sensitivity(orders)


def test_the_noise_ceiling_is_what_the_common_part_scores(observation: Make) -> None:
    """Two ICL updates share a direction and differ by as much: r = ½; FT that is the common part scores √½."""
    e = torch.eye(4)
    h: list[Tensor] = [e[0], e[0] + e[1] + e[2], e[0] + e[1] + e[3], e[0] + e[1]]
    zsl, icl, reordered, ft = (observation(outputs=x[None, None]) for x in h)
    r = metrics.sim_aou(zsl, icl, reordered)
    assert r.item() == pytest.approx(0.5)
    assert metrics.noise_ceiling(r).item() == pytest.approx(metrics.sim_aou(zsl, icl, ft).item())


def test_the_noise_ceiling_is_taken_value_by_value_and_what_has_none_is_counted() -> None:
    """√0.04 and √0.64 average 0.5, while √ of their mean is 0.58; −0.3 has no root, and is missing like NaN."""
    ceilings = metrics.noise_ceiling(torch.tensor([[0.04, 0.64], [-0.3, torch.nan]]))
    whole = statistics.aggregate(ceilings)
    assert whole.value == pytest.approx(0.5) and (whole.n, whole.n_missing) == (2, 2)
    assert metrics.noise_ceiling(torch.zeros(1)).item() == 0
