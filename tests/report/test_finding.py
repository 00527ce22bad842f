"""The sentence says what the data say, and never more."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from demograd.report import Finding, finding, findings, read_run
from demograd.statistics import Verdict

MakeRun = Callable[..., Path]


def _found(folder: Path) -> list[Finding]:
    run = read_run(folder)
    return findings(run.results, run.validity)


def test_eight_seeds_and_intervals_above_zero_support_the_claim_and_the_interval_is_given(run: MakeRun) -> None:
    folder = run(seeds=8, specificity=0.1, methods=("GD",))
    (found,) = _found(folder)
    overall = read_run(folder).results.query(
        "metric == 'sim_aou' and weights == 'trained' and seed.isna() and layer.isna() and "
        "versus == 'other_demonstrations'"
    )
    assert found.verdict == Verdict.SUPPORTED
    assert f"{overall.value.item():.3f} [{overall.ci_low.item():.3f}, {overall.ci_high.item():.3f}]" in found.sentence
    assert found.sentence.startswith("Supported: on mr,")
    assert "8 demonstration sets" in found.sentence


def test_six_seeds_decide_nothing_about_specificity_however_clear_the_interval(run: MakeRun) -> None:
    for found in _found(run(seeds=6, specificity=0.5)):
        assert found.verdict == Verdict.UNDECIDED
        assert found.reason == "6 demonstration sets, and a claim about specificity needs at least 7"


def test_with_three_seeds_it_is_open_whether_there_is_anything_to_resemble(run: MakeRun) -> None:
    for found in _found(run(seeds=3, specificity=0.5)):
        assert found.verdict == Verdict.UNDECIDED
        assert found.reason == "undecided whether there is in-context learning here"
        assert found.sentence.startswith("Undecided: on mr, it is open whether smollm2-135m learns in context")


def test_an_interval_around_zero_leaves_the_claim_open_without_denying_it(run: MakeRun) -> None:
    (found,) = _found(run(seeds=8, specificity=0.0, methods=("GD",)))
    assert found.verdict == Verdict.UNDECIDED
    assert "the data do not show that" in found.sentence
    assert "includes 0" in found.sentence


def test_an_interval_below_zero_contradicts_the_claim(run: MakeRun) -> None:
    (found,) = _found(run(seeds=8, specificity=-0.2, methods=("GD",)))
    assert found.verdict == Verdict.CONTRADICTED
    assert "less in ICL's direction" in found.sentence


def test_labels_that_are_not_noticed_keep_the_claim_from_being_supported(run: MakeRun) -> None:
    read = read_run(run(seeds=8, specificity=0.2, methods=("GD",)))
    results = read.results
    unnoticed = (results.metric == "sim_aou") & (results.versus == "permuted_labels")
    results.loc[unnoticed, "ci_low"] = -0.1
    (found,) = findings(results, read.validity)
    assert found.verdict == Verdict.UNDECIDED
    assert "it is open whether it does so more than fine-tuning on the same ones with permuted labels" in found.sentence


def test_without_in_context_learning_there_is_nothing_to_resemble(run: MakeRun) -> None:
    (found,) = _found(run(seeds=8, specificity=0.2, learns=False, methods=("GD",)))
    assert found.verdict == Verdict.UNDECIDED
    assert found.sentence.startswith("No in-context learning here")


def test_where_fine_tuning_learned_nothing_there_is_nothing_that_icl_could_resemble(run: MakeRun) -> None:
    read = read_run(run(specificity=0.2))
    checks = [
        replace(each, passed=False) if each.check == "fine_tuning" and each.method == "GD 0.001" else each
        for each in read.validity
    ]
    gd, lcgd = findings(read.results, checks)
    assert (gd.verdict, lcgd.verdict) == (Verdict.UNDECIDED, Verdict.SUPPORTED)
    assert gd.sentence.startswith("Fine-tuning learned nothing here: on mr")
    assert gd.reason == "fine-tuning learned nothing here"


def test_a_run_that_was_not_checked_supports_nothing(run: MakeRun) -> None:
    read = read_run(run(seeds=8, specificity=0.2, methods=("GD",)))
    (found,) = findings(read.results, [])
    assert found.verdict == Verdict.UNDECIDED
    assert "not checked" in found.sentence


def test_updates_below_resolution_have_no_direction_to_compare(run: MakeRun) -> None:
    read = read_run(run(seeds=8, specificity=0.2, methods=("GD", "LCGD")))
    checks = [replace(check, passed=check.passed and check.method != "GD 0.001, SimAOU") for check in read.validity]
    gd, lcgd = findings(read.results, checks)
    assert (gd.verdict, lcgd.verdict) == (Verdict.UNDECIDED, Verdict.SUPPORTED)
    assert "too small" in gd.sentence


def test_updates_of_another_size_are_not_compared(run: MakeRun) -> None:
    read = read_run(run(seeds=8, specificity=0.2, methods=("GD", "LCGD")))
    wrecked = replace(read.validity[0], check="update_size", method="GD 0.001", passed=False, weights="trained")
    gd, lcgd = findings(read.results, [*read.validity, wrecked])
    assert (gd.verdict, lcgd.verdict) == (Verdict.UNDECIDED, Verdict.SUPPORTED)
    assert "of another order of size" in gd.sentence


def test_divergence_is_said_with_its_step(run: MakeRun) -> None:
    gd, lcgd = _found(run(seeds=8, specificity=0.2, diverged="LCGD"))
    assert gd.verdict == Verdict.SUPPORTED
    assert lcgd.verdict == Verdict.UNDECIDED
    assert "diverged at step 12 (8 of 8 demonstration sets)" in lcgd.sentence


def test_a_conditional_interval_is_called_that_and_decides_nothing(run: MakeRun) -> None:
    (found,) = _found(run(seeds=8, specificity=0.2, conditional=True, methods=("GD",)))
    assert found.verdict == Verdict.UNDECIDED
    assert "conditional on these demonstrations" in found.sentence


def test_untrained_weights_that_do_the_same_are_named_beside_a_supported_claim(run: MakeRun) -> None:
    read = read_run(run(seeds=8, specificity=0.2, methods=("GD",)))
    results = read.results
    specific = (results.metric == "sim_aou") & results.versus.notna() & results.ci_low.notna()
    results.loc[(results.weights == "no_training") & specific, ["ci_low", "ci_high"]] = (0.1, 0.3)
    (found,) = findings(results, read.validity)
    assert "but the same holds of no_training weights" in found.sentence


@pytest.mark.parametrize("specificity, verdict", [(0.2, Verdict.SUPPORTED), (0.0, Verdict.UNDECIDED)])
def test_the_sentence_of_a_run_names_each_method_and_task(run: MakeRun, specificity: float, verdict: Verdict) -> None:
    read = read_run(run(seeds=8, specificity=specificity, tasks=("mr", "sst2")))
    found = finding(read.results, read.validity)
    assert found.verdict == verdict
    for about in ("GD on mr", "LCGD on mr", "GD on sst2", "LCGD on sst2"):
        assert about in found.sentence
