"""The sections on matching and on learning along the way, each on rows made by hand."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.report.rows import row, run_of
from tests.report.test_sections import figures, rows_of, tables, text

from demograd.files import write_table
from demograd.report import ReportedRun, read_run, write_report
from demograd.report.sections.along_the_way import along_the_way_section
from demograd.report.sections.claims import claims_section, deciding_p
from demograd.report.sections.layers import layers_section
from demograd.report.sections.matching import matching_section
from demograd.report.sections.rates import rates_section
from demograd.report.sections.scores import scores_section

OF_SETS = {"versus": "other_sets", "n_seeds": 4}


def _matched(metric: str = "sim_aou", **about: Any) -> list[dict[str, Any]]:
    """All that a matrix of four sets says of GD, and of reordered ICL in its place."""
    tuned, untuned = {"method": "GD", **about}, {**about}
    return [
        row(metric, "FT", 0.5, **tuned),
        row(metric, "FT_other_sets", 0.4, **tuned),
        row(metric, "FT", 0.1, **tuned, **OF_SETS, p_value=0.042),
        row(metric, "FT", 0.2, **tuned, **OF_SETS, reading="specific_share"),
        row(metric, "FT", 0.25, **tuned, **OF_SETS, reading="share_of_ceiling"),
        row(metric, "FT", 0.03, **tuned, **OF_SETS, reading="double_difference", p_value=0.3),
        row(metric, "FT", 0.75, **tuned, **OF_SETS, reading="identified", ci_low=None, ci_high=None),
        row(metric, "ICL_reordered", 0.9, **untuned),
        row(metric, "ICL_reordered", 0.4, **untuned, **OF_SETS, p_value=0.0004),
        row(metric, "ICL_reordered", 1.0, **untuned, **OF_SETS, reading="identified", ci_low=None, ci_high=None),
    ]


def _matrices(metric: str = "sim_aou", **about: Any) -> Iterator[dict[str, Any]]:
    """GD's with 0.5 on the diagonal and 0.4 off it, and reordered ICL's with 0.9 and 0.5."""
    world = {
        "model": "smollm2-135m",
        "weights": "trained",
        "initialisation": 0,
        "task": "mr",
        "labels": "gold",
        "k": 16,
    }
    gd = {"setting": "FT", "method": "GD", "learning_rate": 0.001, "matched": 0.5, "mismatched": 0.4}
    icl = {"setting": "ICL_reordered", "method": None, "learning_rate": None, "matched": 0.9, "mismatched": 0.5}
    for subject in (gd, icl):
        for icl_seed in range(4):
            for ft_seed in range(4):
                value = subject["matched" if icl_seed == ft_seed else "mismatched"]
                pair = {"metric": metric, "icl_seed": icl_seed, "ft_seed": ft_seed, "value": value, "step": None}
                yield {**world, **subject, **pair, **about}


def _run(rows: list[dict[str, Any]], **about: Any) -> ReportedRun:
    return replace(run_of(*rows), matching=pd.DataFrame(_matrices(**about)))


def test_the_diagonal_of_the_map_is_above_the_mean_of_the_mismatched_and_all_maps_share_their_colours() -> None:
    beyond, figure = figures(matching_section(_run(_matched())))
    assert beyond.title == "SimAOU beyond the averages of sets" and figure.title == "SimAOU as scored"
    assert [chart.title for chart in beyond.charts] == ["SimAOU: GD", "SimAOU: ICL, reordered"]
    assert [chart.title for chart in figure.charts] == ["SimAOU: GD", "SimAOU: ICL, reordered"]
    gd, ceiling = (_colours(chart.svg) for chart in figure.charts)
    assert len(gd) == len(ceiling) == 16
    for colours in (gd, ceiling):
        off = {colour for place, colour in enumerate(colours) if place % 5}
        assert off == {(255, 255, 255)}, "the mismatched are all at their mean, which is white"
    assert len(set(gd[::5])) == len(set(ceiling[::5])) == 1
    assert sum(ceiling[0]) < sum(gd[0]) < sum((255, 255, 255)), "0.4 above the mean is darker than 0.1"


def _colours(svg: str) -> list[tuple[int, ...]]:
    """The colours of cells, in the order of the rows of the matrix."""
    fills = re.findall(r'd="M[^"]*" fill="rgb\((\d+), (\d+), (\d+)\)"', svg)
    return [tuple(map(int, fill)) for fill in fills][:16]


def test_the_table_has_all_that_the_matrix_says_and_the_ceiling_above_it() -> None:
    (table,) = tables(matching_section(_run(_matched())))
    ceiling, gd = rows_of(table)
    assert [entry.text for entry in gd.entries] == [
        "0.500",
        "0.400",
        "0.100",
        "20.0 %",
        "25.0 %",
        "0.030",
        "0.042",
        "3 of 4",
    ]
    assert gd.entries[2].under == ("[0.080, 0.120]",) and gd.entries[3].under == ("[18.0, 22.0]",)
    assert (ceiling.name, ceiling.tone) == ("ICL, reordered", "reference")
    assert [entry.text for entry in ceiling.entries] == ["0.900", "0.500", "0.400", "–", "–", "–", "4.00e−4", "4 of 4"]


def test_leading_scores_are_open_and_the_others_folded() -> None:
    rows = [*_matched(), *_matched("sim_aou_norm"), *_matched("sim_am_delta")]
    assert [table.folded for table in tables(matching_section(_run(rows)))] == ["", "", "SimAOU_norm"]


def test_labels_and_initialisations_are_rows_of_their_own_and_named_where_there_are_several() -> None:
    rows = [*_matched(), *_matched(labels="abstract")]
    (table,) = tables(matching_section(run_of(*rows)))
    assert [group.title for group in table.groups] == ["mr, gold labels", "mr, abstract labels"]
    untrained = [line for seed in (0, 1) for line in _matched(weights="no_training", initialisation=seed)]
    (table,) = tables(matching_section(run_of(*_matched(), *untrained)))
    words = [line.under[0] for line in rows_of(table) if line.name == "GD"]
    assert words == [f"{more}learning rate 0.001" for more in ("", "initialisation 0, ", "initialisation 1, ")]
    (table,) = tables(matching_section(run_of(*_matched(), *_matched(weights="no_training", initialisation=0))))
    assert "initialisation" not in text(table), "there is one only"


def test_a_run_that_does_not_match_has_no_such_section() -> None:
    assert matching_section(run_of(row("sim_aou", "FT", 0.3, method="GD"))) is None


def test_what_matching_and_steps_say_is_mixed_into_no_other_number() -> None:
    rows = [
        *_matched(),
        *_along(),
        row("sim_aou", "FT", 0.77, method="GD", learning_rate=None, reading="at_equal_learning", at=0.1),
        *(
            row("sim_aou", setting, 0.6, method="GD", layer=layer)
            for setting in ("FT", "FT_other_sets")
            for layer in (0, 1)
        ),
    ]
    run = run_of(*rows)
    assert run.scores.numbers[_gd(run), "sim_aou", "FT"].value == 0.5
    assert [number.value for number in run.scores.specificities.values()] == [0.1]
    (specific, outputs) = tables(scores_section(run))[:2]
    assert [(head.text, head.under) for head in specific.heads[1:]] == [
        ("SimAOU", ""),
        ("SimAOU", "mismatched"),
        ("SimAOU", "specificity vs other sets"),
    ]
    assert [entry.text for entry in rows_of(specific)[-1].entries] == ["0.500", "0.400", "0.100"]
    assert rows_of(outputs)[-1].entries[0].text == "0.500"
    assert rates_section(run) is None
    (figure,) = figures(layers_section(run))
    assert "0.77" not in text(figure) and [key.label for key in figure.legend] == ["GD", "GD on the other sets"]


def _gd(run: ReportedRun) -> Any:
    (variant,) = run.scores.tuned()
    return variant


def _along() -> list[dict[str, Any]]:
    """GD after two of its three steps, and at its end."""
    gd = {"method": "GD"}
    return [
        *(row("auc", setting, value) for setting, value in (("ZSL", 0.5), ("ICL", 0.8))),
        row("auc", "FT", 0.7, **gd),
        row("auc", "FT", 0.6, **gd, step=2),
        row("sim_aou", "FT", 0.3, **gd, step=2),
        row("sim_aou", "FT", 0.05, **gd, **OF_SETS, step=2),
        row("update_size_ratio", "FT", 0.9, **gd, step=2),
        *(row("loss", "FT", 1.0, **gd, step=step, seed=0) for step in range(3)),
    ]


def test_learning_is_drawn_from_zero_shot_over_the_steps_to_the_end() -> None:
    (figure,) = figures(along_the_way_section(run_of(*_along(), *_matched())))
    titles = ["AUC", "SimAOU, matched and mismatched", "SimAOU specificity", "Size of the update"]
    assert [chart.title for chart in figure.charts] == titles
    assert [(key.label, bool(key.dash)) for key in figure.legend] == [
        ("GD", False),
        ("GD, mismatched", True),
        ("ICL", True),
    ]
    auc, score = (chart.svg for chart in figure.charts[:2])
    assert len(_points(auc)) == 3 + 2, "ZSL, step 2 and the end, and both ends of ICL's level"
    assert len(_points(score)) == 2 + 2, "matched and mismatched; ZSL has no update to be alike"


def _points(svg: str) -> list[str]:
    return re.findall(r'<path[^>]*d="M[^"]*A[^"]*"', svg)


def test_methods_at_equal_learning_stand_in_a_table_that_names_what_they_learned() -> None:
    equal = {"learning_rate": None, "reading": "at_equal_learning", "at": 0.12}
    rows = [
        row("sim_aou", "FT", 0.21, method="GD", **equal),
        row("sim_aou", "FT", 0.02, method="GD", **equal, versus="other_sets"),
        row("sim_aou", "FT", None, method="LCGD", **equal | {"at": None}, status="it learned nothing"),
    ]
    (table,) = tables(along_the_way_section(run_of(*rows)))
    gd, lcgd = rows_of(table)
    assert [entry.text for entry in gd.entries] == ["0.210", "0.020"]
    assert gd.under == ("likelihood among the label words +0.120",)
    assert lcgd.entries[0].text == "it learned nothing"


@pytest.mark.parametrize(
    ("verdict", "p"), [("supported", 0.01), ("contradicted", 0.01), ("not specific", 0.03), ("undecided", 0.01)]
)
def test_of_matching_the_margin_decides_only_that_it_is_not_specific(verdict: str, p: float) -> None:
    numbers = {"margin": 0.1, "p_corrected": 0.01, "p_equal_corrected": 0.03, "matching": {"identified": 0.1}}
    assert deciding_p(numbers | {"verdict": verdict})[0] == p


def test_not_specific_has_a_mark_and_a_tone_of_its_own_and_the_share_stands_where_hedges_g_would() -> None:
    matching = {"specific_share": 0.02, "share_ci_low": -0.01, "share_ci_high": 0.05, "identified": 0.25}
    comparison = {
        **dict.fromkeys(("left", "right", "p_value", "p_corrected", "p_equal", "effect_size")),
        "task": "3 tasks",
        "labels": "abstract",
        "k": 16,
        "compared": "SimAOU, GD, trained: FT − FT_other_sets",
        "difference": 0.01,
        "ci_low": -0.01,
        "ci_high": 0.02,
        "p_equal_corrected": 0.004,
        "margin": 0.1,
        "n": 100,
        "n_missing": 0,
        "n_seeds": 8,
        "matching": matching,
        "verdict": "not specific",
        "reason": "why",
    }
    claim = {"name": "specificity", "claim": "It is specific", "source": "demograd", "compare": "specific", "needs": ""}
    run = run_of(claims={"correction": "Holm", "claims": [claim | {"comparisons": [comparison]}]})
    (only,) = rows_of(tables(claims_section(run))[0])
    assert only.name == "SimAOU, GD, trained: FT − FT on other sets" and only.under == (
        "3 tasks, abstract labels, k 16",
    )
    assert (only.entries[0].text, only.entries[0].tone) == ("≈ not specific", "not-specific")
    assert only.entries[1].under == ("[−0.010, 0.020]", "margin ±10 % of it")
    assert only.entries[2].text == "2.0 %" and only.entries[2].under == ("[−1.0, 5.0]", "25 % of sets find their own")
    assert only.entries[3].text == "0.004"


def test_names_on_maps_are_text_and_nothing_else(run: Callable[..., Path]) -> None:
    evil = "<script>alert(1)</script>"
    folder = run(tasks=(evil,), weights=("trained",), methods=("GD",), layers=1)
    write_table(folder / "matching.parquet", pd.DataFrame(_matrices(task=evil)))
    assert read_run(folder).matching is not None
    page = write_report(folder).read_text(encoding="utf-8")
    matching = page[page.index('id="matching"') : page.index('id="claims"') if 'id="claims"' in page else None]
    assert "SimAOU: GD" in matching and "<script" not in page
