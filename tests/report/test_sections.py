"""What the sections of a page say, each on the few rows of results that it is about."""

from typing import Any

import pytest
from tests.report.rows import METHODS, checkpoints, claims, options, row, run_of

from demograd.report.section import Figure, Section, Table, TableRow
from demograd.report.sections.against_k import against_k_section
from demograd.report.sections.alpha import alpha_section
from demograd.report.sections.attention import attention_section
from demograd.report.sections.claims import claims_section, deciding_p
from demograd.report.sections.corrected import corrected_section
from demograd.report.sections.gradient_norms import gradient_norms_section
from demograd.report.sections.implicit_update import implicit_update_section
from demograd.report.sections.layer_pairs import layer_pairs_section
from demograd.report.sections.layers import layers_section
from demograd.report.sections.order_sensitivity import order_sensitivity_section
from demograd.report.sections.published import published_section
from demograd.report.sections.rates import rates_section
from demograd.report.sections.scores import scores_section
from demograd.report.sections.sparsity import sparsity_section, zeros_of_construction
from demograd.report.sections.training import training_time_section
from demograd.report.subject import options_text

RATES = (0.001, 0.004, 0.016)


def tables(section: Section | None) -> list[Table]:
    assert section is not None
    return [part for part in section.parts if isinstance(part, Table)]


def figures(section: Section | None) -> list[Figure]:
    assert section is not None
    return [part for part in section.parts if isinstance(part, Figure)]


def rows_of(table: Table) -> list[TableRow]:
    return [row for group in table.groups for row in group.rows]


def text(section: Section | None) -> str:
    """All words of a section."""
    return str(section)


# Claims


def test_each_claim_has_its_verdicts_with_all_that_they_rest_on() -> None:
    section = claims_section(run_of(claims=claims()))
    glance, few, many, untested = tables(section)
    assert (glance.title, few.title) == ("Verdicts at a glance", "Comparisons of claims with up to 8")
    assert [[entry.text for entry in line.entries] for line in rows_of(glance)] == [
        ["1", "–", "–", "–"],
        ["–", "1", "–", "1"],
        ["–", "–", "–", "12"],
    ]
    supported, contradicted, undecided = rows_of(few)
    assert supported.name == "SimAOU, GD, trained: FT − FT on permuted labels"
    assert supported.under == ("mr, k 16",)
    assert [entry.text for entry in supported.entries] == [
        "✓ supported",
        "+0.20",
        "1.53",
        "4.00e−4",
        "5",
        "the difference is above 0 (corrected p = 0.0004)",
    ]
    assert supported.entries[1].under == ("[0.15, 0.25]",)
    assert contradicted.entries[1].text == "−0.20"
    assert [entry.text for entry in undecided.entries[:4]] == ["undecided", "not tested", "–", "–"]
    assert many.folded and "margin ±0.05" in rows_of(many)[0].entries[1].under
    assert rows_of(many)[0].entries[3].text == "0.210"  # of a difference beyond the margin, not of none
    assert section is not None
    assert "Holm, over all comparisons" in section.notes[0]
    (needing,) = rows_of(untested)
    assert (needing.name, needing.under) == ("The claim of none", ("Dai 2023",))
    assert needing.entries[0].text == "trained and untrained weights"


@pytest.mark.parametrize(
    ("margin", "verdict", "p"),
    [(None, "supported", 0.01), (0.05, "supported", 0.03), (0.05, "undecided", 0.03), (0.05, "contradicted", 0.01)],
)
def test_the_p_value_shown_is_the_one_behind_the_verdict(margin: float | None, verdict: str, p: float) -> None:
    comparison = {"margin": margin, "verdict": verdict, "p_corrected": 0.01, "p_equal_corrected": 0.03}
    assert deciding_p(comparison)[0] == p


