"""What the terminal says of claims, on a run folder made by hand."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.report.conftest import Fake, write_run
from tests.report.rows import claims

from demograd.cli.tables import print_claims, print_scores
from demograd.files import read_json, write_json
from demograd.report import read_run

Printed = Callable[[], str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = write_run(tmp_path / "run", Fake(layers=2))
    write_json(folder / "claims.json", read_json(folder / "claims.json") | claims())
    return folder


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    return lambda: " ".join(capsys.readouterr().out.split())


def test_verdicts_at_one_learning_rate_each_are_counted(folder: Path, printed: Printed) -> None:
    print_scores(folder)
    assert "1 supported, 1 contradicted, 0 not specific, 13 undecided (7 at one learning rate each); see" in printed()


def test_of_a_claim_of_equality_the_p_shown_is_of_a_difference_beyond_the_margin(
    folder: Path, printed: Printed
) -> None:
    print_claims(read_run(folder))
    of_many = printed().partition("The claim of many")[2]
    assert "0.21" in of_many and "0.0004" not in of_many
    assert "Here p is of a difference beyond the margin, but where the claim is contradicted." in of_many


def test_a_small_difference_is_printed_to_the_digits_that_it_is_known_to(
    folder: Path, printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    record = read_json(folder / "claims.json")
    record["claims"][0]["comparisons"][0] |= {"difference": 0.00021, "ci_low": 0.0001, "ci_high": 0.0003}
    write_json(folder / "claims.json", record)
    print_claims(read_run(folder))
    words = printed()
    assert "+0.00021" in words and "[+0.00010, +0.00030]" in words


def test_a_run_that_matched_prints_its_matching_by_task_and_method_and_no_other_score(
    folder: Path, printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    record = read_json(folder / "claims.json")
    matching = {"specific_share": 0.02, "share_ci_low": -0.01, "share_ci_high": 0.05, "identified": 0.25}
    comparison = record["claims"][0]["comparisons"][0] | {
        "left_side": {"metric": "sim_aou", "setting": "FT", "method": "GD", "weights": "trained", "model": "tiny"},
        "place": "at ‖u_FT‖ / ‖u_ICL‖ = 1",
        "labels": "abstract",
        "matching": matching,
        "verdict": "not specific",
    }
    other = comparison | {"left_side": comparison["left_side"] | {"metric": "sim_am_delta"}}
    specific = record["claims"][0] | {"name": "specificity", "comparisons": [comparison, other]}
    write_json(folder / "claims.json", record | {"claims": [specific]})
    print_scores(folder)
    words = printed()
    for word in (
        "mr, abstract labels",
        "GD, trained, at ‖u_FT‖ / ‖u_ICL‖ = 1",
        "0.300",
        "0.100",
        "+0.20",
        "2.0 % [−1.0, 5.0]",
        "not specific",
    ):
        assert word in words
    assert "SimAM_Δ" not in words and "SimAOU_norm" not in words
    assert read_run(folder).finding.sentence in words
