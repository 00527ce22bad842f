"""The sentences of a synthetic run say what its numbers say."""

from typing import Any

from tests.report.synthetic.rows import row
from tests.study.synthetic.evidence import findings_in, record_of

from demograd.statistics import Verdict
from demograd.study.verdicts import Finding

SYSTEM = {"task": "system", "model": "deep", "method": "regularised least squares"}
WORLDS = {"system": {"kind": "system", "dimension": 3}}


def findings(*rows: dict[str, Any]) -> list[Finding]:
    return findings_in(record_of(rows, 10, WORLDS))


def first(*rows: dict[str, Any]) -> Finding:
    return Finding(**record_of(rows, 10, WORLDS)["finding"])


def against_gd(ratio: float, cosine: float, *, around: float = 0.004, **about: Any) -> list[dict[str, Any]]:
    about = {"method": "GD, 1 step"} | about
    return [row("loss_ratio", ratio, around=around, **about), row("sensitivity_cosine", cosine, around=0.001, **about)]


def test_one_finding_is_the_sentence_of_the_run_with_its_numbers() -> None:
    finding = first(*against_gd(1.002, 0.998))
    assert finding.verdict == Verdict.SUPPORTED
    assert finding.sentence == (
        "Supported: in isotropic, “linear, 1 layer” does what GD, 1 step does (its loss is 1.002 [0.998, 1.006] times "
        "as large; the cosine of their sensitivities 0.9980 [0.9970, 0.9990]); 95 % intervals over 5 training seeds, "
        "verdicts corrected by Holm."
    )


def test_several_findings_are_summed_up_by_claim_and_verdict() -> None:
    other = {"model": "linear, 3 layers", "method": "GD, 3 steps"}
    both = first(*against_gd(1.002, 0.998), *against_gd(0.3, 0.7, **other))
    assert both.verdict == Verdict.UNDECIDED
    assert both.sentence == (
        "That a trained transformer does what a reference does is supported for “linear, 1 layer” as GD, 1 step in "
        "isotropic; contradicted for “linear, 3 layers” as GD, 3 steps (it is better) in isotropic."
    )
    assert first(*against_gd(1.002, 0.998), *against_gd(1.0, 0.998, **other)).verdict == Verdict.SUPPORTED


def test_many_findings_of_a_verdict_are_counted() -> None:
    same = [columns for n in range(7) for columns in against_gd(1.002, 0.998, model=f"network {n}")]
    assert first(*same).sentence.endswith("is supported for all 7.")
    assert first(*same, *against_gd(0.3, 0.7)).sentence.endswith(
        "is supported for 7 of 8; contradicted for “linear, 1 layer” as GD, 1 step (it is better) in isotropic."
    )


def test_a_network_that_is_not_an_algorithm_is_a_better_or_a_worse_one_or_as_good() -> None:
    better, worse, other = (findings(*against_gd(ratio, 0.7))[0].sentence for ratio in (0.304, 1.5, 1.0))
    assert better == (
        "Contradicted: in isotropic, “linear, 1 layer” does not do what GD, 1 step does: its loss is at least 3.24 "
        "times below, so it is not that algorithm but a better one (its loss is 0.304 [0.300, 0.308] times as large; "
        "the cosine of their sensitivities 0.7000 [0.6990, 0.7010]); 95 % intervals over 5 training seeds, verdicts "
        "corrected by Holm."
    )
    assert "its loss is at least 1.49 times as large, so it is not that algorithm but a worse one" in worse
    assert "though its loss is within 2 %: it is another algorithm that is as good" in other


def by_seed(*ratios: float) -> list[dict[str, Any]]:
    about = {"method": "GD, 1 step", "n_seeds": 1}
    return [row("loss_ratio", ratio, seed=seed, **about) for seed, ratio in enumerate(ratios)]


def test_seeds_that_ended_at_different_optima_are_counted_and_not_averaged_away() -> None:
    apart = by_seed(1.001, 28.0, 190.0, 1.004, 40.0)
    (finding,) = findings(*against_gd(52.0, 0.7), *apart)
    assert finding.sentence.startswith(
        "Contradicted: in isotropic, “linear, 1 layer” does not do what GD, 1 step does from every seed: in 2 of 5 "
        "seeds its loss is within 2 %, in 3 above, seed by seed 1.001 to 190.000 times as large ("
    )
    (open_,) = findings(*against_gd(52.0, 0.998, around=51.5), *apart)
    assert open_.verdict == Verdict.UNDECIDED and "a mean over seeds of which in 2 of 5 seeds" in open_.sentence
    summed = first(*against_gd(52.0, 0.7), *apart, *against_gd(1.002, 0.998, model="other"))
    assert "contradicted for “linear, 1 layer” as GD, 1 step (its seeds disagree)" in summed.sentence