def test_comparisons_at_one_learning_rate_each_are_counted_at_a_glance_and_said_to_be_unfair() -> None:
    section = claims_section(run_of(claims=claims()))
    single, _, many = rows_of(tables(section)[0])
    assert single.under == ("Dai 2023",) and many.under == ("Dai 2023", "7 of 12 at one learning rate each")
    assert section is not None and "which is higher can depend on where" in section.notes[1]


def test_what_is_missing_from_a_comparison_is_told() -> None:
    record = claims()
    record["claims"][0]["comparisons"][0] |= {"n": 200, "n_missing": 50}
    (few,) = (
        table
        for table in tables(claims_section(run_of(claims=record)))
        if table.groups[0].title.startswith("The claim of one")
    )
    assert "50 of 250 missing" in rows_of(few)[0].entries[1].under


def test_a_run_without_claims_has_no_section_of_them() -> None:
    assert claims_section(run_of()) is None


# Published numbers


def test_a_published_number_stands_beside_the_measured_one_with_what_is_wrong_with_it() -> None:
    section = published_section(
        run_of(
            row("sim_aou", "FT", 0.25, method="GD"),
            row("sim_aou", "FT", 0.2, method="GD", weights="norms_only"),
            row("sim_aou", "FT", 0.9, method="GD", task="a_task_of_mine"),
        )
    )
    (table,) = tables(section)
    assert [head.text for head in table.heads] == ["method, weights", "mr"]
    trained = rows_of(table)[0]
    assert (trained.name, trained.plain) == ("GD", "trained")
    # Deutch 2024, Table 1: 0.17 ± 0.03 on MR with trained weights
    assert trained.entries[0].text == "0.250"
    assert trained.entries[0].under == ("published 0.17 ± 0.03", "difference +0.080")
    assert section is not None
    assert "KoboldAI/fairseq-dense-1.3B, another model than the measured one" in section.notes[0]
    assert "Weights and activations were half precision." in section.notes[2]
    assert "nan" not in text(section)


@pytest.mark.parametrize(
    ("record_at", "words"),
    [("first_answer", "made as the released runs were"), ("prompt_end", "made not as released in record_at")],
)
def test_published_settings_are_not_taken_to_be_those_of_the_run(record_at: str, words: str) -> None:
    study = {"separator": "eos", "fine_tuning_order": "as_released", "fine_tuned_on": "all", "record_at": record_at}
    section = published_section(run_of(row("sim_aou", "FT", 0.25, method="GD"), study=study))
    assert section is not None and section.notes[1] == f"Here k = 16, published k = 32. This run was {words}."


def test_a_published_number_that_is_probably_something_else_is_read_as_that() -> None:
    section = published_section(run_of(row("sim_am_delta", "FT", 0.2, method="GD", weights="norms_only")))
    (only,) = rows_of(tables(section)[0])
    assert only.under == ("published number read as weights = norms_only",)
    assert "only layer norms were kept" in text(section)


@pytest.mark.parametrize("labels", ["abstract", "random"])
def test_scores_under_other_label_words_have_no_published_number_beside_them(labels: str) -> None:
    own, other = (row("sim_aou", "FT", 0.25, method="GD", labels=words) for words in ("gold", labels))
    assert published_section(run_of(other)) is None
    (table,) = tables(published_section(run_of(own, other)))
    assert len(rows_of(table)) == 1


def test_what_no_paper_measured_has_nothing_beside_it() -> None:
    assert published_section(run_of(row("sim_aou", "FT", 0.9, method="GD", task="a_task_of_mine"))) is None


# Learning rates


def _curve() -> list[dict[str, Any]]:
    return [
        row(metric, "FT", value, method="GD", learning_rate=rate, versus=control)
        for rate, size in zip(RATES, (0.1, 0.4, 1.6), strict=True)
        for metric, value, control in (
            ("sim_aou", 0.3, None),
            ("update_size_ratio", size, None),
            ("sim_aou", 0.1, "permuted_labels"),
        )
    ]


