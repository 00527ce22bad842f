"""Learners that diverge: in float32, the third power of an input of 1e30 is infinite."""

import warnings
from math import inf, nan
from pathlib import Path

import pandas as pd
import pytest
import torch
from tests.study.synthetic.small import REGRESSION, overall, study

from demograd.cli.tables import print_claims, print_scores
from demograd.files import write_table
from demograd.report import read_run, write_report
from demograd.study import run_study
from demograd.study.results import as_table
from demograd.study.synthetic.rows import loss_row, ratio_row, seeds_row
from demograd.synthetic import Sequences, compare, held_out, order_spread
from demograd.words import Row

EXPLODING = {
    "worlds": {"plain": {"dimension": 3}},
    "networks": {"linear": {}, "two": {"layers": 2}},
    "orders": None,
    "references": ["GD", "Bayes"],
    "scales": [0.5, 1e30],
    "mixes": [],
    "contexts": [],
    "sparsity": False,
}


@pytest.fixture(scope="module")
def exploded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exploded")
    return run_study(study(folder, REGRESSION, **EXPLODING), folder / "run").folder.path


def test_losses_that_are_all_infinite_are_called_diverged_counted_and_have_no_number(exploded: Path) -> None:
    table = pd.read_parquet(exploded / "results.parquet")
    assert not table[["value", "std", "ci_low", "ci_high"]].isin([inf, -inf]).any().any()
    rows = overall(table, "loss_at_scale")
    wild, tame = rows[rows["at"] == 1e30], rows[rows["at"] < 1e30]
    assert set(wild.model.dropna()) == {"linear", "two"} and {"GD, 1 step", "GD, 2 steps"} <= set(wild.method.dropna())
    assert wild.value.isna().all() and wild.ci_low.isna().all() and tame.value.notna().all()
    networks = wild[wild.setting == "TF"]
    assert set(networks.status) == {"diverged: 192 of 192 values are not finite"} and set(networks.n_missing) == {192}
    references = wild[wild.setting == "reference"]
    assert references.status.str.match("diverged: [0-9]+ of 64 values are not finite").all()
    assert (references.n + references.n_missing == 64).all() and (references.n_missing > 0).all()


def test_the_page_and_the_terminal_say_who_diverged_and_where(
    exploded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # as of a mean over nothing
        page = write_report(exploded).read_text(encoding="utf-8")
    assert "Not drawn, for they diverged: linear at 1e+30" in page
    assert "diverged: 192 of 192 values are not finite" in page and ">inf<" not in page and ">nan<" not in page
    print_scores(exploded)
    print_claims(read_run(exploded))
    output = capsys.readouterr().out
    assert "GD, 1 step" in output and "nan" not in output.split() and "inf" not in output.split()


def test_a_table_of_an_older_version_with_an_infinite_value_is_read_as_diverged(exploded: Path, tmp_path: Path) -> None:
    table = pd.read_parquet(exploded / "results.parquet")
    (tmp_path / "study.yaml").write_bytes((exploded / "study.yaml").read_bytes())
    table.loc[0, ["value", "status"]] = inf, "ok"
    write_table(tmp_path / "results.parquet", table)
    [first, *_] = read_run(tmp_path).results.to_dict("records")
    assert pd.isna(first["value"]) and first["status"] == "diverged"


LOSSES = {"some": torch.tensor([1.0, inf, 2.0, 3.0]), "all": torch.full((4,), inf), "none": torch.arange(1.0, 5.0)}


@pytest.mark.parametrize(
    ("kinds", "n_missing"),
    [
        (["some", "none", "none"], 1),
        (["all", "all", "all"], 12),
        (["none", "all", "none"], 4),
        (["some"], 1),
        (["all"], 4),
    ],
)
def test_a_loss_with_an_infinite_part_is_no_mean_of_the_rest(kinds: list[str], n_missing: int) -> None:
    losses, total = [LOSSES[kind] for kind in kinds], 4 * len(kinds)
    for row in (loss_row(losses), ratio_row(losses, LOSSES["none"])):
        assert row.value is None and row.ci_low is None
        assert str(row.status).startswith(f"diverged: {n_missing} of ")
        assert (row.n, row.n_missing) == (total - n_missing, n_missing)


@pytest.mark.parametrize("below", ["some", "all"])
def test_a_ratio_to_a_reference_that_diverged_is_none(below: str) -> None:
    row = ratio_row([LOSSES["none"]] * 3, LOSSES[below])
    assert row.value is None and str(row.status).startswith("diverged")
    assert row.n_missing == 3 * int(LOSSES[below].isinf().sum())


def test_beside_a_seed_that_explodes_a_reference_still_errs() -> None:
    """A finite loss of any size is a loss: only a reference that errs by rounding makes no error."""
    exploded = [LOSSES["none"], LOSSES["none"] * 1e12]
    row = ratio_row(exploded, LOSSES["none"])
    assert not row.status and row.value == pytest.approx(5e11, rel=1e-6)
    assert ratio_row(exploded, LOSSES["none"] * 1e-7).status == "the reference makes no error"


def test_a_number_of_each_seed_of_which_one_diverged_has_no_mean() -> None:
    row = seeds_row([0.1, inf, 0.3])
    assert row.value is None and row.status == "diverged: 1 of 3 values is not finite"


def test_whatever_row_is_infinite_the_table_names_it() -> None:
    rows = [
        Row(metric="a", value=inf),
        Row(metric="b", value=-inf, ci_low=-inf),
        Row(metric="c"),
        Row(metric="d", value=1.0, ci_high=inf),
        Row(metric="e", value=nan),
    ]
    table = as_table(rows)
    assert table.status.tolist() == ["diverged", "diverged", "missing", "ok", "missing"]
    assert table.value.isna().tolist() == [True, True, True, False, True] and table.ci_high.isna().all()


def test_learners_that_explode_compare_as_infinite_and_not_as_alike() -> None:
    problems = Sequences(
        torch.ones(3, 2, 1), torch.ones(3, 2, 1), torch.tensor([[1.0], [1e30], [0.0]]), torch.ones(3, 1)
    )
    comparison = compare(lambda p: p.query_x**3, lambda p: p.query_x, problems)
    assert comparison.prediction_difference.isinf().tolist() == [False, True, False]
    assert comparison.sensitivity_distance.isinf().tolist() == [False, True, False]
    assert comparison.sensitivity_cosine.isinf().tolist() == [False, True, False]
    assert comparison.sensitivity_cosine[2].isnan()  # flat there, which is no divergence
    orders = [torch.tensor([0, 1]), torch.tensor([1, 0])]
    assert order_spread(lambda p: p.query_x**30 * 1e300, problems, orders).isinf().all()


def test_a_reference_that_diverges_on_held_out_problems_is_said_to() -> None:
    assert held_out(torch.ones(4), torch.tensor([1.0, inf, 1.0, 1.0])).is_higher
    assert not held_out(torch.ones(4), torch.ones(4)).is_higher
