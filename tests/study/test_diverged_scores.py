"""Scores of a language model that are not finite are named and counted in table, claims, page and terminal."""

from collections.abc import Callable
from math import inf
from pathlib import Path

import pandas as pd
import pytest
from tests.study.conftest import key_of_cell, small_settings

from demograd.cli.tables import print_claims, print_scores
from demograd.report import read_run, write_report
from demograd.study import Study, make_study, run_study
from demograd.study.language_model.claims import check_claims
from demograd.study.language_model.grid import cells
from demograd.study.language_model.keys import read_inputs
from demograd.study.language_model.table import rows_of
from demograd.study.results import write_results
from demograd.study.store.folder import CellRecord, RunFolder


@pytest.fixture(scope="module")
def diverged(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Callable[[int], Path]]:
    """A study of five demonstration sets, and its folder with an infinite SimAOU: one value of set 1, or all values."""
    settings = small_settings(
        small_model,
        weights=["trained"],
        seeds=[0, 1, 2, 3, 4],
        k=2,
        queries=4,
        methods=["GD"],
        controls=[],
    )
    run = run_study(make_study(settings), tmp_path_factory.mktemp("runs") / "run")
    study, folder = run.study, run.folder
    assert isinstance(study, Study)
    keys = [key_of_cell(study, cell, read_inputs(folder)) for cell in cells(study)]
    finished = {key: folder.load_cell(key) for key in keys}

    def made_so(n_cells: int) -> Path:
        for number, (key, record) in enumerate(finished.items()):
            tensors = {name: tensor.clone() for name, tensor in record.tensors.items()}
            if n_cells > 1:
                tensors["FT/sim_aou"].fill_(inf)
                tensors["FT/matching/sim_aou"].fill_(inf)
            elif number == 1:
                tensors["FT/sim_aou"][2, 0] = tensors["FT/matching/sim_aou"][1, 2, 0] = -inf
            RunFolder(folder.path).save_cell(key, CellRecord(tensors, record.facts))
        write_results(RunFolder(folder.path), rows_of(study, RunFolder(folder.path)))
        check_claims(study, RunFolder(folder.path))
        return folder.path

    return study, made_so


@pytest.mark.parametrize("n_cells", [1, 5])
def test_it_has_no_mean_no_test_and_its_name_everywhere(
    diverged: tuple[Study, Callable[[int], Path]], n_cells: int, capsys: pytest.CaptureFixture[str]
) -> None:
    _, made_so = diverged
    path = made_so(n_cells)
    table = pd.read_parquet(path / "results.parquet")
    assert not table[["value", "std", "ci_low", "ci_high"]].isin([inf, -inf]).any().any()
    scores = table[(table.metric == "sim_aou") & table.layer.isna() & table.method.notna()]
    rows = scores[scores.versus.isna() & (scores.setting == "FT")]
    whole = rows[rows.seed.isna()].iloc[0]
    n_values = whole.n + whole.n_missing
    n_infinite = 1 if n_cells == 1 else n_values
    assert pd.isna(whole.value) and pd.isna(whole.ci_low) and whole.n_missing >= n_infinite
    assert (
        whole.status
        == f"diverged: {n_infinite} of {n_values} {'values is' if n_cells == 1 else 'values are'} not finite"
    )
    has_value = rows[rows.seed.notna()].groupby("seed").value.first().notna()
    assert has_value.tolist() == ([True, False, True, True, True] if n_cells == 1 else [False] * 5)
    specificity = scores[(scores.versus == "other_sets") & (scores.reading == "plain")].iloc[0]
    n_pairs = 5 * 5 * 4 * 2  # sets × sets × queries × layers
    words = f"1 of {n_pairs} values is" if n_cells == 1 else f"{n_pairs} of {n_pairs} values are"
    assert pd.isna(specificity.value) and pd.isna(specificity.p_value)
    assert specificity.status == f"diverged: {words} not finite"
    others = scores[(scores.setting == "FT_other_sets") & scores.seed.notna()].value
    assert others.notna().all() if n_cells == 1 else others.isna().all()
    # what did not diverge is as it was
    assert table[(table.metric == "accuracy") & (table.setting == "FT") & table.seed.isna()].value.notna().all()

    run = read_run(path)
    compared = [
        comparison
        for claim in run.claims["claims"]
        for comparison in claim["comparisons"]
        if "SimAOU" in comparison["compared"]
    ]
    affected = [comparison for comparison in compared if "not finite" in comparison["reason"]]
    assert affected and all(
        comparison["verdict"] == "undecided" and comparison["difference"] is None for comparison in affected
    )
    page = write_report(path).read_text(encoding="utf-8")
    assert "not finite" in page and ">inf<" not in page and ">nan<" not in page
    print_scores(path)
    print_claims(run)
    output = capsys.readouterr().out
    assert "diverged" in output and "not finite" in output and "nan" not in output
