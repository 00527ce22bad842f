"""The main table of a paper, and tables as CSV and Markdown."""

import csv
import io
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.report.rows import row, run_of
from tests.report.synthetic.rows import reference, synthetic_run, write_synthetic_run
from tests.report.synthetic.rows import row as network_row

from demograd.report import ReportedRun, read_run
from demograd.report.paper import markdown, records
from demograd.report.paper.exhibits import PaperTable, exhibits, slug
from demograd.report.paper.results_table import results_table
from demograd.report.run import Check
from demograd.report.section import Entry, Group, Head, Table, TableRow

MakeRun = Callable[..., Path]


def _cells(table: PaperTable) -> dict[tuple[str, str, str], tuple[Entry, tuple[int, int]]]:
    """(row, weights, column) → its cell, and where it stands."""
    cells = {}
    number = 0
    for group in table.table.groups:
        for line in group.rows:
            for column, (head, cell) in enumerate(zip(table.table.heads[1:], line.entries, strict=True), start=1):
                cells[line.name, line.plain, f"{head.text} {head.under}".strip()] = cell, (number, column)
            number += 1
    return cells


def _compared(verdict: str, metric: str = "sim_aou", **changes: object) -> dict[str, object]:
    sides = {"metric": metric, "method": "LCGD", "setting": "FT", "weights": "trained"}
    return {
        "task": "mr",
        "labels": "gold",
        "k": 16,
        "initialisation": None,
        "left_side": sides,
        "right_side": {**sides, "method": "GD"},
        "place": "",
        "p_corrected": 0.004,
        "p_equal_corrected": None,
        "margin": None,
        "n_queries": 50,
        "verdict": verdict,
        **changes,
    }


GATES = tuple(
    Check(weights, "mr", gate, method, True, "")
    for weights in ("trained", "no_training")
    for gate, method in (
        ("in_context_learning", None),
        ("fine_tuning", "GD 0.001"),
        ("fine_tuning", "LCGD 0.003"),
    )
)
"""All of them passed."""


def _run(
    *comparisons: dict[str, object], gap: float = 0.1, others: Iterable[dict[str, Any]] = (), **facts: object
) -> ReportedRun:
    claims = [{"claim": "LCGD is above GD", "name": "lcgd-above-gd", "comparisons": list(comparisons)}]
    rows = [row("sim_aou", "FT", 0.2 + gap * (method == "LCGD"), method=method) for method in ("GD", "LCGD")]
    judged = {"correction": "Holm, over all comparisons", "claims": claims}
    about: dict[str, Any] = {"validity": GATES, "claims": judged, **facts}
    return run_of(*rows, *others, **about)


def test_the_highest_mean_is_bold_only_where_its_interval_lies_above_all_others() -> None:
    apart, overlapping = results_table(_run()), results_table(_run(gap=0.03))
    assert apart is not None and overlapping is not None
    assert apart.best == {_cells(apart)["LCGD", "trained", "SimAOU"][1]}
    assert overlapping.best == set() and "No cell is in bold" in overlapping.notes[0]


def test_only_the_trained_fine_tunings_that_learned_are_compared_for_bold() -> None:
    others = [
        row("sim_aou", "FT", 0.7, method="GD", weights="no_training"),
        row("sim_aou", "ICL_reordered", 0.9),
    ]
    table = results_table(_run(others=others))
    assert table is not None and "passed both gates" in table.notes[0]
    assert table.best == {_cells(table)["LCGD", "trained", "SimAOU"][1]}
    for gate in GATES[:3]:
        failed = [replace(check, passed=False) if check == gate else check for check in GATES]
        for checks in (failed, [check for check in GATES if check != gate], []):
            table = results_table(_run(others=others, validity=tuple(checks)))
            assert table is not None and not table.best


def test_what_is_predicted_is_compared_with_zero_shot_and_icl() -> None:
    tuned = [row("auc", "FT", value, method=method) for method, value in (("GD", 0.6), ("LCGD", 0.7))]
    untuned = [row("auc", "ZSL", 0.5), row("auc", "ICL", 0.8)]
    for rows, best in ((tuned, "LCGD"), ([*untuned, *tuned], "ICL")):
        table = results_table(_run(others=rows))
        assert table is not None
        assert _cells(table)[best, "trained", "AUC"][1] in table.best


