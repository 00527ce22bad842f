"""The sentence says what the data say, and never more."""

from dataclasses import replace
from math import nan
from typing import Any

import pytest
from tests.report.conftest import Fake, checks_of
from tests.study.comparisons import comparison, comparisons_of, findings, matching_test

from demograd.statistics import Verdict
from demograd.study.language_model.objections import BELOW_RESOLUTION
from demograd.study.language_model.pooling import pooled_over_tasks
from demograd.study.verdicts import Finding, summary
from demograd.words import Labels


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


def test_eight_sets_whose_own_fine_tuning_stands_out_support_the_claim_and_all_numbers_are_given() -> None:
    (finding,) = findings_of_fake(seeds=8, specificity=0.1, methods=("GD",))
    assert finding.verdict == Verdict.SUPPORTED
    assert finding.sentence.startswith("Supported: on mr, fine-tuning smollm2-135m by GD on a demonstration set does")
    assert "SimAOU 0.400 matched, 0.300 mismatched" in finding.sentence
    assert "specificity 0.100 [0.080, 0.120], 25 % [20, 30] of the similarity" in finding.sentence
    assert "8 of 8 sets find their own" in finding.sentence


def test_six_sets_decide_nothing_about_specificity_however_clear_the_interval() -> None:
    for finding in findings_of_fake(seeds=6, specificity=0.5):
        assert finding.verdict == Verdict.UNDECIDED
        assert finding.reason == "6 demonstration sets, and matching needs at least 7"


def test_with_three_sets_it_is_open_whether_there_is_anything_to_resemble() -> None:
    for finding in findings_of_fake(seeds=3, specificity=0.5):
        assert finding.verdict == Verdict.UNDECIDED
        assert finding.reason == "undecided whether there is in-context learning here"
        assert finding.sentence.startswith("Undecided: on mr, it is open whether smollm2-135m learns in context")


def test_an_interval_around_zero_that_reaches_beyond_the_margin_leaves_the_claim_open() -> None:
    (finding,) = findings([comparison(0.0, half=0.1)], checks_of(Fake()))
    assert finding.verdict == Verdict.UNDECIDED
    assert "it is open whether" in finding.sentence and "not shown to be more alike" in finding.reason


@pytest.mark.parametrize("specificity", [0.0, 0.015])
def test_what_is_shown_to_be_as_good_as_nothing_is_not_specific(specificity: float) -> None:
    """A trace that more sets make detectable is no more than a trace."""
    (finding,) = findings([comparison(specificity, half=0.01)], checks_of(Fake()))
    assert finding.verdict == Verdict.NOT_SPECIFIC
    assert "looks as much like ICL with other demonstrations as with its own" in finding.sentence


@pytest.mark.parametrize(
    ("of_ceiling", "caveat"),
    [
        (0.02, "this is below the ceiling"),
        (0.006, "but this is not shown to be below the ceiling"),
    ],
)
def test_what_is_as_good_as_nothing_is_held_beside_what_icl_has_itself(of_ceiling: float, caveat: str) -> None:
    """The margin is wide: all that ICL has by the ceiling may lie within it."""
    pair = replace(comparison(0.0, half=0.003), ceiling=matching_test(of_ceiling, 0.004, 8))
    (finding,) = findings([pair], checks_of(Fake()))
    assert finding.verdict == Verdict.NOT_SPECIFIC and finding.caveat == caveat
    assert finding.sentence.endswith(f"; {caveat}.") and "(ceiling, ICL reordered: " in finding.sentence


def test_without_a_ceiling_nothing_is_said_of_it() -> None:
    (finding,) = findings([comparison(0.0, half=0.01)], checks_of(Fake()))
    assert not finding.caveat and "ceiling" not in finding.sentence


def test_an_interval_below_zero_contradicts_the_claim() -> None:
    (finding,) = findings_of_fake(seeds=8, specificity=-0.2, methods=("GD",))
    assert finding.verdict == Verdict.CONTRADICTED
    assert "does less what ICL does with that set than with another" in finding.sentence