def test_score_specificity_and_size_are_drawn_against_the_rate_and_score_against_size() -> None:
    rows = _curve()
    (figure,) = figures(rates_section(run_of(*rows)))
    assert [chart.title for chart in figure.charts] == [
        "SimAOU by rate",
        "SimAOU specificity by rate",
        "SimAOU by size of the update",
        "Size of the update by rate",
    ]
    assert "cosine, minus that on permuted labels" in figure.charts[1].svg
    assert [key.label for key in figure.legend] == ["GD, trained"]


def test_one_rate_each_is_no_curve() -> None:
    rows = [line for line in _curve() if line["learning_rate"] == RATES[0]]
    assert rates_section(run_of(*rows)) is None


def test_methods_at_equal_size_are_compared_in_a_table_that_names_the_size() -> None:
    equal = {"learning_rate": None, "method_options": None, "at": 0.7, "reading": "at_equal_size"}
    rows = [
        *_curve(),
        row("sim_aou", "FT", 0.31, method="GD", **equal),
        row("sim_aou", "FT", 0.04, method="GD", versus="permuted_labels", **equal),
        row("sim_aou", "FT", 0.35, method="GD", **equal | {"at": None, "reading": "over_sizes"}),
    ]
    table, over_sizes = tables(rates_section(run_of(*rows)))
    (only,) = rows_of(table)
    assert [(head.text, head.under) for head in table.heads[1:]] == [
        ("SimAOU", ""),
        ("SimAOU specificity", "vs permuted labels"),
    ]
    assert [entry.text for entry in only.entries] == ["0.310", "0.040"]
    assert only.under == ("at ‖u_FT‖ / ‖u_ICL‖ = 0.700",)
    assert [entry.text for entry in rows_of(over_sizes)[0].entries] == ["0.350"]
    assert [variant.learning_rate for variant in run_of(*rows).scores.tuned()] == list(RATES), (
        "they are no variants of their own"
    )


def test_a_rate_that_diverged_is_named_and_not_drawn() -> None:
    lost = {"value": None, "std": None, "ci_low": None, "ci_high": None, "status": "diverged at step 3"}
    rows = [line | (lost if line["learning_rate"] == RATES[2] else {}) for line in _curve()]
    (figure,) = figures(rates_section(run_of(*rows)))
    assert "Without numbers: GD, trained at 0.016." in figure.caption


# Against k


def test_icl_reordered_icl_and_each_method_are_drawn_against_k() -> None:
    rows = [
        line
        for k in (1, 4)
        for line in (
            row("accuracy", "ZSL", 0.5, k=k),
            row("accuracy", "ICL", 0.7, k=k),
            row("accuracy", "FT", 0.6, k=k, method="GD"),
            row("token_overlap", "ICL_reordered", 0.8, k=k),
            row("token_overlap", "FT", 0.3, k=k, method="GD"),
        )
    ]
    (figure,) = figures(against_k_section(run_of(*rows)))
    assert [key.label for key in figure.legend] == ["ZSL", "ICL", "ICL, reordered", "FT by GD"]
    assert [chart.title for chart in figure.charts] == ["accuracy", "Token Overlap"]
    assert against_k_section(run_of(*(line for line in rows if line["k"] == 1))) is None


# α, layers, gradients


def test_alpha_is_told_by_task_and_drawn_by_layer() -> None:
    rows = [
        row("alpha", "FT", 0.4, method="LCGD", task=task, layer=layer)
        for task in ("mr", "sst2")
        for layer in (None, 0, 1)
    ]
    section = alpha_section(run_of(*rows))
    assert [(line.name, line.entries[0].text) for line in rows_of(tables(section)[0])] == [
        ("mr", "0.400"),
        ("sst2", "0.400"),
    ]
    assert [key.label for key in figures(section)[0].legend] == ["mr", "sst2"]


