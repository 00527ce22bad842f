"""A study of rivals beside GD, from its file to its rows and its matching."""

from pathlib import Path

import pandas as pd
import pytest
from tests.cli.test_mistakes import call
from tests.study.conftest import small_settings

from demograd import UserError
from demograd.report import write_report
from demograd.study import make_study, run_study
from demograd.study.language_model import claims
from demograd.study.language_model.comparison import ClaimComparison

RIVALS = ("LoRA", "prefix", "readout GD", "kernel regression", "induction", "task vector", "function vector")


@pytest.fixture(scope="module")
def folder(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two demonstration sets of films of our own."""
    films = tmp_path_factory.mktemp("data") / "films.csv"
    judged = [("dull", "neg"), ("long", "mixed"), ("fine", "pos")]
    rows = ["film {} is {},{}".format(number, *judged[number % 3]) for number in range(90)]
    films.write_text("\n".join(["text,label", *rows]))
    settings = small_settings(
        small_model,
        weights=["trained"],
        tasks=[str(films)],
        template="Film: {text} Sentiment:",
        label_words={"neg": "Negative", "mixed": "Mixed", "pos": "Positive"},
        k=3,
        seeds=[0, 1],
        queries=4,
        controls=[],
        methods=["GD", "task vector", "readout GD"],
        learning_rates={"GD": [0.01], "readout GD": [0.01]},
    )
    return run_study(make_study(settings), tmp_path_factory.mktemp("runs") / "run").folder.path


def values(folder: Path, metric: str, method: str) -> pd.DataFrame:
    """Of each demonstration set, its mean over queries (and layers)."""
    rows = pd.read_parquet(folder / "results.parquet")
    mine = (rows.metric == metric) & (rows.method == method) & (rows.setting == "FT")
    return rows[mine & rows.layer.isna() & rows.versus.isna() & rows.seed.notna()]


def test_rates_of_a_vector_need_no_sweep(folder: Path) -> None:
    assert set(values(folder, "sim_labels", "task vector").learning_rate) == {1.0}


def test_each_method_changes_predictions(folder: Path) -> None:
    for method in ("GD", "task vector", "readout GD"):
        rows = values(folder, "sim_labels", method)
        assert len(rows) == 2 and set(rows.status) == {"ok"} and rows.value.between(-1, 1).all()


def test_what_changes_nothing_inside_has_no_update_and_is_counted(folder: Path) -> None:
    rows = values(folder, "sim_aou", "readout GD")
    assert len(rows) == 2 and rows.value.isna().all() and set(rows.status) == {"missing"}
    assert (rows.n_missing > 0).all()
    assert values(folder, "sim_aou", "GD").value.notna().all()


def test_its_predictions_are_matched_all_the_same(folder: Path) -> None:
    rows = pd.read_parquet(folder / "results.parquet")
    matched = rows[(rows.metric == "sim_labels") & (rows.versus == "other_sets")]
    assert set(matched.method) == {"GD", "task vector", "readout GD"}


def test_what_two_label_words_leave_undefined_is_missing_and_said(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = list[ClaimComparison]()

    def pooled_over_tasks(of_run: list[ClaimComparison], margin: float) -> list[ClaimComparison]:
        compared.extend(of_run)
        return []

    monkeypatch.setattr(claims, "pooled_over_tasks", pooled_over_tasks)
    settings = small_settings(
        small_model, weights=["trained"], k=2, seeds=[0, 1], queries=4, methods=["GD"], measures=["similarity"]
    )
    folder, reason = run_study(make_study(settings), tmp_path / "run").folder, "with 2 label words a cosine is a sign"
    rows = pd.read_parquet(folder.path / "results.parquet")
    of_labels = rows[rows.metric == "sim_labels"]
    assert set(of_labels.status) == {reason} and of_labels.value.isna().all()
    assert of_labels[of_labels.versus.isna() & of_labels.seed.notna()].n_missing.tolist()[:2] == [4, 4]
    assert reason not in set(rows[rows.metric == "sim_aou"].status)
    assert not [row for row in folder.read_json("validity.json") if "SimLabels" in (row["method"] or "")]
    for claim in folder.read_json("claims.json")["claims"]:
        if claim["name"] == "prediction-specificity":
            assert {comparison["verdict"] for comparison in claim["comparisons"]} == {"undecided"}
    undefined = {comparison.claim for comparison in compared if comparison.has_few_label_words}
    assert undefined == {"prediction-specificity"}, "which is no part of all tasks together"
    assert reason in write_report(folder.path).read_text(encoding="utf-8")


def test_too_few_demonstrations_are_said_before_the_run(small_model: Path, tmp_path: Path) -> None:
    settings = small_settings(small_model, weights=["trained"], k=1, methods=["task vector"], learning_rates={})
    with pytest.raises(UserError, match=r"1 demonstration for task vector.*at least 2.*Raise k"):
        run_study(make_study(settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_page_names_them(folder: Path) -> None:
    page = write_report(folder).read_text(encoding="utf-8")
    assert "task vector" in page and "readout GD" in page


def test_the_command_line_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("list", "methods") == 0
    listed = capsys.readouterr().out
    assert all(f"{name} " in listed for name in RIVALS)
