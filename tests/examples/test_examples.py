"""Facts about the papers that their examples show, on a small random model and real data."""

from pathlib import Path

import pytest

from examples import dai2023, deutch2024, positive_control, shen2023, vonoswald2023

SMALL = ["--task", "sst2", "--queries", "6", "--k", "3"]


def test_dai_icl_is_right_on_every_corrected_query_but_not_on_all_that_fine_tuning_mends(small_model: Path) -> None:
    many, high = ["--k", "4", "--queries", "24"], ["--learning-rate", "0.1"]
    table = dai2023.main(["--model", str(small_model), "--task", "sst2", *many, *high])
    share = table["share of queries"][1]
    recall, recall_of_corrected, _ = table["Rec2FTP"]
    assert 0 < share < 1 and recall_of_corrected == 1
    assert 0 < recall < 1


def test_dai_random_updates_and_random_attention_agree_with_icl_by_chance_only(
    small_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = dai2023.main(["--model", str(small_model), *SMALL])
    for score in ("SimAOU", "attention to demonstrations, Kendall τ"):
        assert table[score][2] == pytest.approx(0, abs=0.1)
    assert "Rec2FTP" in capsys.readouterr().out


def test_deutch_unrelated_updates_score_a_quarter_under_normalisation_and_nothing_without() -> None:
    scores = deutch2024.unrelated_updates()
    assert scores["SimAOU_norm"] == pytest.approx(0.25) and scores["SimAOU"] == pytest.approx(0.0, abs=1e-6)


def test_deutch_normalisation_inflates_the_similarity_of_every_model_trained_or_not(small_model: Path) -> None:
    table = deutch2024.main(["--model", str(small_model), *SMALL, "--gd-rate", "0.01", "--lcgd-rate", "0.01"])
    assert len(table) == 1 + 3 * 2
    assert all(scores["SimAOU_norm"] > scores["SimAOU"] for scores in table.values())
    # and what has learned nothing is no less similar
    assert table["no_training", "GD"]["SimAOU"] > table["trained", "GD"]["SimAOU"]


def test_shen_only_full_batch_gradient_descent_does_not_see_the_order(small_model: Path) -> None:
    table = shen2023.main(["--model", str(small_model), *SMALL, "--orders", "3", "--learning-rate", "0.01"])
    icl, sgd, full_batch = (table[f"order sensitivity: {name}"] for name in ("ICL", "SGD", "full-batch GD"))
    assert icl > sgd > 1000 * full_batch
    # a random network has few weights that are nearly zero, a construction of gradient descent nothing else
    assert table["share of |w| < 0.01"] < 0.05 < 0.95 < table["the same in a construction"]


def test_shen_a_construction_of_width_two_has_ten_zeros_among_its_sixteen_weights() -> None:
    """W_K = W_Q = diag(1, 0), W_V = [[0, 0], [w₀, −1]] and P = (η / N) I have one, one, two and two others."""
    assert shen2023.construction_sparsity(2) == 10 / 16


def test_von_oswald_a_trained_layer_does_a_gd_step_and_so_do_weights_halfway_between() -> None:
    table = vonoswald2023.main(["--dimension", "4", "--context", "8", "--steps", "1000"])
    assert table["the construction's largest error"] < 1e-10
    gd = table["loss: one GD step, best step size"]
    assert table["loss: trained"] == pytest.approx(gd, rel=0.02)
    assert table["loss: weights halfway between"] == pytest.approx(gd, rel=0.02)
    assert table["cosine of sensitivities"] > 0.99


def test_the_diagonal_glows_where_in_context_learning_is_gradient_descent_and_only_there() -> None:
    table = positive_control.main(["--dimension", "4", "--context", "8", "--steps", "1000", "--sets", "7"])
    construction, trained, random = (table[name] for name in ("construction", "trained", "random weights"))
    assert construction["identified"] == trained["identified"] == 1
    assert construction["p"] == trained["p"] == pytest.approx(1 / 5040)
    assert construction["share"] > 0.7 and trained["share"] > 0.7
    assert random["identified"] < 1 and random["p"] > 0.001