def test_the_best_pair_of_layers_is_icls_row_and_fts_column() -> None:
    rows = [row("update_size_ratio", "FT", 1.0, method="GD")]
    values = {(0, 0): 0.2, (0, 1): 0.9, (1, 0): None, (1, 1): 0.4}
    rows += [
        row("layer_by_layer_sim_aou", "FT", value, method="GD", layer=layer, at=at)
        for (layer, at), value in values.items()
    ]
    (figure,) = figures(layer_pairs_section(run_of(*rows)))
    assert figure.caption == (
        "GD: 0.300 on the diagonal, 0.900 off it; most alike are ICL’s layer 0 and FT’s layer 1 (0.900). "
        "1 of 4 pairs are missing."
    )


def test_gradient_norms_of_lcgd_are_in_logarithmic_colours_and_many_steps_are_binned() -> None:
    rows = [row("update_size_ratio", "FT", 1.0, method=method) for method in METHODS]
    rows += [
        row("gradient_norm", "FT", 1.0 + step, method=method, layer=layer, step=step, seed=0)
        for method in METHODS
        for layer in range(2)
        for step in range(130)
    ]
    section = gradient_norms_section(run_of(*rows))
    gd, lcgd = figures(section)[0].charts
    assert "norm (linear scale)" in gd.svg and "norm (log scale)" in lcgd.svg
    assert "step, in bins of 3" in gd.svg
    assert section is not None and "never zeroed" in section.notes[0]


# Order, attention, implicit update


def test_the_smallest_spread_is_a_number_and_not_zero() -> None:
    rows = [
        row("order_sensitivity", "ICL", 3.14e-6, std=None, ci_low=3e-6, ci_high=3.3e-6),
        row("order_sensitivity", "FT", 2.2e-9, method="GD", std=None, ci_low=None, ci_high=None),
    ]
    section = order_sensitivity_section(run_of(*rows))
    spreads = [(line.name, line.entries[0].text, line.entries[0].under) for line in rows_of(tables(section)[0])]
    assert spreads == [("ICL", "3.14e−6", ("[3.00e−6, 3.30e−6]",)), ("GD", "2.20e−9", ())]
    assert "GD: 2.20e−9" in figures(section)[0].charts[0].svg


def test_attention_to_demonstrations_stands_beside_chance() -> None:
    section = attention_section(
        run_of(
            row("attention_kendall_by_token", "FT", 0.21, method="GD"),
            row("random_attention_kendall_by_token", "FT", 0.01, method="GD"),
        )
    )
    (only,) = rows_of(tables(section)[0])
    assert only.entries[0].under == ("[0.190, 0.230]", "random 0.010 [−0.010, 0.030]")


@pytest.mark.parametrize("validity, is_flagged", [(0.49, True), (0.51, False)])
def test_the_linear_dual_form_is_called_invalid_below_one_half(validity: float, is_flagged: bool) -> None:
    rows = [
        row("implicit_update", "FT", 0.3, method="GD"),
        row("implicit_update_validity", "FT", validity, method="GD"),
    ]
    (only,) = rows_of(tables(implicit_update_section(run_of(*rows)))[0])
    assert ("linear dual form not valid here" in only.entries[1].under) == is_flagged


# Networks


def test_the_construction_has_ten_weights_of_36_for_two_inputs() -> None:
    """d = 2: W_K and W_Q are diag(1, 1, 0), W_V has W₀ (two weights) and −1, P is a multiple of the 3 × 3 identity."""
    assert zeros_of_construction(2) == pytest.approx(26 / 36)


def test_sparsity_is_told_without_a_task_and_beside_the_construction() -> None:
    nothing = {"task": None, "k": None, "record_at": None}
    rows = [
        row("sparsity_ratio", None, share, **nothing, at=at, layer=layer)
        for at, share in ((1e-3, 0.1), (1e-2, 0.4))
        for layer in (None, 0, 1)
    ]
    rows += [row("sparsity_ratio", None, 0.2, **nothing, at=1e-2, weights="no_training", seed=seed) for seed in (0, 1)]
    section = sparsity_section(run_of(*rows))
    assert [key.label for key in figures(section)[0].legend] == ["trained", "no_training"]
    assert [figure.title for figure in figures(section)] == ["", "By layer"]
    assert [key.label for key in figures(section)[1].legend] == ["under 0.001", "under 0.01"]
    assert "1 − (4d + 2) / (4 (d + 1)²)" in tables(section)[0].note
    assert run_of(*rows).scores.numbers == {}


