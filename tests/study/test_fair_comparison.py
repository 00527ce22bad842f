"""Facts about what a claim's two sides must share before they are compared."""

from pathlib import Path
from typing import Any

import pytest
from tests.study.conftest import small_settings

from demograd.study import Study, make_study, run_study
from demograd.study.language_model.claims import check_claims
from demograd.study.store.folder import RunFolder


def ran(model: Path, out: Path, **rates: list[float]) -> tuple[Study, RunFolder]:
    """A run of GD and LCGD on trained and untrained weights at these learning rates, with one control."""
    changes = {"controls": ["permuted_labels"], "learning_rates": rates, "queries": 6}
    run = run_study(make_study(small_settings(model, **changes)), out)
    return run.study, run.folder


def comparisons(study: Study, folder: RunFolder, **not_passed: Any) -> dict[str, dict[str, Any]]:
    """Comparisons of SimAOU by their titles, where all checks passed except those of these weights and this method."""
    rows = folder.read_json("validity.json")
    for row in rows:
        about = {"weights": row["weights"], "method": (row["method"] or "").rpartition(" ")[0]}
        row["passed"] = row["check"] != "update_size" or about != not_passed
    folder.write_json("validity.json", rows)
    claims = check_claims(study, folder)["claims"]
    return {
        comparison["compared"]: comparison
        for claim in claims
        for comparison in claim["comparisons"]
        if "SimAOU, " in comparison["compared"]
    }


@pytest.fixture(scope="module")
def one_rate(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, RunFolder]:
    return ran(small_model, tmp_path_factory.mktemp("one") / "out", GD=[0.01], LCGD=[0.01])


@pytest.fixture(scope="module")
def several_rates(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, RunFolder]:
    return ran(small_model, tmp_path_factory.mktemp("several") / "out", GD=[0.003, 0.03, 0.3], LCGD=[1e-9])


def test_methods_or_weights_at_one_learning_rate_each_are_said_to_be(one_rate: tuple[Study, RunFolder]) -> None:
    by_title = comparisons(*one_rate)
    assert "SimAOU, FT, trained: LCGD − GD, at one learning rate each" in by_title
    assert "SimAOU, GD, FT: trained − no_training, at one learning rate each" in by_title
    assert "SimAOU, GD, trained: FT − FT_permuted_labels" in by_title  # one method, one rate: nothing to choose


def test_untrained_weights_too_must_be_moved_by_a_comparable_amount(one_rate: tuple[Study, RunFolder]) -> None:
    by_title = comparisons(*one_rate, weights="no_training", method="GD")
    reasons = {
        title: comparison["reason"].removesuffix("; at one learning rate each")
        for title, comparison in by_title.items()
    }
    absurd = "updates of an absurd size"
    assert reasons["SimAOU, GD, FT: trained − no_training, at one learning rate each"] == absurd
    assert reasons["SimAOU, LCGD, FT: trained − no_training, at one learning rate each"] != absurd
    assert reasons["SimAOU, GD, trained: FT − FT_permuted_labels"] != absurd


def test_a_bad_rate_of_a_curve_spoils_no_comparison_at_equal_size(several_rates: tuple[Study, RunFolder]) -> None:
    by_title = comparisons(*several_rates, weights="trained", method="GD")
    title, specificity = next(item for item in by_title.items() if item[0].startswith("SimAOU, GD, trained: FT −"))
    assert "at ‖u_FT‖ / ‖u_ICL‖ = " in title and specificity["reason"] != "updates of an absurd size"
    assert specificity["n_seeds"] == 3


def test_a_side_without_a_curve_is_undecided_beside_one_with(several_rates: tuple[Study, RunFolder]) -> None:
    """LCGD has one rate, which is no obstacle to comparisons of GD alone, and the reason given for those with LCGD."""
    both = comparisons(*several_rates)["SimAOU, FT, trained: LCGD − GD"]
    assert both["reason"].startswith("LCGD has one learning rate")
    assert (both["verdict"], both["difference"]) == ("undecided", None)