@pytest.mark.parametrize(
    ("about", "caption"),
    [
        ({}, "Mean ± standard deviation over demonstration sets. 5"),
        (
            {"std": None},
            "Mean over demonstration sets; in brackets, 95 % intervals over demonstration sets and queries.",
        ),
        (
            {"std": None, "interval": "conditional"},
            "Mean over demonstration sets; 95 % intervals called conditional are over queries alone, and conditional "
            "on these demonstrations.",
        ),
        ({"std": None, "ci_low": None, "ci_high": None}, "Mean over demonstration sets. 5"),
    ],
)
def test_the_caption_says_what_stands_beside_the_means(about: dict[str, Any], caption: str) -> None:
    seeds = [row("sim_aou", "FT", 0.2, method="GD", seed=seed) for seed in range(5)]
    table = results_table(run_of(row("sim_aou", "FT", 0.2, method="GD", **about), *seeds))
    assert table is not None and caption in table.caption


def test_a_decided_claim_marks_its_left_side_with_the_corrected_p() -> None:
    table = results_table(_run(_compared("supported"), _compared("supported", p_corrected=0.02)))
    assert table is not None
    assert table.marks == {_cells(table)["LCGD", "trained", "SimAOU"][1]: "†"}
    assert "† LCGD is above GD: supported (corrected p ≤ 0.020)." in table.notes
    assert "p-values are corrected: Holm, over all comparisons." in table.caption and "50 queries" in table.caption


@pytest.mark.parametrize(
    "changes",
    [{"verdict": "undecided"}, {"place": "at equal size"}, {"task": "sst2"}, {"k": 8}, {"metric": "sim_am_delta"}],
)
def test_what_is_undecided_or_about_another_number_marks_nothing(changes: dict[str, object]) -> None:
    table = results_table(_run(_compared(**{"verdict": "supported", **changes})))  # type: ignore[arg-type]
    assert table is not None and not table.marks


def test_a_row_says_that_its_fine_tuning_learned_nothing() -> None:
    check = Check("trained", "mr", "fine_tuning", "GD 0.001", False, "fine-tuning learned nothing here: AUC +0.0")
    table = results_table(_run(validity=(check,)))
    assert table is not None
    assert table.marks == {(0, 0): "†"} and "not shown to learn" in " ".join(table.notes)


def test_what_diverged_is_named_and_counted_and_never_best(run: MakeRun) -> None:
    table = results_table(read_run(run(layers=2, diverged="LCGD")))
    assert table is not None
    cell, position = _cells(table)["LCGD", "trained", "SimAOU"]
    assert (cell.text, cell.under) == ("diverged at step 12", ("(8 of 8 demonstration sets)",))
    assert position not in table.best
    assert "SimAM_Δ: up to" in " ".join(table.notes) and "missing, and left out" in " ".join(table.notes)


def test_networks_stand_beside_their_references() -> None:
    about = {"method": "GD, 1 step"}
    rows = [
        network_row("loss", 1.934),
        network_row("loss_ratio", 1.0015, **about),
        network_row("sensitivity_cosine", 0.998, around=0.001, **about),
        reference("loss", 1.931, "GD, 1 step"),
    ]
    table = results_table(synthetic_run(*rows))
    assert table is not None and not table.best
    assert table.marks == {(0, 0): "†"} and re.search(r"supported \(corrected p = [\d.e−]+\)", table.notes[0])
    (line,) = table.table.groups[0].rows
    assert (line.name, line.under) == ("linear, 1 layer", ("against GD, 1 step",))
    of_network, of_algorithm, ratio, _ = line.entries
    assert (of_network.text, of_algorithm.text) == ("1.934", "1.931")
    assert "conditional" in of_algorithm.under and "conditional" not in of_network.under
    assert (ratio.text, ratio.std, ratio.under) == ("1.002", "", ("[0.998, 1.006]",))


def test_the_caption_of_networks_says_what_rows_are_and_what_numbers_are_over() -> None:
    about = {"method": "GD, 1 step"}
    rows = [
        network_row("loss", 1.934),
        network_row("loss", 1.934, seed=0, n_seeds=1),
        network_row("loss_ratio", 1.0015, **about),
        network_row("sensitivity_cosine", 0.998, around=0.001, **about, n=5 * 1024),
    ]
    study = {"kind": "synthetic", "context": 10, "worlds": {}, "test_sequences": 4096}
    caption = results_table(replace(synthetic_run(*rows), study=study)).caption  # type: ignore[union-attr]
    for words in (
        "A row is a network, trained on sequences of examples, and an algorithm that it is held against",
        "1 training seed (0), 4,096 test sequences, k = 10 examples in context. "
        "On the first 1,024 test sequences: sensitivity cosine.",
        "Means over training seeds; in brackets, 95 % intervals over training seeds and test sequences.",
    ):
        assert words in caption
    assert "demonstration" not in caption and "conditional" not in caption


def test_a_run_without_fine_tuning_or_networks_has_no_main_table() -> None:
    assert results_table(run_of(row("accuracy", "ZSL", 0.5))) is None


