"""Sections open with a picture and a sentence that is computed from its numbers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from tests.report.rows import claims, row, run_of, write_everything

from demograd.report import read_run
from demograd.report.charts.dots import Dot, dot_chart
from demograd.report.charts.forest import CHARACTERS, MARKS, NOT_COUNTED, Effect, forest_plot
from demograd.report.charts.grid import outcome_grid
from demograd.report.effects import MOST, amounts, panels
from demograd.report.run import Check
from demograd.report.section import Chart, Figure, percent, registered_sections
from demograd.report.sections.heads import heads_section
from demograd.report.sections.missing import missing_section
from demograd.report.sections.overlap import overlap_section
from demograd.report.sections.performance import performance_section
from demograd.report.sections.validity import validity_section
from demograd.statistics.number import estimate
from demograd.study.rows import similarity
from demograd.words import Row, Setting


def comparison(**changes: Any) -> dict[str, Any]:
    return claims()["claims"][0]["comparisons"][0] | changes


def claim(*comparisons: dict[str, Any], compare: str = "above") -> dict[str, Any]:
    return claims()["claims"][0] | {"compare": compare, "comparisons": list(comparisons)}


def rows_of(chart: Chart) -> list[dict[str, Any]]:
    """What a chart draws."""
    (data,) = [rows for rows in chart.drawing.to_dict()["datasets"].values() if len(rows[0]) > 1]
    return list(data)


# Claims


SHUT = {"verdict": "undecided", "p_corrected": None, "reason": "fine-tuning learned nothing here; at one rate"}
OPEN = {"verdict": "undecided", "p_corrected": 0.3, "reason": "the interval includes 0"}


def test_a_shut_gate_is_told_apart_from_want_of_data_in_shape_and_words() -> None:
    few_sets = SHUT | {"n_seeds": 3, "reason": "3 demonstration sets, fewer than five"}
    (panel,), _ = panels([claim(comparison(), comparison(**SHUT), comparison(**OPEN), comparison(**few_sets))])
    assert [effect.verdict for effect in panel.effects] == ["supported", NOT_COUNTED, "undecided", "undecided"]
    assert panel.effects[1].words == "undecided: fine-tuning learned nothing here"
    assert panel.effects[2].words == "0.20 [0.15, 0.25] undecided"
    assert len({(mark.shape, mark.filled) for mark in MARKS.values()}) == len(MARKS)


def test_verdicts_are_counted_in_a_sentence() -> None:
    sentence = amounts([claim(comparison(), comparison(**SHUT)), claim(comparison(verdict="contradicted"))])
    assert sentence.startswith("Of 3 comparisons 2 are decided: 1 supported, 1 contradicted; 1 does not count")


def test_of_many_comparisons_only_the_decided_are_drawn_and_the_others_counted() -> None:
    many = [comparison(k=k, **OPEN) for k in range(MOST)]
    (panel,), left_out = panels([claim(comparison(), *many)])
    assert len(panel.effects) == 1
    assert left_out == f"Not drawn, but in the tables: {MOST} that are undecided."


def test_shares_and_differences_have_panels_of_their_own_and_the_margin_is_a_band() -> None:
    matching = {"specific_share": 0.02, "share_ci_low": 0.01, "share_ci_high": 0.03, "identified": 0.5}
    about = {"left_side": {"metric": "sim_aou"}, "right_side": {"metric": "sim_aou"}}
    specific = claim(comparison(matching=matching, margin=0.1, **about), compare="specific")
    share, difference = panels([specific, claim(comparison(**about)) | {"claim": "Another"}])[0]
    assert share.unit == "specific share, % of the similarity"
    assert (share.effects[0].value, share.effects[0].band) == (2.0, (-10.0, 10.0))
    assert "difference of cosines" in difference.unit


def test_a_decided_comparison_whose_similarity_is_not_above_zero_is_drawn_as_a_difference() -> None:
    matching = {"specific_share": None, "share_ci_low": None, "share_ci_high": None, "identified": 0.5}
    about = {"left_side": {"metric": "sim_aou"}, "right_side": {"metric": "sim_aou"}, "margin": 0.1}
    specific = claim(comparison(matching=matching, verdict="contradicted", **about), compare="specific")
    (panel,), left_out = panels([specific])
    assert "difference of cosines" in panel.unit and left_out == ""
    (effect,) = panel.effects
    assert (effect.value, effect.verdict, effect.band) == (0.2, "contradicted", None)


def test_a_share_without_an_interval_says_so() -> None:
    matching = {"specific_share": 0.4, "share_ci_low": None, "share_ci_high": None, "identified": 0.5}
    (panel,), sentence = panels([claim(comparison(matching=matching, margin=0.1), compare="specific")])
    assert panel.effects[0].words == "40.0 (no interval) supported"
    assert "the similarity is not shown to be above zero" in sentence
    shares = matching | {"why_no_interval": "in 1 of 2 tasks all sets differ by the same amount"}
    _, sentence = panels([claim(comparison(matching=shares, margin=0.1), compare="specific")])
    assert "a share has no bounds where in 1 of 2 tasks all sets differ by the same amount." in sentence


def test_a_claim_with_one_comparison_has_its_subject_and_rows_that_look_the_same_are_told_apart() -> None:
    (panel,), _ = panels([claim(comparison())])
    assert [effect.label for effect in panel.effects] == ["SimAOU, GD, trained"]
    of_models = [comparison(left_side={"metric": "sim_aou", "model": model}) for model in ("pythia", "smollm2")]
    (panel,), _ = panels([claim(*of_models)])
    assert [effect.label for effect in panel.effects] == ["SimAOU, GD, trained, pythia", "SimAOU, GD, trained, smollm2"]
    places = [comparison(initialisation=seed, place="at one learning rate each" * seed) for seed in (0, 1)]
    (panel,), _ = panels([claim(*places)])
    assert [effect.label for effect in panel.effects] == [
        "SimAOU, GD, trained, initialisation 0",
        "SimAOU, GD, trained, initialisation 1, at one learning rate each",
    ]


def test_a_statement_about_ranges_has_its_range_for_a_band() -> None:
    number = {"title": "the ratio", "value": 1.0, "ci_low": 0.99, "ci_high": 1.01, "low": 0.98, "high": None}
    (panel,), _ = panels([claim(comparison(compared="“linear, 1 layer”", numbers=[number]))])
    assert panel.effects[0].band == (0.98, float("inf"))
    assert panel.effects[0].label == "“linear, 1 layer”"


def test_an_interval_that_is_far_out_is_cut_with_an_arrow() -> None:
    near = [Effect(f"effect {i}", "supported", "supported", 1.0, 0.5, 1.5) for i in range(3)]
    far = Effect(
        "a label that is longer than there is room for beside its words", "w" * 40, "undecided", 1.0, -90.0, 2.0
    )
    rows = rows_of(forest_plot([*near, far], "title", "unit"))
    assert [row["is_low_cut"] for row in rows] == [False, False, False, True]
    assert not any(row["is_high_cut"] for row in rows)
    assert rows[3]["low"] > -90
    assert len(rows[3]["label"]) + len(rows[3]["words"]) <= CHARACTERS and rows[3]["label"].endswith("…")


# Heads


def heads(method: str | None, *values: float | None, **about: Any) -> list[dict[str, Any]]:
    """Of a method, or with None of reordered ICL."""
    setting = "FT" if method else "ICL_reordered"
    per_head = [
        row("sim_am_delta", setting, value, method=method, layer=place // 2, head=place % 2, **about)
        for place, value in enumerate(values)
    ]
    return [row("sim_am_delta", setting, 0.2, method=method, **about), *per_head]


def test_heads_of_all_methods_share_their_colours_and_missing_ones_are_counted() -> None:
    section = heads_section(run_of(*heads("GD", 0.1, 0.4, None, 0.2), *heads("LCGD", 0.1, -0.8, 0.3, 0.3)))
    assert section is not None
    (figure,) = section.parts
    assert isinstance(figure, Figure)
    domains = {tuple(chart.drawing.to_dict()["encoding"]["color"]["scale"]["domain"]) for chart in figure.charts}
    assert domains == {(-0.8, 0.8)}
    assert "GD: 1 of 4 heads." in figure.caption and "LCGD:" not in figure.caption
    assert "head 1 of layer 0, with SimAM_Δ 0.40" in section.lead


def test_reordered_icl_shares_the_colours_of_the_heads_and_nothing_lies_beyond_their_ends() -> None:
    section = heads_section(run_of(*heads("GD", 0.1, 0.2), *heads(None, 0.5, 0.9)))
    assert section is not None and isinstance(section.parts[0], Figure)
    scales = [chart.drawing.to_dict()["encoding"]["color"]["scale"] for chart in section.parts[0].charts]
    assert [(scale["domain"], scale["clamp"]) for scale in scales] == [([-0.9, 0.9], True)] * 2


def test_heads_without_any_number_are_no_section() -> None:
    assert heads_section(run_of(*heads("GD", None, None))) is None


def test_a_run_without_single_heads_has_no_section_of_them() -> None:
    assert heads_section(run_of(row("sim_am_delta", "FT", 0.2, method="GD"))) is None


def test_rows_of_single_heads_are_means_over_queries_and_sets_that_name_what_is_missing() -> None:
    values = torch.arange(24.0, dtype=torch.float64).reshape(3, 2, 4) / 100  # [queries, layers, heads]
    values[:, 1, 3] = torch.nan
    rows = list(similarity([0, 1], Row(setting=Setting.FT, metric="sim_am_delta"), [values, values + 0.1]))
    single = {(row.layer, row.head): row for row in rows if row.head is not None}
    assert len(single) == 8 and all(row.seed is None for row in single.values())
    assert single[0, 2].value == pytest.approx(values[:, 0, 2].mean().item() + 0.05)
    assert (single[1, 3].value, single[1, 3].n, single[1, 3].n_missing) == (None, 0, 6)
    assert not any(row.head is not None for row in similarity([0], Row(metric="sim_am"), [values]))


# Other pictures


def test_dots_without_a_number_are_left_out_and_series_differ_in_shape_and_colour() -> None:
    dots = [Dot("GD", estimate(0.2, 0.1, 0.3), "measured"), Dot("GD", estimate(0.4), "published")]
    chart = dot_chart([*dots, Dot("LCGD", estimate(None), "measured")], "title", "cosine")
    assert chart is not None
    assert [(row["label"], row["series"], row["text"]) for row in rows_of(chart)] == [
        ("GD", "measured", "0.20 [0.10, 0.30]"),
        ("GD", "published", "0.400"),
    ]
    assert dot_chart([Dot("LCGD", estimate(None))], "title", "cosine") is None


def test_a_share_that_is_no_number_is_missing_and_no_per_cent() -> None:
    assert [percent(share).text for share in (0.088, None, float("nan"))] == ["8.80 %", "–", "missing"]


def test_the_checks_are_a_grid_with_the_worst_of_several_in_a_cell() -> None:
    about = {"weights": "trained", "task": "mr"}
    checks = (
        Check(**about, check="in_context_learning", method=None, passed=True, message=""),
        Check(**about, check="fine_tuning", method="GD 0.1", passed=False, message=""),
        Check(**about, check="resolution", method="GD 0.1, SimAOU", passed=True, message=""),
        Check(**about, check="resolution", method="GD 0.1, SimAM", passed=False, message=""),
        Check(**about, check="seeds", method=None, passed=False, undecided=True, message=""),
    )
    section = validity_section(run_of(validity=checks))
    assert section is not None and isinstance(section.parts[0], Figure)
    cells = {
        (row["row"], row["column"].strip("|").replace("|", " ")): row["text"]
        for row in rows_of(section.parts[0].charts[0])
    }
    assert cells == {
        ("ICL, trained", "learned in context"): "✓",
        ("ICL, trained", "enough demonstration sets"): "?",
        ("GD 0.1, trained", "learned by fine-tuning"): "✗",
        ("GD 0.1, trained", "updates above resolution"): "✗ 1 of 2",
    }


def test_missing_rows_are_drawn_as_shares_by_reason() -> None:
    rows = [row("auc", "ICL", 0.5), row("auc", "FT", None, method="GD", status="diverged at step 3 (5 of 5 sets)")]
    section = missing_section(run_of(*rows, row("accuracy", "ICL", 0.5)))
    assert isinstance(section.parts[0], Figure)
    (bar,) = rows_of(section.parts[0].charts[0])
    assert bar == {"metric": "AUC", "status": "diverged", "value": 50.0}
    assert "1 diverged" in section.lead


def test_predictions_are_told_setting_by_setting() -> None:
    section = performance_section(
        run_of(row("auc", "ZSL", 0.5), row("auc", "ICL", 0.9), row("auc", "FT", 0.7, method="GD"))
    )
    assert section is not None
    assert (
        "AUC is 0.500 [0.480, 0.520] without demonstrations (ZSL); 0.900 [0.880, 0.920] with them (ICL)" in section.lead
    )
    assert "after fine-tuning 0.700 [0.680, 0.720] by GD" in section.lead


def test_overlap_stands_beside_that_of_reordered_icl() -> None:
    rows = [row("token_overlap", "ICL_reordered", 0.9), row("token_overlap", "FT", 0.3, method="GD")]
    section = overlap_section(run_of(*rows))
    assert section is not None
    assert "0.900 [0.880, 0.920] of ICL, reordered; 0.300 [0.280, 0.320] of FT by GD" in section.lead
    assert overlap_section(run_of(row("auc", "ICL", 0.5))) is None


WITHOUT_MATRICES = "matching"
"""The run has no `matching.parquet`, from which this section's maps are."""


def test_each_section_of_a_run_with_everything_opens_with_a_picture_and_a_sentence(run: Callable[..., Path]) -> None:
    whole = read_run(write_everything(run(layers=3, seeds=5, weights=("trained",))))
    sections = {registered.name: registered.make(whole) for registered in registered_sections()}
    present = {name: section for name, section in sections.items() if section is not None}
    assert len(present) > 15
    for name, section in present.items():
        assert section.lead, name
        if name != WITHOUT_MATRICES:
            assert isinstance(section.parts[0], Figure), name


def test_a_grid_wraps_its_headings_above_the_first_row() -> None:
    data = pd.DataFrame({"row": ["GD"], "column": ["updates of a size that counts"], "outcome": ["passed"]})
    (cell,) = rows_of(outcome_grid(data, "title", ["updates of a size that counts"]))
    assert cell["column"] == "updates of a|size that|counts"