def test_the_verdicts_are_those_of_a_family() -> None:
    """Pairings that matter by little decide one comparison, and not one of ten."""
    methods = ("GD", *(f"GD-{n}" for n in range(9)))
    pairs = [comparison(0.1, half=0.09, method=method) for method in methods]
    pairs = [replace(pair, test=replace(pair.test, p_value=0.005)) for pair in pairs]
    (alone,) = findings(pairs[:1], checks_of(Fake()))
    assert alone.verdict == Verdict.SUPPORTED
    many = findings(pairs, checks_of(Fake()))
    assert {finding.verdict for finding in many} == {Verdict.UNDECIDED}
    assert all("(corrected p = 0.2)" in finding.reason for finding in many)


def test_a_single_trait_of_the_sets_keeps_the_claim_from_being_supported() -> None:
    pair = comparison(0.2)
    (finding,) = findings([replace(pair, test=replace(pair.test, trait_p_value=0.3))], checks_of(Fake()))
    assert finding.verdict == Verdict.UNDECIDED and "a single trait that the sets differ in" in finding.reason


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
    (finding,) = findings([comparison(0.2)], [])
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
    (finding,) = findings([comparison(0.2, objection=why)], [learning, wrong, right])
    assert "that of GD 0.001 (" in finding.sentence and wrong["message"] not in finding.sentence


def test_divergence_is_said_with_its_step() -> None:
    gd, lcgd = findings_of_fake(seeds=8, specificity=0.2, diverged="LCGD")
    assert gd.verdict == Verdict.SUPPORTED
    assert lcgd.verdict == Verdict.UNDECIDED
    assert "diverged at step 12 (8 of 8 demonstration sets)" in lcgd.sentence


def test_two_sets_have_no_interval_and_decide_nothing() -> None:
    (finding,) = findings_of_fake(seeds=8, specificity=0.2, conditional=True, methods=("GD",))
    assert finding.verdict == Verdict.UNDECIDED
    assert "specificity 0.200 [no interval]" in finding.sentence


def test_untrained_weights_that_do_the_same_are_named_beside_a_supported_claim() -> None:
    gates_closed = {"weights": "no_training", "objection": "no in-context learning here"}
    (finding,) = findings([comparison(0.2)], checks_of(Fake()), [comparison(0.2, **gates_closed)])
    assert "but the same holds of no_training weights" in finding.sentence
    (finding,) = findings([comparison(0.2)], checks_of(Fake()), [comparison(0.0, **gates_closed)])
    assert "the same holds" not in finding.sentence


def test_several_tasks_together_lead_and_each_label_word_set_is_named() -> None:
    by_task = [comparison(0.2, task=task) for task in ("mr", "sst2")]
    (pooled,) = pooled_over_tasks(by_task, 0.1)
    findings_of_run = findings([*by_task, pooled], checks_of(Fake(tasks=("mr", "sst2"))))
    assert [finding.about for finding in findings_of_run] == ["GD on mr and sst2", "GD on mr", "GD on sst2"]
    checks = [row | {"labels": "abstract"} for row in checks_of(Fake())]
    (finding,) = findings([comparison(0.2, labels=Labels.ABSTRACT)], checks)
    assert finding.verdict == Verdict.SUPPORTED and "on mr, abstract labels, fine-tuning" in finding.sentence
    (finding,) = findings([comparison(0.2, labels=Labels.ABSTRACT)], checks_of(Fake()))
    assert "not checked" in finding.sentence, "the gate of other label words opens nothing"


def test_a_task_of_too_few_label_words_is_no_part_of_the_tasks_together() -> None:
    undefined = comparison(nan, task="subj", objection="in any words", has_few_label_words=True)
    by_task = [comparison(0.2, task="trec"), undefined, comparison(0.2, task="sst5")]
    (pooled,) = pooled_over_tasks(by_task, 0.1)
    assert pooled.task == "trec and sst5"
    assert not pooled_over_tasks([*by_task, comparison(nan, task="mr", objection=BELOW_RESOLUTION)], 0.1)


@pytest.mark.parametrize("specificity, verdict", [(0.2, Verdict.SUPPORTED), (0.0, Verdict.NOT_SPECIFIC)])
def test_the_sentence_of_a_run_names_each_method_and_task(specificity: float, verdict: Verdict) -> None:
    finding = summary(findings_of_fake(seeds=8, specificity=specificity, tasks=("mr", "sst2")), "")
    assert finding.verdict == verdict
    for about in ("GD on mr", "LCGD on mr", "GD on sst2", "LCGD on sst2"):
        assert about in finding.sentence