def test_csv_holds_the_numbers_of_the_results_unrounded(run: MakeRun) -> None:
    reported = read_run(run(layers=2))
    table = results_table(reported)
    assert table is not None
    cells = pd.read_csv(io.StringIO(records.table_file(table)))
    results = reported.results
    whole = results[results[["seed", "layer", "versus"]].isna().all(axis=1) & (results["setting"] == "FT")]
    gd = whole[(whole["metric"] == "sim_aou") & (whole["method"] == "GD") & (whole["weights"] == "trained")].iloc[0]
    cell = cells[(cells["row"] == "GD") & (cells["weights"] == "trained") & (cells["column"] == "SimAOU")].iloc[0]
    for column in ("value", "std", "ci_low", "ci_high", "n", "n_seeds"):
        assert cell[column] == gd[column]


def test_cells_made_of_text_keep_their_number_if_it_is_one() -> None:
    entries = (Entry("−0.25"), Entry("1,234"), Entry("8 of 8"), Entry("=SUM(A1)"))
    heads = tuple(Head(name) for name in ("name", "a", "b", "c", "d"))
    table = PaperTable("t", "t", Table(heads, (Group("", (TableRow("@cmd", entries),)),)))
    lines = list(csv.DictReader(io.StringIO(records.table_file(table))))
    assert [line["value"] for line in lines] == ["-0.25", "1234.0", "", ""]
    assert [line["text"] for line in lines] == ["−0.25", "1,234", "8 of 8", "'=SUM(A1)"]
    assert lines[0]["row"] == "'@cmd"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("-1+cmd|'/c calc'!A1", "'-1+cmd|'/c calc'!A1"),
        ("+1*HYPERLINK(1)", "'+1*HYPERLINK(1)"),
        ("-1\n=1+1", "'-1\n=1+1"),
        ("\t=1", "'\t=1"),
        ("+0.25 [0.1, 0.4]", "'+0.25 [0.1, 0.4]"),
        ("-0.25", "-0.25"),
        ("+1.5e-3", "+1.5e-3"),
        ("−0.25 [−0.3, −0.2]", "−0.25 [−0.3, −0.2]"),
    ],
)
def test_a_spreadsheet_runs_no_text(text: str, written: str) -> None:
    table = PaperTable("t", "t", Table((Head("name"), Head("a")), (Group("", (TableRow(text, (Entry(text),)),)),)))
    (line,) = csv.DictReader(io.StringIO(records.table_file(table), newline=""))
    assert line["row"] == line["text"] == written


def test_markdown_has_a_cell_for_each_column_whatever_the_text(run: MakeRun) -> None:
    hostile = "a|b `c` <script>*d*</script>\n[e](f) $g$"
    table = PaperTable(
        "t", hostile, Table((Head(hostile), Head("x")), (Group("", (TableRow(hostile, (Entry("1"),)),)),))
    )
    text = markdown.table_file(table)
    assert "<script>" not in text and r"a\|b" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace(r"\|", "").count("|") for line in lines} == {3}


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Tweet: @user {text}", r"Tweet: \@user \{text\}"),
        ("a@b.org", r"a\@b.org"),
        ("- item", r"\- item"),
        ("+ item", r"\+ item"),
        ("* item", r"\* item"),
        ("12. item", r"12\. item"),
        ("(a) item", r"(a\) item"),
        ("iv) item", r"iv\) item"),
        (": definition", r"\: definition"),
        ("-", r"\-"),
        ("--flag", r"\--flag"),
        ("+0.5 and 1.5", "+0.5 and 1.5"),
        ("SimAOU. A word: text", "SimAOU. A word: text"),
    ],
)
def test_text_is_no_citation_and_no_list_in_markdown(text: str, written: str) -> None:
    table = PaperTable("t", "t", Table((Head("x"),), (Group("", (TableRow("x", ()),)),)), notes=(text,))
    assert markdown.table_file(table).splitlines()[-1] == written


@pytest.mark.parametrize("is_synthetic", [False, True])
def test_every_part_of_the_page_has_a_name_of_its_own(run: MakeRun, tmp_path: Path, is_synthetic: bool) -> None:
    shown = exhibits(
        read_run(write_synthetic_run(tmp_path / "synthetic") if is_synthetic else run(layers=1, methods=("GD",)))
    )
    names = [table.name for table in shown.tables]
    names += [name for figure in shown.figures for name in (figure.name, *figure.chart_names)]
    assert names and len(set(names)) == len(names)
    assert all(name == slug(name) for name in names)
    assert all(table.caption for table in shown.tables) and all(figure.caption for figure in shown.figures)
