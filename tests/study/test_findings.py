"""The sentence says what the data say, and never more."""

from dataclasses import replace
from math import nan
from typing import Any

import pytest
from tests.report.conftest import Fake, checks_of
from tests.study.comparisons import CONTROLS, comparison, comparisons_of, findings

from demograd.statistics import Verdict
from demograd.study.verdicts import Finding, summary
from demograd.words import Control


def findings_of_fake(**facts: Any) -> list[Finding]:
    fake = Fake(**facts)
    checks = checks_of(fake)
    return findings(comparisons_of(fake, checks), checks)


def changed(fake: Fake, check: str, *, method: str | None, **changes: Any) -> list[Finding]:
    """With one check changed."""
    checks = [
        row | changes if (row["check"], row["method"], row["weights"]) == (check, method, "trained") else row
        for row in checks_of(fake)
    ]
    return findings(comparisons_of(fake, checks), checks)


def test_eight_seeds_and_intervals_above_zero_support_the_claim_and_the_interval_is_given() -> None:
    (finding,) = findings_of_fake(seeds=8, specificity=0.1, methods=("GD",))
    assert finding.verdict == Verdict.SUPPORTED
    assert "0.100 [0.080, 0.120]" in finding.sentence
    assert finding.sentence.startswith("Supported: on mr,")
    assert "8 demonstration sets" in finding.sentence


def test_six_seeds_decide_nothing_about_specificity_however_clear_the_interval() -> None:
    for finding in findings_of_fake(seeds=6, specificity=0.5):
        assert finding.verdict == Verdict.UNDECIDED
        assert finding.reason == "6 demonstration sets, and a claim about specificity needs at least 7"


def test_with_three_seeds_it_is_open_whether_there_is_anything_to_resemble() -> None:
    for finding in findings_of_fake(seeds=3, specificity=0.5):
        assert finding.verdict == Verdict.UNDECIDED
        assert finding.reason == "undecided whether there is in-context learning here"
        assert finding.sentence.startswith("Undecided: on mr, it is open whether smollm2-135m learns in context")


def test_an_interval_around_zero_leaves_the_claim_open_without_denying_it() -> None:
    (finding,) = findings_of_fake(seeds=8, specificity=0.0, methods=("GD",))
    assert finding.verdict == Verdict.UNDECIDED
    assert "the data do not show that" in finding.sentence
    assert "includes 0" in finding.sentence


def test_an_interval_below_zero_contradicts_the_claim() -> None:
    (finding,) = findings_of_fake(seeds=8, specificity=-0.2, methods=("GD",))
    assert finding.verdict == Verdict.CONTRADICTED
    assert "less in ICL's direction" in finding.sentence


def test_labels_that_are_not_noticed_keep_the_claim_from_being_supported() -> None:
    other, labels = CONTROLS
    (finding,) = findings([comparison(other, 0.2), comparison(labels, 0.2, half=0.3)], checks_of(Fake()))
    assert finding.verdict == Verdict.UNDECIDED
    assert (
        "it is open whether it does so more than fine-tuning on the same ones with permuted labels" in finding.sentence
    )


def test_the_verdicts_are_those_of_a_family() -> None:
    """An interval that leaves out zero by little decides one comparison, and not one of ten."""
    rates = [
        replace(pair, test=replace(pair.test, p_value=0.01))
        for method in ("GD", *(f"GD-{n}" for n in range(4)))
        for pair in (comparison(control, 0.021, method=method) for control in CONTROLS)
    ]
    (alone,) = findings(rates[:2], checks_of(Fake()))
    assert alone.verdict == Verdict.SUPPORTED
    many = findings(rates, checks_of(Fake()))
    assert {finding.verdict for finding in many} == {Verdict.UNDECIDED}
    assert all("(corrected p = 0.1)" in finding.reason for finding in many)


def test_without_in_context_learning_there_is_nothing_to_resemble() -> None:
    (finding,) = findings_of_fake(seeds=8, specificity=0.2, learns=False, methods=("GD",))
    assert finding.verdict == Verdict.UNDECIDED
    assert finding.sentence.startswith("No in-context learning here")


def test_where_fine_tuning_learned_nothing_there_is_nothing_that_icl_could_resemble() -> None:
    gd, lcgd = changed(Fake(specificity=0.2), "fine_tuning", method="GD 0.001", passed=False)
    assert (gd.verdict, lcgd.verdict) == (Verdict.UNDECIDED, Verdict.SUPPORTED)
    assert gd.sentence.startswith("Fine-tuning learned nothing here: on mr")
    assert gd.reason == "fine-tuning learned nothing here"