def test_checkpoints_are_in_the_order_of_training_and_the_gain_at_both_ends_is_told() -> None:
    rows = list(checkpoints())[::-1]
    study = {"model": "tiny", "checkpoints": ["@step1", "@step2"]}
    (figure,) = figures(training_time_section(run_of(*rows, study=study)))
    assert figure.caption == "ICL − ZSL in accuracy: 0.000 at the first checkpoint, +0.300 at the last."
    assert [chart.title for chart in figure.charts][-1] == "parameter distance from the last checkpoint"
    svg = figure.charts[0].svg
    assert svg.index(">step1<") < svg.index(">step2<")
    assert training_time_section(run_of(*rows, study={"model": "tiny", "checkpoints": []})) is None


# Scores


def test_the_reordering_reference_stands_above_ft_with_its_noise_ceiling() -> None:
    section = scores_section(
        run_of(
            row("sim_aou", "FT", 0.3, method="GD"),
            row("sim_aou", "ICL_reordered", 0.49),
            row("sim_aou", "ICL_reordered", 0.66, reading="noise_ceiling", n=90, n_missing=10),
            row("sim_am", "FT", 0.99, method="GD"),
            row("sim_am", "ICL_reordered", 0.98),
        )
    )
    outputs, logits = tables(section)
    assert [line.name for line in rows_of(outputs)] == ["ICL, reordered", "GD"]
    assert "ceiling √r 0.660 (10 of 100 missing)" in rows_of(outputs)[0].entries[0].under
    assert not any("ceiling" in line for line in rows_of(logits)[0].entries[0].under), "SimAM is no cosine of updates"


def test_a_score_with_most_of_its_values_missing_is_flagged() -> None:
    section = scores_section(run_of(row("sim_aou", "FT", 0.3, method="GD", n=40, n_missing=60)))
    (entry,) = rows_of(tables(section)[0])[0].entries
    assert entry.tone == "flagged"
    assert entry.under[-1] == "⚠ most values missing: 60 of 100 missing"


def test_rows_of_several_k_are_grouped_and_do_not_repeat_what_they_share() -> None:
    section = scores_section(
        run_of(*(row("sim_aou", "FT", 0.3, method="GD", k=k, task=task) for k in (4, 16) for task in ("mr", "sst2")))
    )
    (table,) = tables(section)
    assert [group.title for group in table.groups] == ["mr, k 4", "mr, k 16", "sst2, k 4", "sst2, k 16"]
    assert {(line.name, line.plain, line.under) for line in rows_of(table)} == {
        ("GD", "trained", ("learning rate 0.001",))
    }


def test_corrected_queries_are_counted_and_never_mixed_with_all() -> None:
    layers = [row("sim_aou", "FT", 0.3, method="GD", layer=layer) for layer in range(4)]
    rows = [
        *layers,
        row("sim_aou", "FT", 0.3, method="GD"),
        row("sim_aou", "FT", 0.6, method="GD", selection="corrected", n=36, n_missing=4),
    ]
    (only,) = rows_of(tables(corrected_section(run_of(*rows)))[0])
    assert [entry.text for entry in only.entries] == ["10", "0.600"]  # 40 values on 4 layers
    (of_all,) = rows_of(tables(scores_section(run_of(*rows)))[0])
    assert of_all.entries[0].text == "0.300"