def test_seeds_that_stand_alike_are_not_counted() -> None:
    (finding,) = findings(*against_gd(0.304, 0.7), *by_seed(0.3, 0.31, 0.302, 0.305, 0.303))
    assert "seeds its loss" not in finding.sentence and "it is not that algorithm but a better one" in finding.sentence
    (two,) = findings(*against_gd(0.304, 0.7), *by_seed(0.1, 0.31, 0.502, 0.305, 0.303))
    assert "in 5 of 5 seeds its loss is below, seed by seed 0.100 to 0.502 times as large" in two.sentence


def test_statements_of_one_claim_are_corrected_for_one_another() -> None:
    """An interval that reaches to the bound at 97.5 % decides one statement, and leaves it open among twenty."""
    close = against_gd(1.0, 0.998, around=0.017)
    (alone,) = findings(*close)
    assert alone.verdict == Verdict.SUPPORTED
    others = [row for n in range(19) for row in against_gd(1.0, 0.998, around=0.017, model=f"network {n}")]
    many = findings(*close, *others)
    assert {finding.verdict for finding in many} == {Verdict.UNDECIDED}
    assert "corrected p = " in many[0].reason


def test_few_seeds_are_named_as_the_reason() -> None:
    (finding,) = findings(*against_gd(1.002, 0.998, n_seeds=3))
    assert finding.verdict == Verdict.UNDECIDED
    assert finding.reason == "fewer than 5 training seeds (3)"
    assert "it is open whether “linear, 1 layer” does what GD, 1 step does" in finding.sentence


def test_a_run_of_constructions_alone_has_nothing_to_say_of_networks() -> None:
    finding = first(row("construction_error", 1e-15, setting="construction", model=None, task=None, method="GD"))
    assert finding.sentence == "Undecided: no network was held against anything."


def test_the_matching_attention_is_not_its_own_rival() -> None:
    world = {"task": "kernel", "method": "exponential"}
    margins = [row("loss_margin", 0.02, model="relu", **world), row("loss_margin", 0.0, model="exponential", **world)]
    (finding,) = findings(*margins)
    assert finding.verdict == Verdict.SUPPORTED
    assert "0.020 [0.016, 0.024] of “relu”" in finding.sentence


def test_the_lowest_of_those_that_did_not_diverge_is_not_the_lowest() -> None:
    world = {"task": "kernel", "method": "exponential"}
    margin = row("loss_margin", 0.02, model="relu", **world)
    (lowest,) = findings(margin, row("loss_margin", None, model="linear", status="“linear” diverged", **world))
    assert (lowest.verdict, lowest.reason) == (Verdict.UNDECIDED, "“linear” diverged")


def test_a_network_that_diverged_and_is_no_rival_leaves_the_others_decided() -> None:
    margin = row("loss_margin", 0.02, model="relu", method="exponential", task="kernel")
    lowest, unknown = findings(margin, row("loss", None, model="deep", status="diverged at step 9", task="kernel"))
    assert lowest.verdict == Verdict.SUPPORTED
    assert unknown.sentence == "Undecided: in kernel, nothing can be said of “deep”: diverged at step 9."


def test_least_squares_counts_after_the_state_dimension_only() -> None:
    ratios = {1: 1.5, 3: 1.4, 4: 1.02, 7: 1.05}
    (finding,) = findings(*(row("loss_ratio_by_position", ratio, at=t, **SYSTEM) for t, ratio in ratios.items()))
    assert finding.verdict == Verdict.SUPPORTED
    assert "the largest ratio is 1.050 [1.046, 1.054], with 7 states seen" in finding.sentence


def test_one_bad_position_contradicts_and_is_named() -> None:
    ratios = {4: 1.02, 5: 1.2, 6: 0.8}
    (finding,) = findings(*(row("loss_ratio_by_position", ratio, at=t, **SYSTEM) for t, ratio in ratios.items()))
    assert finding.verdict == Verdict.CONTRADICTED
    assert "1.200 [1.196, 1.204], with 5 states seen; the smallest is 0.800 [0.796, 0.804], with 6" in finding.sentence


