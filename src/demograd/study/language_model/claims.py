"""The papers' claims about language models (claims.yaml), and every comparison that a run has of each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import nan
from typing import Any

import torch
from torch import Tensor

from demograd.statistics import (
    ClaimDecision,
    MatchingTest,
    PairedTest,
    aggregate,
    difference,
    over_seeds,
    paired_test,
    stack_seeds,
)
from demograd.study.claims import claims_of
from demograd.study.language_model.claim_sides import Side, pairs, sides_in_words
from demograd.study.language_model.comparison import ClaimComparison
from demograd.study.language_model.findings import LEADING, findings_of
from demograd.study.language_model.groups import CellGroup, WorldGroup, by_task_and_k
from demograd.study.language_model.matching import ceiling_of, n_values
from demograd.study.language_model.objections import (
    Validity,
    invalid_worlds,
    labels_read,
    nearest_in_size,
    objection_to,
    unresolved,
)
from demograd.study.language_model.pooling import pooled_over_tasks
from demograd.study.language_model.scores import Scores, common_size
from demograd.study.language_model.side_scores import (
    matching_of,
    side_curve,
    side_scores,
    why_no_scores,
    why_undefined,
    world_of,
)
from demograd.study.language_model.spec import Study
from demograd.study.rows import number
from demograd.study.store.folder import RunFolder
from demograd.study.verdicts import decide_claims, verdicts_record
from demograd.words import Setting, Weights

ONE_RATE_EACH = "at one learning rate each"
_NOT_TESTED = PairedTest(nan, None, nan, nan, 0, 0)


def check_claims(study: Study, folder: RunFolder) -> dict[str, Any]:
    """Write `claims.json` and return it: every comparison that the run has, with its verdict, and what is found."""
    validity = folder.read_json("validity.json")
    invalid = invalid_worlds(validity)
    comparisons, of_untrained = list[ClaimComparison](), list[ClaimComparison]()
    is_trained = Weights.TRAINED in study.weights
    leading = {weights: _about_weights(claims_of("language_model")[LEADING], weights) for weights in study.weights}
    # a run without trained weights leads with its first ones, and decides of them what it says of them
    claims = claims_of("language_model") | ({} if is_trained else {LEADING: leading[study.weights[0]]})
    untrained = [leading[weights] for weights in study.weights if is_trained and weights != Weights.TRAINED]
    for same_demonstrations in by_task_and_k(study, folder):
        for place, same_world in enumerate(_by_initialisation(same_demonstrations)):
            for name, claim in claims.items():
                all_pairs = _comparisons(study, same_world, name, claim, invalid)
                comparisons += all_pairs if place == 0 else filter(is_of_untrained, all_pairs)
            for claim in untrained:
                compared = list(_comparisons(study, same_world, LEADING, claim, invalid))
                of_untrained += compared if place == 0 else ()
    comparisons += pooled_over_tasks(comparisons, study.specificity_margin)
    # whether untrained weights learn anything does not enter
    ungated = [replace(comparison, objection=comparison.test.reason) for comparison in of_untrained]
    of_untrained += pooled_over_tasks(ungated, study.specificity_margin)
    by_claim: dict[str, list[dict[str, Any]]] = {}
    decisions = decide_claims([comparison.statement for comparison in comparisons])
    for comparison, decision in zip(comparisons, decisions, strict=True):
        by_claim.setdefault(comparison.claim, []).append(_record(comparison, decision))
    findings = findings_of(zip(comparisons, decisions, strict=True), of_untrained, validity)
    record = verdicts_record("language_model", by_claim, findings, _without(study))
    folder.write_json("claims.json", record)
    return record


def _about_weights(claim: Mapping[str, Any], weights: str) -> dict[str, Any]:
    """The claim with both sides of such weights."""
    return {**claim, **{side: claim[side] | {"weights": weights} for side in ("left", "right")}}


def _without(study: Study) -> str:
    """Why a run has no finding."""
    if not study.methods:
        return "no fine-tuning was measured, so there is nothing to compare with ICL"
    measured = "its similarity to ICL was not measured" if study.matching else "FT and ICL were not matched"
    return f"{measured}, so it is open whether fine-tuning on a demonstration set does what ICL does with that set"


def _by_initialisation(groups: Sequence[WorldGroup]) -> Iterator[list[WorldGroup]]:
    """The groups of trained weights with those of each initialisation of untrained ones."""
    trained = [group for group in groups if group.world.weights == Weights.TRAINED]
    initialised: dict[int, list[WorldGroup]] = {}
    for group in groups:
        if group.world.weights != Weights.TRAINED:
            initialised.setdefault(group.world.initialisation, []).append(group)
    yield from ([*trained, *untrained] for untrained in initialised.values() or [[]])


def is_of_untrained(comparison: ClaimComparison) -> bool:
    """Whether a side is of untrained weights, which are other ones for each initialisation."""
    return any(isinstance(side, dict) and side["weights"] != Weights.TRAINED for side in comparison.sides)


def _record(comparison: ClaimComparison, decision: ClaimDecision) -> dict[str, Any]:
    """A comparison as `claims.json` has it."""
    test = comparison.test
    return {
        "task": comparison.task,
        "labels": comparison.labels,
        "k": comparison.k,
        "initialisation": comparison.initialisation,
        "compared": comparison.title + comparison.place,
        "left_side": comparison.sides[0],
        "right_side": comparison.sides[1],
        "place": comparison.place.removeprefix(", "),
        "left": number(comparison.left),
        "right": number(comparison.right),
        "difference": number(comparison.difference),
        "ci_low": test.interval and test.interval.low,
        "ci_high": test.interval and test.interval.high,
        "p_value": number(comparison.p_value),
        "p_corrected": number(decision.p_value),
        "p_equal": number(test.p_equal),
        "p_equal_corrected": number(decision.p_equal),
        "effect_size": number(test.effect_size) if isinstance(test, PairedTest) else None,
        "n": comparison.n,
        "n_missing": comparison.n_missing,
        "n_seeds": comparison.n_sets,
        "n_queries": test.n_queries,
        "margin": test.margin and number(test.margin),
        "matching": _matching_record(test, comparison.ceiling) if isinstance(test, MatchingTest) else None,
        "one_rate_each": comparison.one_rate_each,
        "verdict": str(decision.verdict),
        "reason": decision.reason + f"; {ONE_RATE_EACH}" * comparison.one_rate_each,
    }


def _matching_record(test: MatchingTest, ceiling: MatchingTest | None) -> dict[str, Any]:
    """What a matrix says besides its specificity, and the specific share of its ceiling."""
    of_ceiling = None if ceiling is None else ceiling.share_interval
    return {
        "specific_share": number(test.share),
        "share_ci_low": test.share_interval and number(test.share_interval.low),
        "share_ci_high": test.share_interval and number(test.share_interval.high),
        "why_no_interval": test.why_no_interval,
        "identified": number(test.identified),
        "p_one_sided": number(test.p_value),
        "p_without_trait": number(test.trait_p_value),
        "ceiling_share": ceiling and number(ceiling.share),
        "ceiling_share_ci_low": of_ceiling and number(of_ceiling.low),
        "ceiling_share_ci_high": of_ceiling and number(of_ceiling.high),
    }


def _comparisons(
    study: Study, same_world: Sequence[WorldGroup], name: str, claim: Mapping[str, Any], invalid: Validity
) -> Iterator[ClaimComparison]:
    """All comparisons of a claim on one task at one k; none about matrices where the study does not match."""
    if claim["compare"].startswith("specific") and not study.matching:
        return
    names = ("metric", "method", "setting", "weights", *(("model",) if len(study.models) > 1 else ()))
    for left, right in pairs(study, claim):
        missing = [why_no_scores(same_world, side) for side in (left, right) if isinstance(side, dict)]
        if None not in missing:
            objection = next(filter(None, missing), "")
            yield _comparison(study, name, claim, same_world, left, right, names, invalid, objection)


def _comparison(
    study: Study,
    name: str,
    claim: Mapping[str, Any],
    same_world: Sequence[WorldGroup],
    left: Side | float,
    right: Side | float,
    names: Sequence[str],
    invalid: Validity,
    objection: str,
) -> ClaimComparison:
    """One comparison; where a side has several learning rates, at a size that both reach. Matching, whose sides are of
    one method, is at its rate nearest in size to ICL where its sets reach no common size."""
    is_of_matching = claim["compare"].startswith("specific")
    sides = (left, right)
    of_sides = [side_curve(same_world, side) for side in sides]
    curves = [curve for curve in of_sides if curve is not None]
    one_rate_each = len(curves) == 2 and curves[0] != curves[1] and all(len(curve) == 1 for curve in curves)
    several = any(len(curve) > 1 for curve in curves)
    at = common_size(curves) if several and not objection else None  # there is no size where a side has no numbers
    if is_of_matching and at is not None and at != at and (nearest := _nearest(same_world, curves[0], sides)):
        curves, of_sides, at = [nearest, nearest], [nearest, nearest], None
        place = f", {_NEAREST}"
    else:
        place = "" if several and objection else _place(curves, at, one_rate_each)
    worlds = [untuned.world for untuned in same_world]
    world, initialisation = worlds[0], _initialisation(same_world, sides)
    about = (name, world.task, world.labels, world.k, sides, sides_in_words(left, right, names), place)
    all_undefined = (why_undefined(same_world, side) for side in sides if isinstance(side, dict))
    undefined = next(filter(None, all_undefined), "")
    if unreadable := objection or _no_common_size(curves, at):
        nothing = ClaimComparison(*about, nan, nan, _NOT_TESTED, 0, 0, one_rate_each, unreadable, (), initialisation)
        return replace(nothing, has_few_label_words=bool(undefined))

    def objection_on(measured: Sequence[Side | float], scores: Sequence[Scores | float | None]) -> str:
        learned = objection_to(invalid, claim, worlds, sides, curves, at)
        return learned or undefined or unresolved(measured, scores)

    scores = [
        side if isinstance(side, float) else side_scores(same_world, side, curve, at)
        for side, curve in zip(sides, of_sides, strict=True)
    ]
    labels = labels_read(sides, curves, at)
    if is_of_matching:
        assert isinstance(left, dict) and isinstance(right, dict), "both sides are of FT"
        matching = matching_of(curves[0], left, right, at, study.specificity_margin)
        means = (matching.matched, matching.mismatched)
        counts = (n_values(matching), matching.n_missing)
        objection = objection_on([left], scores[:1]) or matching.reason
        ceiling = _ceiling(same_world, left, right, study.specificity_margin)
        compared = ClaimComparison(*about, *means, matching, *counts, one_rate_each, objection, labels, initialisation)
        return replace(compared, ceiling=ceiling, has_few_label_words=bool(undefined))
    differences, means = _differences(scores)
    test = paired_test(differences, margin=_margin(claim, means[0]))
    n_missing = int((~differences.isfinite()).sum())
    # what is not finite is no number, whatever else might be said against it
    objection = test.reason if differences.isinf().any() else objection_on(sides, scores)
    counts = differences.numel() - n_missing, n_missing
    return ClaimComparison(*about, *means, test, *counts, one_rate_each, objection, labels, initialisation)


def _ceiling(same_world: Sequence[WorldGroup], left: Side, right: Side, margin: float) -> MatchingTest | None:
    """Of ICL on the reordered sets in FT's place; of a double difference there is none."""
    untuned = world_of(same_world, left)
    if untuned is None or right["setting"] != Setting.FT_OTHER_SETS or not untuned.has_orders:
        return None
    return ceiling_of(untuned, left["metric"], margin)