def test_an_empty_selection_is_said_in_words() -> None:
    empty = {"std": None, "ci_low": None, "ci_high": None, "interval": None, "n": 0, "status": "nothing selected"}
    rows = [row("sim_aou", "FT", None, method="GD", selection="corrected", **empty)]
    (only,) = rows_of(tables(corrected_section(run_of(*rows)))[0])
    assert [entry.text for entry in only.entries] == ["none", "no query"]
    assert only.entries[0].under == ("no query was wrong in ZSL and right in ICL and FT",)


# Captions

OF_THESE = "95 % intervals, conditional on these demonstrations."
OF_SETS = "95 % intervals over demonstration sets."


@pytest.mark.parametrize(("interval", "words"), [("conditional", OF_THESE), ("demonstrations", OF_SETS)])
def test_captions_say_what_the_intervals_that_are_drawn_hold_for(interval: str, words: str) -> None:
    """Intervals of single demonstration sets are always conditional, and are not drawn."""
    rows = [
        line | {"interval": interval}
        for line in (
            *_curve(),
            *(row("accuracy", "ICL", 0.7, k=k) for k in (1, 4)),
            *(row("alpha", "FT", 0.4, method="LCGD", layer=layer) for layer in (None, 0, 1)),
            *(row("sim_aou", "FT", 0.4, method="LCGD", layer=layer) for layer in (None, 0, 1)),
            row("order_sensitivity", "ICL", 3e-6, std=None, ci_low=2e-6, ci_high=4e-6),
        )
    ]
    rows += [
        row(metric, "FT", 0.4, method="LCGD", layer=layer, seed=0, interval="conditional")
        for metric in ("alpha", "sim_aou")
        for layer in (0, 1)
    ]
    run = run_of(*rows)
    for section in (
        make(run)
        for make in (rates_section, alpha_section, layers_section, order_sensitivity_section, against_k_section)
    ):
        assert words in figures(section)[0].caption


def test_some_intervals_may_be_conditional_where_others_are_not() -> None:
    rows = [
        row("accuracy", setting, 0.7, k=k, interval=interval)
        for k in (1, 4)
        for setting, interval in (("ZSL", "conditional"), ("ICL", "demonstrations"))
    ]
    (figure,) = figures(against_k_section(run_of(*rows)))
    assert "intervals over demonstration sets; some are conditional on these demonstrations." in figure.caption


@pytest.mark.parametrize("has_control", [True, False])
def test_layers_speak_of_other_sets_only_where_these_were_run(has_control: bool) -> None:
    settings = ("FT", "FT_other_sets") if has_control else ("FT",)
    rows = [row("sim_aou", setting, 0.4, method="GD", layer=layer) for setting in settings for layer in (None, 0, 1)]
    (figure,) = figures(layers_section(run_of(*rows)))
    labels = ["GD", "GD on the other sets"]
    assert [key.label for key in figure.legend] == labels[: 1 + has_control]
    assert ("specificity" in figure.caption) == has_control == ("thin dotted" in figure.charts[0].svg)


# Options


@pytest.mark.parametrize("method", METHODS)
def test_a_method_as_it_comes_has_no_options_to_tell(method: str) -> None:
    assert options_text(options(method)) == ""


@pytest.mark.parametrize(
    "settings, words",
    [
        ('{"optimizer": "adam", "epochs": 2}', "Adam, 2 epochs"),
        (
            '{"parameters": {"which": "value", "layers": "deep", "fraction": 0.1, "seed": 0}}',
            "value projections only, deep layers only, a random 10 % of the entries",
        ),
        ('{"parameters": {"which": "key_value", "layers": [2, 4]}}', "layers 2 to 4 only"),
        ('{"step": "batch", "momentum": 0.9, "clip": 1.0}', "full batch, momentum 0.9, clip 1.0"),
        ('{"softmax_gradient": false, "readout": "attention"}', "no softmax derivative, reads the attention output"),
    ],
)
def test_options_that_differ_from_the_default_are_told_in_words(settings: str, words: str) -> None:
    assert options_text(settings) == words