def test_a_preconditioner_within_five_percent_is_the_closed_form() -> None:
    about = {"method": "closed form (Ahn 2023)"}
    near, open_, far = (findings(row("preconditioner_distance", far, **about))[0] for far in (0.03, 0.049, 0.09))
    assert [near.verdict, open_.verdict, far.verdict] == [Verdict.SUPPORTED, Verdict.UNDECIDED, Verdict.CONTRADICTED]


def test_losses_without_sensitivities_make_no_claim_of_one_algorithm() -> None:
    assert findings(row("loss_ratio", 1.0, **SYSTEM)) == []


def test_other_context_lengths_single_seeds_and_language_models_decide_nothing() -> None:
    (finding,) = findings(
        *against_gd(1.002, 0.998),
        *against_gd(9.0, 0.1, k=40),
        *against_gd(9.0, 0.1, seed=0),
        *against_gd(9.0, 0.1, step=100),
        row("loss_ratio", 9.0, setting="FT", method="GD"),
    )
    assert finding.verdict == Verdict.SUPPORTED


WHY = "its loss is 40% higher (standard error 5%) on as many problems that it was not tuned on"


def test_nothing_is_decided_against_a_reference_that_is_overfit() -> None:
    overfit = {("isotropic", "GD++, 4 steps"): WHY, ("another world", "GD, 1 step"): WHY}
    rows = [*against_gd(0.3, 0.7, method="GD++, 4 steps"), *against_gd(0.3, 0.7)]
    open_, decided = findings_in(record_of(rows, 10, WORLDS, overfit))
    reason = f"GD++, 4 steps is overfit to the problems that it was tuned on: {WHY}"
    assert (open_.verdict, open_.reason) == (Verdict.UNDECIDED, reason)
    assert open_.sentence.endswith(f"the cosine of their sensitivities 0.7000 [0.6990, 0.7010]): {reason}.")
    assert decided.verdict == Verdict.CONTRADICTED


def test_a_network_that_errs_more_than_an_overfit_reference_errs_more_than_the_best_of_its_kind_too() -> None:
    overfit = {("isotropic", "GD++, 4 steps"): WHY}
    (worse,) = findings_in(record_of(against_gd(1.5, 0.998, method="GD++, 4 steps"), 10, WORLDS, overfit))
    assert worse.verdict == Verdict.CONTRADICTED
    (alike,) = findings_in(record_of(against_gd(1.0, 0.998, method="GD++, 4 steps"), 10, WORLDS, overfit))
    assert alike.verdict == Verdict.UNDECIDED


def test_least_squares_and_repeated_steps_that_are_overfit_decide_nothing_either() -> None:
    least_squares = row("loss_ratio_by_position", 1.02, at=4, **SYSTEM)
    repeated = row("loss_ratio_repeated", 0.5, at=2, method="GD, 1 step")
    assert [finding.verdict for finding in findings(least_squares, repeated)] == ["supported", "contradicted"]
    overfit = {("system", SYSTEM["method"]): WHY, ("isotropic", "GD, 1 step"): WHY}
    judged = findings_in(record_of([least_squares, repeated], 10, WORLDS, overfit))
    assert [finding.verdict for finding in judged] == ["undecided", "undecided"]
    assert all(WHY in finding.reason for finding in judged)


def test_a_sentence_says_by_which_range_it_was_decided() -> None:
    """But for the one that the page says: 0.98 to 1.02, and a cosine above 0.99."""
    closed_form = row("preconditioner_distance", 0.02, method="closed form (Ahn 2023)")
    blocks = row("multiple_distance", 0.02, method="A to Σ⁻¹")
    repeated = [row("loss_ratio_repeated", ratio, at=at, method="GD, 1 step") for at, ratio in ((1, 1.0), (2, 1.05))]
    position = row("loss_ratio_by_position", 1.02, at=4, **SYSTEM)
    sentences = {finding.claim: finding.sentence for finding in findings(closed_form, blocks, *repeated, position)}
    assert "0.020 [0.016, 0.024]; up to 0.05 counts as equal)" in sentences["closed-form-preconditioner"]
    assert "; up to 0.1 counts as none)" in sentences["covariance-blocks"]
    assert "is 1.050 [1.046, 1.054], after 2 times; 0.9 to 1.1 counts as equal)" in sentences["recurrence"]
    assert "with 4 states seen; 0.9 to 1.1 counts as equal)" in sentences["least-squares"]
