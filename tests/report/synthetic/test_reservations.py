"""What the page of a synthetic run says against its own numbers."""

from pathlib import Path

from tests.report.synthetic.rows import reference, row, synthetic_run, write_synthetic_run

from demograd.report import read_run
from demograd.report.notes import clamped, precision


def test_a_loss_whose_standard_error_is_over_two_percent_is_named(tmp_path: Path) -> None:
    wide = {"ci_low": 0.9, "ci_high": 1.1}  # ± 1.96 × 5.1 %
    rows = [
        row("loss", 1.0, around=0.5),  # over training seeds: how far they are apart is another matter
        row("loss", 1.0, n_seeds=1, seed=0, around=0.03),  # ± 1.96 × 1.5 %
        row("loss", 1.0, n_seeds=1, seed=0, model="deep", **wide),
        row("loss", 1.0, n_seeds=1, seed=1, model="deep", **wide),
        reference("loss", 1.0, "GD, 3 steps", around=0.05),  # ± 1.96 × 2.6 %
        reference("loss", 1.0, "GD, 4 steps", k=40, around=0.5),  # not what is compared
        reference("loss", 0.0, "Bayes", around=0.0),
    ]
    sentence = precision(read_run(write_synthetic_run(tmp_path / "wide", rows)))
    assert sentence.startswith(
        "The loss of “deep” and “GD, 3 steps” has a standard error of up to 5 % over test sequences"
    )
    assert precision(read_run(write_synthetic_run(tmp_path / "narrow", rows[:2]))) == ""


def test_a_bound_that_clamps_more_than_a_thousandth_of_the_tokens_is_named() -> None:
    shares = [row("clamped_share", 0.0042, model="deep"), row("clamped_share", 0.0009, model="rarely")]
    assert clamped(synthetic_run(*shares)) == (
        "The bound on tokens was felt: of those of the test problems it clamped 0.42 % of “deep” in isotropic."
    )
    assert clamped(synthetic_run(*shares[1:])) == ""