def _nearest(
    same_world: Sequence[WorldGroup], curve: list[CellGroup], sides: Sequence[Side | float]
) -> list[CellGroup]:
    """The cells of a method at the rate whose updates are nearest in size to ICL's, of those at which both sides have
    scores; empty: there is none."""
    measured = [
        group
        for group in curve
        if all(isinstance(side, dict) and side_scores(same_world, side, [group], None) for side in sides)
    ]
    return [nearest_in_size(measured)] if measured else []


_NEAREST = "at the learning rate whose updates are nearest in size to ICL's, for the sets reach no common size"


def _initialisation(same_world: Sequence[WorldGroup], sides: Sequence[Side | float]) -> int | None:
    """Of the untrained weights of a side; None where neither has any."""
    networks = [untuned for side in sides if isinstance(side, dict) and (untuned := world_of(same_world, side))]
    untrained = [untuned.world.initialisation for untuned in networks if untuned.world.weights != Weights.TRAINED]
    return next(iter(untrained), None)


def _no_common_size(curves: Sequence[list[CellGroup]], at: float | None) -> str:
    """Why curves over learning rates cannot be read at one size; empty where they can, or need not."""
    single = next((curve[0].cell.method for curve in curves if len(curve) == 1), None)
    if at is not None and single is not None:
        return f"{single} has one learning rate, so it has no curve to read at the other side's size of updates"
    return "the two sides reach no common size of updates" if at is not None and at != at else ""


