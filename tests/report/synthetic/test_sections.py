"""What the sections of a synthetic run say, each on the few rows that it is about."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from tests.report.rows import row as language_model_row
from tests.report.synthetic.rows import WORLD, everything, matrices, reference, row, synthetic_run

from demograd.report.charts.lines import Axis, log_ticks, with_ticks
from demograd.report.run import read_matrices
from demograd.report.section import Figure, Section, Table, TableRow, registered_sections
from demograd.report.sections.comparison import comparison_section
from demograd.report.sections.constructions import constructions_section
from demograd.report.sections.curves import CURVES, curve_section
from demograd.report.sections.losses import losses_section
from demograd.report.sections.order_sensitivity import order_sensitivity_section
from demograd.report.sections.sparsity import sparsity_section
from demograd.report.sections.training import training_section
from demograd.report.sections.weights import IDLE, SIDE, weights_section
from demograd.study.synthetic.questions.copying import TOKENS

CURVE = {curve.name: curve for curve in CURVES}


def lines(section: Section | None, number: int = 0) -> list[TableRow]:
    assert section is not None
    table = [part for part in section.parts if isinstance(part, Table)][number]
    return [line for group in table.groups for line in group.rows]


def figure(section: Section | None) -> Figure:
    assert section is not None
    return next(part for part in section.parts if isinstance(part, Figure))


def construction(name: str, error: float | None) -> dict[str, Any]:
    return row("construction_error", error, setting="construction", model=None, task=None, k=None, method=name, n=100)


# Constructions


def test_a_construction_is_exact_below_rounding_and_not_above() -> None:
    exact, wrong, unknown = lines(
        constructions_section(
            synthetic_run(
                construction("one GD step", 4.4e-15), construction("GD++", 1e-10), construction("dual form", None)
            )
        )
    )
    assert (exact.name, exact.entries[0].text, exact.entries[1].text) == ("one GD step", "100", "4.40e−15")
    assert [line.entries[2].tone for line in (exact, wrong, unknown)] == ["supported", "contradicted", "undecided"]
    assert unknown.entries[1].text == "missing"


# Losses


def test_the_notebooks_number_stands_beside_the_loss_of_a_world_that_they_draw_from_and_of_no_other() -> None:
    drawn_alike = {"kind": "linear", "dimension": 10, "inputs": "uniform", "half_width": 0.5, "noise": 0.0}
    run = synthetic_run(reference("loss", 0.3976, "GD, 1 step"), row("loss", 0.4))
    for half_width, says in ((0.5, True), (1.0, False)):
        world = {**drawn_alike, "nonzero": None, "half_width": half_width}
        study = {"kind": "synthetic", "context": 10, "worlds": {WORLD: world}}
        section = losses_section(replace(run, study=study))
        assert section is not None
        [table] = [part for part in section.parts if isinstance(part, Table)]
        assert ("is 0.2047; half of it here, in isotropic, 0.1988" in table.note) == says


def test_networks_come_before_references_and_a_reference_rests_on_test_sequences_alone() -> None:
    gd, network = lines(losses_section(synthetic_run(reference("loss", 1.931, "GD, 1 step"), row("loss", 1.934))))[::-1]
    assert (network.name, network.plain, network.tone) == ("linear, 1 layer", "network", "")
    assert network.entries[0].under == ("[1.930, 1.938]",)
    assert network.entries[1].text == "20,480"
    assert (gd.name, gd.plain, gd.tone) == ("GD, 1 step", "reference", "reference")
    assert gd.entries[0].under == ("[1.927, 1.935]", "conditional")


def test_a_small_loss_keeps_three_digits() -> None:
    (line,) = lines(losses_section(synthetic_run(row("loss", 0.04123, around=0.0004))))
    assert (line.entries[0].text, line.entries[0].std) == ("0.0412", "0.0002")


def test_a_loss_that_is_zero_but_for_rounding_is_not_written_as_zero() -> None:
    (line,) = lines(losses_section(synthetic_run(reference("loss", 3.1e-13, "least squares", around=1e-13))))
    assert line.entries[0].text == "3.1e−13"


def test_other_attention_is_told_by_its_margin_and_the_matching_one_by_name() -> None:
    margin = row("loss_margin", 0.024, model="relu", method="exponential")
    section = losses_section(
        synthetic_run(row("loss", 0.21, model="exponential"), row("loss", 0.234, model="relu"), margin)
    )
    assert [line.entries[-1].text for line in lines(section)] == ["matching", "0.024"]


def test_a_network_has_a_margin_above_each_network_that_matches() -> None:
    margins = [
        row("loss_margin", value, model="relu", method=name, around=0.001)
        for name, value in (("exponential", 0.024), ("exponential, larger", 0.03))
    ]
    (line,) = lines(losses_section(synthetic_run(row("loss", 0.234, model="relu"), *margins)))
    assert line.entries[-1].text == "0.0240"
    assert line.entries[-1].under[-1] == "above “exponential, larger”: 0.0300 [0.0290, 0.0310]"


def test_a_network_that_diverged_is_in_the_table_with_that_word() -> None:
    section = losses_section(synthetic_run(row("loss", None, status="diverged at step 120 (2 of 5 seeds)")))
    assert lines(section)[0].entries[0].text == "diverged at step 120 (2 of 5 seeds)"


# Comparison


def test_each_pair_has_its_verdict_and_its_numbers() -> None:
    pair = {"method": "GD, 1 step"}
    seeds = [
        row("loss_ratio", ratio, seed=seed, n_seeds=1, method="ridge") for seed, ratio in enumerate((0.1, 0.5, 0.3))
    ]
    section = comparison_section(
        synthetic_run(
            *seeds,
            row("loss_ratio", 1.002, **pair),
            row("sensitivity_cosine", 0.998, around=0.001, **pair),
            row("loss_ratio", 0.3, method="ridge"),
            row("sensitivity_cosine", 0.998, around=0.001, method="ridge"),
            row("preconditioner_distance", 0.021, method="closed form (Ahn 2023)"),
        )
    )
    gd, ridge = lines(section)
    assert gd.under == ("against GD, 1 step",)
    assert [entry.text for entry in gd.entries] == ["supported", "1.002", "0.9980"]
    assert ridge.entries[0].text == ridge.entries[0].tone == "contradicted"
    assert ridge.entries[0].under == ("in 3 of 3 seeds its loss is below, seed by seed 0.100 to 0.500 times as large",)
    assert lines(section, 1)[0].entries[0].text == "0.021"


def test_without_sensitivities_there_is_no_column_for_a_verdict() -> None:
    section = comparison_section(synthetic_run(row("loss_ratio", 1.002, method="ridge")))
    assert [entry.text for entry in lines(section)[0].entries] == ["1.002"]


# Curves


def test_curves_stand_between_the_losses_over_training_and_the_matrices() -> None:
    sections = [section for section in registered_sections() if 40 <= section.order <= 70]
    assert [section.title for section in sections] == [
        "Over training",
        *(curve.title for curve in CURVES),
        "What was learned, as matrices",
    ]
    assert len({section.order for section in sections}) == len(sections)


def test_a_curve_takes_more_than_one_point() -> None:
    point = row("loss_at_scale", 1.0, at=1.0)
    assert curve_section(synthetic_run(point), CURVE["input-scale"]) is None
    assert curve_section(synthetic_run(point, row("loss_at_scale", None, at=2.0)), CURVE["input-scale"]) is None
    section = curve_section(synthetic_run(point, row("loss_at_scale", 2.0, at=2.0)), CURVE["input-scale"])
    assert [chart.title for chart in figure(section).charts] == ["isotropic"]


def test_context_lengths_are_a_curve_of_the_loss_for_worlds_that_have_several() -> None:
    several = [row("loss", 1.0, k=10), row("loss", 0.5, k=20), reference("loss", 0.4, "ridge", k=20)]
    section = curve_section(synthetic_run(*several, row("loss", 1.0, task="another world")), CURVE["context"])
    assert [chart.title for chart in figure(section).charts] == ["isotropic"]
    assert [key.label for key in figure(section).legend] == ["linear, 1 layer", "ridge"]


def test_losses_of_another_order_than_a_charts_others_are_left_out_and_counted() -> None:
    flat = [row("loss_at_scale", 1.0, at=at) for at in (0.5, 1.0, 2.0)]
    exact = [reference("loss_at_scale", 1e-13, "least squares", at=at) for at in (1.0, 2.0)]
    caption = figure(curve_section(synthetic_run(*flat, *exact), CURVE["input-scale"])).caption
    assert "Left out: 2 losses" in caption
    assert "Left out" not in figure(curve_section(synthetic_run(*flat), CURVE["input-scale"])).caption


def test_sensitivities_over_training_are_a_line_for_each_reference() -> None:
    cosines = [
        row("sensitivity_cosine", 0.9, step=step, method=name) for step in (1, 10) for name in ("GD, 1 step", "ridge")
    ]
    section = curve_section(synthetic_run(*cosines, row("sensitivity_cosine", 0.9)), CURVE["sensitivity-over-training"])
    assert [key.label for key in figure(section).legend] == [
        "linear, 1 layer, against GD, 1 step",
        "linear, 1 layer, against ridge",
    ]


def test_the_sentence_of_copying_is_of_the_token_that_would_be_copied() -> None:
    sensitivities = [
        row("copying_sensitivity", ends[at], step=step, method=token)
        for token, ends in zip(TOKENS, ((3.3, 4.0), (0.04, 1.74), (0.1, 0.2)), strict=True)
        for at, step in enumerate((1, 8000))
    ]
    section = curve_section(synthetic_run(*sensitivities), CURVE["copying"])
    assert section is not None and section.lead.startswith(
        "In isotropic, norm of the derivative of “linear, 1 layer, by its next token” goes from 0.040 [0.036, 0.044] "
        "at 1 to 1.740 [1.736, 1.744] at 8000 (step of training)."
    )


def test_weights_mixed_with_several_constructions_are_told_apart() -> None:
    mixed = [row("loss_interpolated", 1.0, at=at, method=to) for at in (0, 1) for to in ("GD, 1 step", "ridge")]
    labels = [key.label for key in figure(curve_section(synthetic_run(*mixed), CURVE["interpolation"])).legend]
    assert labels == ["linear, 1 layer, towards GD, 1 step", "linear, 1 layer, towards ridge"]


def training(*references: tuple[str, float]) -> list[str]:
    """The legend of training curves where a network is held against these references of these losses."""
    curve = [row("training_loss", 9.0 / step, step=step) for step in (1, 10, 100)]
    losses = [reference("loss", loss, name) for name, loss in references]
    ratios = [row("loss_ratio", 1.0, method=name) for name, _ in references if name != "nobody’s"]
    return [key.label for key in figure(training_section(synthetic_run(*curve, *losses, *ratios))).legend]


def test_training_curves_have_the_references_that_networks_are_held_against_beside_them() -> None:
    assert training(("GD, 1 step", 1.9), ("nobody’s", 1.8)) == ["linear, 1 layer", "GD, 1 step"]


def test_a_reference_that_errs_not_at_all_does_not_press_training_curves_flat() -> None:
    assert training(("GD, 1 step", 1.9), ("least squares", 1e-14)) == ["linear, 1 layer", "GD, 1 step"]


def test_many_references_would_hide_training_curves() -> None:
    assert len(training(*((f"GD, {n} steps", 1.0 / n) for n in range(1, 5)))) == 5
    assert training(*((f"GD, {n} steps", 1.0 / n) for n in range(1, 6))) == ["linear, 1 layer"]


def test_a_logarithmic_axis_has_powers_of_ten_or_where_they_are_few_their_halves_and_fifths() -> None:
    assert log_ticks(pd.Series([0.5, 3000.0])) == (1, 10, 100, 1000)
    assert log_ticks(pd.Series([0.09, 1.2])) == (0.1, 0.2, 0.5, 1)
    assert log_ticks(pd.Series([1.1, 1.9])) == log_ticks(pd.Series(dtype=float)) == ()


def test_whole_numbers_that_were_measured_have_a_tick_each() -> None:
    axis = Axis("layers", whole=True)
    assert with_ticks(axis, pd.Series([3.0, 1.0, 1.0])) == replace(axis, ticks=(1.0, 3.0))
    assert with_ticks(axis, pd.Series(range(100), dtype=float)) == axis


# Weights


def test_matrices_of_the_first_seed_stand_beside_the_theoretical_ones() -> None:
    section = weights_section(synthetic_run(matrices=tuple(map(read_matrices, matrices()))))
    assert [chart.title for chart in figure(section).charts] == ["layer 0, KᵀQ", "layer 0, PV"]
    svg = figure(section).charts[0].svg
    assert svg.index(">trained<") < svg.index(">GD, 1 step<")
    assert "Of training seed 0" in str(section)


def test_a_matrix_that_theory_says_nothing_of_stands_alone() -> None:
    alone = {**next(matrices()), "theories": {}}
    svg = figure(weights_section(synthetic_run(matrices=(read_matrices(alone),)))).charts[0].svg
    assert ">trained<" in svg and "None" not in svg


def test_the_first_row_of_a_matrix_is_on_top() -> None:
    below_left = {**next(matrices()), "trained": [[0.0, 0.0], [1.0, 0.0]], "theories": {}, "in_use": [[True] * 2] * 2}
    svg = figure(weights_section(synthetic_run(matrices=(read_matrices(below_left),)))).charts[0].svg
    assert f'd="M0,{SIDE // 2}h{SIDE // 2}v{SIDE // 2}h-{SIDE // 2}Z" fill="rgb(184, 67, 10)"' in svg


def test_idle_entries_are_grey_and_counted() -> None:
    idle = {
        **next(matrices()),
        "trained": [[0.5, 0.0], [1.0, 0.0]],
        "theories": {},
        "in_use": [[True] * 2, [False] * 2],
    }
    drawing = figure(weights_section(synthetic_run(matrices=(read_matrices(idle),))))
    assert drawing.caption == "Idle: 2 of 4 entries of KᵀQ in layer 0."
    # the larger weight is idle: neither drawn nor what the colours reach to
    assert "from 0 to 0.5" in drawing.charts[0].svg and IDLE in drawing.charts[0].svg
    whole = {**idle, "in_use": [[True] * 2] * 2}
    assert figure(weights_section(synthetic_run(matrices=(read_matrices(whole),)))).caption == ""


def test_a_row_that_is_idle_as_a_whole_keeps_its_place() -> None:
    idle = {**next(matrices()), "trained": [[1.0], [0.5]], "theories": {}, "in_use": [[False], [True]]}
    svg = figure(weights_section(synthetic_run(matrices=(read_matrices(idle),)))).charts[0].svg
    assert f'd="M0,{SIDE // 2}h{SIDE}v{SIDE // 2}h-{SIDE}Z"' in svg


def test_a_layer_stands_beside_every_theory_of_it() -> None:
    first = next(matrices())
    two = {**first, "theories": {"closed form (Ahn 2023)": first["trained"], **first["theories"]}}
    svg = figure(weights_section(synthetic_run(matrices=(read_matrices(two),)))).charts[0].svg
    assert svg.index(">trained<") < svg.index(">closed form (Ahn 2023)<") < svg.index(">GD, 1 step<")


# Sparsity and order


def test_small_networks_are_named_by_their_worlds_beside_the_language_model() -> None:
    about = {"setting": None, "at": 0.01}
    section = sparsity_section(
        synthetic_run(
            row("sparsity_ratio", 0.1, **about),
            row("sparsity_ratio", 0.1, **about, layer=0),
            row("sparsity_ratio", 0.9, **about, model="construction", weights="constructed"),
            language_model_row("sparsity_ratio", None, 0.3, task=None, k=None, at=0.01),
        )
    )
    assert [key.label for key in figure(section).legend] == [
        "trained, linear, 1 layer in isotropic",
        "trained, smollm2-135m",
        "constructed, for isotropic",
    ]


def test_products_come_before_factors_with_a_line_for_each_network_and_construction() -> None:
    about = {"setting": None, "at": 0.01}
    section = sparsity_section(
        synthetic_run(
            row("sparsity_ratio", 0.1, **about),
            row("sparsity_ratio_products", 0.9, **about),
            row("sparsity_ratio_products", 0.8, **about, layer=0),
            row("sparsity_ratio_products", 1.0, **about, layer=1),
            row("sparsity_ratio_products", 0.95, **about, model="GD, 1 step", weights="constructed"),
        )
    )
    assert section is not None
    products, factors = [part for part in section.parts if isinstance(part, Figure)]
    assert [key.label for key in products.legend] == ["linear, 1 layer", "GD, 1 step"]
    assert [key.label for key in factors.legend] == ["trained"]
    assert "Of a language model there are factors only" in factors.caption


def test_a_construction_stands_for_the_reference_that_it_does() -> None:
    about = {"setting": "construction", "weights": "constructed"}
    section = order_sensitivity_section(
        synthetic_run(
            reference("order_sensitivity_relative", 1e-16, "GD, 3 steps"),
            reference("order_sensitivity_relative", 0.1, "SGD"),
            reference("order_sensitivity_relative", 1e-16, "GD, 3 steps", **about),
            reference("order_sensitivity_relative", 0.2, "GD, 3 steps, causal", **about),
        )
    )
    assert [(line.name, line.plain) for line in lines(section)] == [
        ("GD, 3 steps", "construction"),
        ("GD, 3 steps, causal", "construction"),
        ("SGD", "reference"),
    ]


def test_order_sensitivities_of_other_units_are_not_in_one_table() -> None:
    small = [
        row("order_sensitivity_relative", 2.1e-7, around=1e-8),
        reference("order_sensitivity_relative", 0.2, "SGD"),
    ]
    model = language_model_row("order_sensitivity", "ICL", 3.1e-6, ci_low=3e-6, ci_high=3.4e-6)
    section = order_sensitivity_section(synthetic_run(*small, model))
    assert [line.name for line in lines(section, 0)] == ["linear, 1 layer", "SGD"]
    assert [line.name for line in lines(section, 1)] == ["ICL"]
    assert "units differ" in str(section)
    assert "units differ" not in str(order_sensitivity_section(synthetic_run(*small)))


@pytest.mark.parametrize(
    "section",
    [constructions_section, losses_section, comparison_section, training_section],
)
def test_what_was_not_measured_has_no_section(section: Any) -> None:
    assert section(synthetic_run()) is None
    assert section(synthetic_run(*everything())) is not None