def test_a_run_that_was_not_checked_supports_nothing() -> None:
    (finding,) = findings([comparison(control, 0.2) for control in CONTROLS], [])
    assert finding.verdict == Verdict.UNDECIDED
    assert "not checked" in finding.sentence


def test_updates_below_resolution_have_no_direction_to_compare() -> None:
    gd, lcgd = changed(Fake(specificity=0.2), "resolution", method="GD 0.001, SimAOU", passed=False)
    assert (gd.verdict, lcgd.verdict) == (Verdict.UNDECIDED, Verdict.SUPPORTED)
    assert "too small" in gd.sentence


def test_updates_of_another_size_are_not_compared() -> None:
    checks = checks_of(fake := Fake(seeds=8, specificity=0.2))
    checks.append(checks[0] | {"check": "update_size", "method": "GD 0.001", "passed": False})
    gd, lcgd = findings(comparisons_of(fake, checks), checks)
    assert (gd.verdict, lcgd.verdict) == (Verdict.UNDECIDED, Verdict.SUPPORTED)
    assert "of another order of size" in gd.sentence


@pytest.mark.parametrize("other", ["GD slow 0.001", "GD 0.1", "GD 0.0011"])
def test_only_the_check_of_the_cells_that_were_read_is_quoted(other: str) -> None:
    """Not that of a method whose name begins alike, nor of another rate."""
    checks = [row for row in checks_of(Fake(methods=("GD",))) if row["weights"] == "trained"]
    learning, row = (
        next(row for row in checks if row["check"] == gate) for gate in ("in_context_learning", "fine_tuning")
    )
    wrong, right = (
        row | {"method": method, "passed": False, "message": f"that of {method}"} for method in (other, "GD 0.001")
    )
    why = "fine-tuning learned nothing here"
    (finding,) = findings([comparison(control, 0.2, objection=why) for control in CONTROLS], [learning, wrong, right])
    assert "that of GD 0.001 (" in finding.sentence and wrong["message"] not in finding.sentence


def test_divergence_is_said_with_its_step() -> None:
    gd, lcgd = findings_of_fake(seeds=8, specificity=0.2, diverged="LCGD")
    assert gd.verdict == Verdict.SUPPORTED
    assert lcgd.verdict == Verdict.UNDECIDED
    assert "diverged at step 12 (8 of 8 demonstration sets)" in lcgd.sentence


def test_a_single_set_has_no_interval_and_decides_nothing() -> None:
    (finding,) = findings_of_fake(seeds=8, specificity=0.2, conditional=True, methods=("GD",))
    assert finding.verdict == Verdict.UNDECIDED
    assert "0.200 [no interval]" in finding.sentence


def test_untrained_weights_that_do_the_same_are_named_beside_a_supported_claim() -> None:
    gates_closed = {"weights": "no_training", "objection": "no in-context learning here"}
    untrained = [comparison(control, 0.2, **gates_closed) for control in CONTROLS]
    (finding,) = findings([comparison(control, 0.2) for control in CONTROLS], checks_of(Fake()), untrained)
    assert "but the same holds of no_training weights" in finding.sentence
    untrained[0] = comparison(CONTROLS[0], 0.0, **gates_closed)
    (finding,) = findings([comparison(control, 0.2) for control in CONTROLS], checks_of(Fake()), untrained)
    assert "the same holds" not in finding.sentence


def test_a_control_that_was_not_run_leaves_the_claim_open() -> None:
    (finding,) = findings([comparison(CONTROLS[0], 0.2)], checks_of(Fake()))
    assert (finding.verdict, finding.reason) == (Verdict.UNDECIDED, "a control is missing")
    assert "no comparison with permuted labels (not measured)" in finding.sentence
    three = [*(comparison(control, 0.2) for control in CONTROLS), comparison(Control.OTHER_TASK, nan, objection="lost")]
    (finding,) = findings(three, checks_of(Fake()), controls=[*Control])
    assert finding.verdict == Verdict.UNDECIDED and "no comparison with another task (lost)" in finding.sentence


@pytest.mark.parametrize("specificity, verdict", [(0.2, Verdict.SUPPORTED), (0.0, Verdict.UNDECIDED)])
def test_the_sentence_of_a_run_names_each_method_and_task(specificity: float, verdict: Verdict) -> None:
    finding = summary(findings_of_fake(seeds=8, specificity=specificity, tasks=("mr", "sst2")), "")
    assert finding.verdict == verdict
    for about in ("GD on mr", "LCGD on mr", "GD on sst2", "LCGD on sst2"):
        assert about in finding.sentence