def _place(curves: Sequence[list[CellGroup]], at: float | None, one_rate_each: bool) -> str:
    """Where on their curves over learning rates two sides were compared, if that is a choice."""
    if at is not None:
        return f", at ‖u_FT‖ / ‖u_ICL‖ = {at:.2g}" if not _no_common_size(curves, at) else ""
    if one_rate_each:
        return f", {ONE_RATE_EACH}"
    return ", at one learning rate" if len(curves) == 1 else ""  # of one method on both sides there is no choice


def _differences(sides: Sequence[Scores | float | None]) -> tuple[Tensor, tuple[float, float]]:
    """[seeds, queries, layers], and the mean of each side over the values that both have; NaN for one that diverged."""
    left, right = (
        torch.tensor(side, dtype=torch.float64)
        if isinstance(side, float)
        else stack_seeds([score if score.dim() > 1 else score[:, None] for score in side or []])
        for side in sides
    )
    differences = difference(*torch.broadcast_tensors(left, right))
    paired = [torch.where(differences.isfinite() | side.isinf(), side, torch.nan) for side in (left, right)]
    means = [over_seeds([aggregate(of_seed).value for of_seed in side]).mean for side in paired]
    return differences, (means[0], means[1])


def _margin(claim: Mapping[str, Any], left: float) -> float | None:
    """A number, or a share of the left side's mean."""
    if claim["compare"] != "equal":
        return None
    margin = claim["margin"]
    return abs(left) * float(margin.rstrip(" %")) / 100 if isinstance(margin, str) else float(margin)
