"""Facts about similarities of attention outputs and attention rows."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from demograd import metrics, statistics

from .conftest import Make

E = torch.eye(8)


def outputs(*vectors: Tensor) -> Tensor:
    """Attention outputs of one layer, with one query per vector."""
    return torch.stack(vectors)[:, None]


def one_row(*logits: float) -> list[Tensor]:
    """An attention row of one query, one layer, one head."""
    return [torch.tensor(logits, dtype=torch.float32)[None, None]]


def per_layer(scores: Tensor) -> list[float]:
    return [layer.value for layer in statistics.per_layer(scores)]


def test_orthogonal_updates_score_a_quarter_under_normalisation_and_zero_without(observation: Make) -> None:
    z, r, r_prime = 2 * E[0], 2 * 3**0.5 * E[1], 2 * 3**0.5 * E[2]
    zsl, icl, ft = (observation(outputs=outputs(h), queries=1) for h in (z, z + r, z + r_prime))
    assert metrics.sim_aou_norm(zsl, icl, ft).item() == pytest.approx(0.25, abs=1e-6)
    assert metrics.sim_aou(zsl, icl, ft).item() == pytest.approx(0, abs=1e-6)


def test_sim_aou_by_hand(observation: Make) -> None:
    zsl = observation(outputs=outputs(E[0]))
    icl = observation(outputs=outputs(E[0] + 3 * E[1] + 4 * E[2]))
    ft = observation(outputs=outputs(E[0] + 2 * E[1]))
    assert metrics.sim_aou(zsl, icl, ft).item() == pytest.approx(0.6)
    assert metrics.update_size_ratio(zsl, icl, ft).item() == pytest.approx(0.4)
    assert metrics.relative_update_size(zsl, icl).item() == pytest.approx(5)


def test_sim_aou_norm_by_hand(observation: Make) -> None:
    """h = e0, e1, e0 + e1: updates e1 − e0 and (1/√2 − 1, 1/√2); cos = 1 / (√2 √(2 − √2))."""
    zsl, icl, ft = (observation(outputs=outputs(h)) for h in (5 * E[0], 7 * E[1], 3 * (E[0] + E[1])))
    assert metrics.sim_aou_norm(zsl, icl, ft).item() == pytest.approx(1 / (2**0.5 * (2 - 2**0.5) ** 0.5))


def test_a_change_common_to_all_queries_is_gone_once_the_mean_is_removed(observation: Make) -> None:
    """Updates 10 e0 ± e1 and 10 e0 ± (e1 + e2): nearly parallel, because of what they share; then cos = 1/√2."""
    zsl = observation(outputs=outputs(E[7], E[7]))
    icl = observation(outputs=outputs(E[7] + 10 * E[0] + E[1], E[7] + 10 * E[0] - E[1]))
    ft = observation(outputs=outputs(E[7] + 10 * E[0] + E[1] + E[2], E[7] + 10 * E[0] - E[1] - E[2]))
    assert (metrics.sim_aou(zsl, icl, ft) > 0.98).all()
    assert metrics.sim_aou_mean_removed(zsl, icl, ft).flatten().tolist() == pytest.approx([0.5**0.5] * 2)


def test_the_mean_that_is_removed_is_one_of_queries_that_count(observation: Make) -> None:
    """A third query that FT does not change leaves the scores of the other two alone, and is missing itself."""
    icl = [E[7] + 10 * E[0] + E[1], E[7] + 10 * E[0] - E[1], E[7] + 30 * E[3]]
    ft = [E[7] + 10 * E[0] + E[1] + E[2], E[7] + 10 * E[0] - E[1] - E[2], E[7]]
    zsl = [E[7]] * 3
    settings = [observation(outputs=outputs(*h)) for h in (zsl, icl, ft)]
    first, second, third = metrics.sim_aou_mean_removed(*settings).flatten().tolist()
    assert (first, second) == pytest.approx((0.5**0.5, 0.5**0.5))
    assert np.isnan(third)
    assert metrics.sim_aou_norm_mean_removed(*settings).isnan().flatten().tolist() == [False, False, True]


def test_nothing_is_left_of_a_single_query_without_its_mean(observation: Make) -> None:
    settings = [observation(queries=1, seed=seed) for seed in range(3)]
    assert metrics.sim_aou_mean_removed(*settings).isnan().all()
    assert metrics.sim_aou_norm_mean_removed(*settings).isnan().all()
    assert metrics.random_sim_aou_mean_removed(*settings, seed=0).isnan().all()


def test_only_the_uncentred_random_update_resembles_a_change_of_the_mean(observation: Make) -> None:
    """Against a constant update, uniform r scores ½ / √(1/3) = 0.866 in the limit, centred r nothing."""
    zsl = observation(outputs=torch.zeros(50, 1, 400) + 1e-3)
    icl = observation(outputs=torch.ones(50, 1, 400))
    uniform = metrics.random_sim_aou(zsl, icl, seed=1)
    assert uniform.mean().item() == pytest.approx(3**0.5 / 2, abs=0.01)
    assert metrics.random_sim_aou_centred(zsl, icl, seed=1).mean().item() == pytest.approx(0, abs=0.03)
    assert not torch.equal(uniform, metrics.random_sim_aou(zsl, icl, seed=2))
    assert torch.equal(uniform, metrics.random_sim_aou(zsl, icl, seed=1))


def test_a_large_zero_shot_output_swamps_the_random_update_minus_it(observation: Make) -> None:
    zsl = observation(outputs=outputs(1e4 * E[0]))
    icl = observation(outputs=outputs(1e4 * E[0] - 3 * E[0] + 4 * E[1]))
    assert metrics.random_sim_aou_minus_zsl(zsl, icl, seed=0).item() == pytest.approx(0.6, abs=1e-3)


def test_sim_am_by_hand(observation: Make) -> None:
    zsl, icl, ft = (observation(rows=one_row(*r)) for r in ((1, 1, 0), (4, 5, 0), (3, 1, 0)))
    assert metrics.sim_am(zsl, icl, ft).item() == pytest.approx(17 / 410**0.5)
    assert metrics.sim_am_delta(zsl, icl, ft).item() == pytest.approx(0.6)  # (3, 4, 0) and (2, 0, 0)
    # (1, 2, −3) and (5, −1, −4) over 3; then (2, 5, −7) and (4, −2, −2) over 3
    assert metrics.sim_am_centred(zsl, icl, ft).item() == pytest.approx(15 / (14 * 42) ** 0.5)
    assert metrics.sim_am_delta_centred(zsl, icl, ft).item() == pytest.approx(12 / (78 * 24) ** 0.5)


def test_a_constant_added_to_a_row_changes_sim_am_but_not_its_centred_forms(observation: Make) -> None:
    zsl, icl, ft = (observation(seed=seed) for seed in range(3))
    shifted = dataclasses.replace(ft, attention_logits=[row + 5 for row in ft.attention_logits])
    for plain in (metrics.sim_am, metrics.sim_am_delta):
        assert ((plain(zsl, icl, ft) - plain(zsl, icl, shifted)).abs() > 1e-2).float().mean() > 0.9
    for centred in (metrics.sim_am_centred, metrics.sim_am_delta_centred):
        torch.testing.assert_close(centred(zsl, icl, ft), centred(zsl, icl, shifted), atol=1e-5, rtol=0)


def test_heads_and_queries_of_different_lengths_are_not_mixed(observation: Make) -> None:
    zsl, icl, ft = (observation(seed=seed) for seed in range(3))
    scores = metrics.sim_am_delta(zsl, icl, ft)
    assert scores.shape == (4, 2, 3)
    u = icl.attention_logits[2][1, 2] - zsl.attention_logits[2][1, 2]
    v = ft.attention_logits[2][1, 2] - zsl.attention_logits[2][1, 2]
    assert scores[2, 1, 2].item() == pytest.approx((u @ v / (u.norm() * v.norm())).item(), abs=1e-6)


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-5), ("bfloat16", 2**-5), ("float16", 2**-8)])
def test_an_update_below_resolution_is_missing_and_counted(observation: Make, dtype: str, bound: float) -> None:
    size = torch.tensor([0.9, 1.1]) * bound
    zsl = observation(outputs=outputs(E[0], E[0]), dtype=dtype)
    small = observation(outputs=outputs(E[0] + size[0] * E[1], E[0] + size[1] * E[1]), dtype=dtype)
    large = observation(outputs=outputs(E[0] + E[1], E[0] + E[1]), dtype=dtype)
    for icl, ft in ((small, large), (large, small)):
        score = statistics.aggregate(metrics.sim_aou(zsl, icl, ft))
        assert (score.value, score.n, score.n_missing) == (pytest.approx(1, abs=1e-3), 1, 1)
        assert metrics.sim_aou_norm(zsl, icl, ft).isnan().flatten().tolist() == [True, False]
    assert metrics.update_size_ratio(zsl, small, large).isnan().flatten().tolist() == [True, False]
    assert metrics.update_size_ratio(zsl, large, small)[0].item() == pytest.approx(0.9 * bound, rel=1e-2)
    assert metrics.random_sim_aou(zsl, small, seed=0).isnan().flatten().tolist() == [True, False]


def test_what_centring_leaves_of_a_row_must_be_above_the_resolution_of_the_row(observation: Make) -> None:
    """A sum of 100 and 1e-4 is exact to 4e-6 in float32: the small part is noise, though all that centring leaves."""
    rows = [one_row(100, 100 + d, 100) for d in (0, 1e-4, 2e-4)]
    zsl, icl, ft = (observation(rows=row) for row in rows)
    assert metrics.sim_am(zsl, icl, ft).item() == pytest.approx(1)
    assert metrics.sim_am_centred(zsl, icl, ft).isnan().all()
    rows = [one_row(1000, 1000, 1000), one_row(1004, 1004.0003, 1004), one_row(1009, 1009, 1009.0003)]
    shifted = [observation(rows=row) for row in rows]
    assert metrics.sim_am_delta(*shifted).item() == pytest.approx(1)
    assert metrics.sim_am_delta_centred(*shifted).isnan().all()


def test_a_row_of_one_token_has_a_sign_and_nothing_to_centre(observation: Make) -> None:
    zsl, icl, ft = (observation(rows=one_row(x)) for x in (1.0, 3.0, 0.5))
    assert metrics.sim_am_delta(zsl, icl, ft).item() == -1
    assert metrics.sim_am_centred(zsl, icl, ft).isnan().all()
    assert metrics.sim_am_delta_centred(zsl, icl, ft).isnan().all()


def test_a_zero_vector_has_no_direction(observation: Make) -> None:
    zero, unit = observation(outputs=outputs(0 * E[0])), observation(outputs=outputs(E[0]))
    assert metrics.sim_aou(zero, unit, unit).item() == 1
    assert metrics.sim_aou(zero, zero, unit).isnan().all()
    assert metrics.sim_aou_norm(zero, unit, unit).isnan().all()
    assert metrics.relative_update_size(zero, unit).isnan().all()


def test_infinite_values_are_refused_with_the_name_of_the_setting(observation: Make) -> None:
    good = observation()
    bad = dataclasses.replace(
        good,
        attention_output=good.attention_output * float("inf"),
        attention_logits=[*good.attention_logits[:-1], good.attention_logits[-1] * float("nan")],
        label_log_probs=good.label_log_probs * float("inf"),
    )
    with pytest.raises(ValueError, match=r"ICL: attention_output"):
        metrics.sim_aou(good, bad, good)
    with pytest.raises(ValueError, match=r"FT: attention_logits"):
        metrics.sim_am(good, good, bad)
    with pytest.raises(ValueError, match=r"label_log_probs"):
        metrics.auc(bad)


def test_observations_of_different_queries_are_refused_with_what_differs(observation: Make) -> None:
    zsl = observation()
    longer = dataclasses.replace(zsl, attention_logits=[torch.zeros(2, 3, 9), *zsl.attention_logits[1:]])
    for other, message in (
        (observation(queries=5), "ZSL and FT differ in the number of queries: 4 against 5"),
        (observation(gold=[0, 1, 1, 1]), r"query 2: \(0, \(2, 3, 5\)\) against \(1, \(2, 3, 5\)\)"),
        (longer, r"query 0: \(0, \(2, 3, 3\)\) against \(0, \(2, 3, 9\)\)"),
        (observation(dtype="bfloat16"), "dtype: float32 against bfloat16"),
    ):
        for metric in (metrics.sim_aou, metrics.sim_am, metrics.random_sim_aou, metrics.selected):
            with pytest.raises(ValueError, match=message):
                metric(zsl, zsl, other)
    with pytest.raises(ValueError, match="int4"):
        metrics.sim_aou(*[observation(dtype="int4")] * 3)


def test_a_specificity_is_missing_where_either_score_is() -> None:
    same, control = torch.tensor([[0.5], [0.2], [torch.nan]]), torch.tensor([[0.1], [torch.nan], [0.3]])
    first, *rest = metrics.specificity(same, control).flatten().tolist()
    assert first == pytest.approx(0.4)
    assert np.isnan(rest).all()


def test_layers_are_compared_with_each_other_by_hand(observation: Make) -> None:
    """ICL moves layer 0 along e0 and layer 1 along e1; FT moves layer 0 along e1 and layer 1 along 3 e0 + 4 e1."""
    zsl = observation(outputs=torch.stack([E[7], E[7]])[None])
    icl = observation(outputs=torch.stack([E[7] + E[0], E[7] + 2 * E[1]])[None])
    ft = observation(outputs=torch.stack([E[7] + E[1], E[7] + 3 * E[0] + 4 * E[1]])[None])
    scores = metrics.layer_by_layer_sim_aou(zsl, icl, ft)
    assert scores.flatten().tolist() == pytest.approx([0, 0.6, 1, 0.8])
    torch.testing.assert_close(scores.diagonal(dim1=1, dim2=2), metrics.sim_aou(zsl, icl, ft))


def test_a_layer_that_icl_does_not_change_is_compared_with_no_layer_of_ft(observation: Make) -> None:
    zsl, ft = observation(seed=0), observation(seed=1)
    icl = dataclasses.replace(observation(seed=2))
    icl.attention_output[0, 1] = zsl.attention_output[0, 1]
    missing = metrics.layer_by_layer_sim_aou(zsl, icl, ft).isnan()
    assert missing[0].tolist() == [[False, False], [True, True]]
    assert missing.sum() == 2


def test_alpha_by_hand(observation: Make) -> None:
    """GD moves the row by (3, 4, 0), LCGD by (0, 4, −3): cos = 16/25."""
    zsl, gd, lcgd = (observation(rows=one_row(*r)) for r in ((1, 1, 0), (4, 5, 0), (1, 5, -3)))
    assert metrics.alpha(zsl, gd, lcgd).item() == pytest.approx(0.64)
    still = observation(rows=one_row(1, 1, 0))
    assert metrics.alpha(zsl, gd, still).isnan().all()


OTHERS = ("attention_to_demonstrations", "implicit_update")


def test_every_metric_of_observations_returns_what_the_table_says(observation: Make) -> None:
    shapes = {"head": (4, 2, 3), "layer": (4, 2), "layer pair": (4, 2, 2), "query": (4,)}
    random = torch.Generator().manual_seed(0)
    observations = [
        dataclasses.replace(
            observation(seed=seed), next_token_log_probs=torch.randn(4, 30, generator=random).log_softmax(-1)
        )
        for seed in range(3)
    ]
    lacking = [observation(seed=seed) for seed in range(3)]
    for name, metric in metrics.METRICS.items():
        if metric.per == "model" or metric.group in OTHERS:  # which have tests of their own
            continue
        arguments = [observations] if metric.arguments == ("orders",) else observations[: len(metric.arguments)]
        result = metric.function(*arguments)
        assert result.shape == shapes[metric.per] if metric.per in shapes else isinstance(result, float), name
        present = torch.as_tensor(result)[~torch.as_tensor(result).isnan()]
        assert ((metric.bounds[0] <= present) & (present <= metric.bounds[1])).all(), name
        if metric.extras:
            with pytest.raises(ValueError, match="holds no next-token distribution"):
                metric.function(*([lacking] if arguments == [observations] else lacking[: len(metric.arguments)]))
