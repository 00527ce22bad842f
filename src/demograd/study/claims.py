"""The papers' claims as data (claims.yaml), and what a run says about each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import torch
from torch import Tensor

from demograd.statistics import (
    SEEDS_TO_DECIDE,
    ClaimDecision,
    PairedTest,
    Verdict,
    aggregate,
    decide_all,
    difference,
    over_seeds,
    paired_test,
    stack_seeds,
)
from demograd.study.claim_sides import Side, in_words, pairs
from demograd.study.claim_table import claims
from demograd.study.language_model.groups import Gathered, Untuned, by_task_and_k
from demograd.study.objections import Validity, invalid_worlds, objection_to, unresolved
from demograd.study.rows import number
from demograd.study.schema import Study
from demograd.study.scores import Scores, common_size
from demograd.study.side_scores import side_curve, side_scores, why_no_scores
from demograd.study.store.folder import RunFolder

RESAMPLES = 20_000
"""More than for intervals in tables: a p-value that is corrected for many claims must be able to be small."""

ONE_RATE_EACH = "at one learning rate each"
_NOT_TESTED = PairedTest(nan, None, nan, nan, 0, 0)


@dataclass(frozen=True)
class Comparison:
    """One test of one claim: on one task, with everything that neither side names the same on both."""

    claim: str
    task: str
    k: int
    what: str
    """What is compared, in words."""
    left: float
    """The side's mean over the pairs that have both values, as `aggregate` takes it; so is the other one's."""
    right: float
    test: PairedTest
    n: int
    """How many pairs of values (one per set, query and layer) entered."""
    n_missing: int
    """How many lack a value on either side: below resolution, not finite, not reached by a curve, not selected."""
    one_rate_each: bool
    """Whether it compares methods or weights at one learning rate each, which is not fair (method.md)."""
    objection: str
    """Why the numbers do not count (method.md, "Validity"); else empty."""


def check_claims(study: Study, folder: RunFolder) -> dict[str, Any]:
    """Write `claims.json` and return it: per claim every comparison that this run has, with its verdict."""
    invalid = invalid_worlds(folder)
    tests = [each for group in by_task_and_k(study, folder) for each in _comparisons(study, group, invalid)]
    verdicts = _verdicts(tests)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in claims()}
    for number_, one in enumerate(tests):
        test, verdict = one.test, verdicts.get(number_)
        rows[one.claim].append(
            {
                "task": one.task,
                "k": one.k,
                "compared": one.what,
                "left": number(one.left),
                "right": number(one.right),
                "difference": number(test.difference),
                "ci_low": test.interval and test.interval.low,
                "ci_high": test.interval and test.interval.high,
                "p_value": number(test.p_value),
                "p_corrected": verdict and number(verdict.p_value),
                "p_equal": number(test.p_equal),
                "p_equal_corrected": verdict and number(verdict.p_equal),
                "effect_size": number(test.effect_size),
                "n": one.n,
                "n_missing": one.n_missing,
                "n_seeds": test.n_seeds,
                "n_queries": test.n_queries,
                "margin": test.margin and number(test.margin),
                "one_rate_each": one.one_rate_each,
                "verdict": str(verdict.verdict if verdict else Verdict.UNDECIDED),
                "reason": (verdict.reason if verdict else one.objection) + f"; {ONE_RATE_EACH}" * one.one_rate_each,
            }
        )
    result = {
        "correction": "Holm, over the comparisons of each claim that are on demonstration sets enough to decide it",
        "claims": [
            {
                "name": name,
                "claim": row["claim"],
                "source": row["source"],
                "compare": row["compare"],
                "needs": row["needs"],
                "comparisons": rows[name],
            }
            for name, row in claims().items()
        ],
    }
    folder.write_json("claims.json", result)
    return result


def _verdicts(tests: Sequence[Comparison]) -> dict[int, ClaimDecision]:
    """By their numbers, of what can be tested: a claim's comparisons are one family (method.md, "Aggregation")."""
    verdicts: dict[int, ClaimDecision] = {}
    for name, claim in claims().items():
        family = {str(i): one.test for i, one in enumerate(tests) if one.claim == name and not one.objection}
        decided = decide_all(family, least=claim.get("least_sets", SEEDS_TO_DECIDE))
        verdicts |= {int(i): verdict for i, verdict in decided.items()}
    return verdicts


def _comparisons(study: Study, same_world: Sequence[Untuned], invalid: Validity) -> Iterator[Comparison]:
    """All comparisons on one task at one k."""
    names = ("metric", "method", "setting", "weights", *(("model",) if len(study.models) > 1 else ()))
    for name, claim in claims().items():
        for left, right in pairs(study, claim):
            missing = [why_no_scores(same_world, side) for side in (left, right) if isinstance(side, dict)]
            if None not in missing:
                objection = next(filter(None, missing), "")
                yield _comparison(name, same_world, left, right, names, invalid, objection)


def _comparison(
    name: str,
    same_world: Sequence[Untuned],
    left: Side | float,
    right: Side | float,
    names: Sequence[str],
    invalid: Validity,
    objection: str,
) -> Comparison:
    """One comparison; where a side has several learning rates, at a size that both reach."""
    claim, world = claims()[name], same_world[0].world
    curves = [curve for side in (left, right) if (curve := side_curve(same_world, side)) is not None]
    one_rate_each = len(curves) == 2 and curves[0] != curves[1] and all(len(curve) == 1 for curve in curves)
    several = any(len(curve) > 1 for curve in curves)
    at = common_size(curves) if several and not objection else None  # there is no size where a side has no numbers
    unreadable = objection or _no_common_size(curves, at)
    what = in_words(left, right, names)
    if not (several and objection):
        what += _where(curves, at, one_rate_each)
    about = (name, world.task, world.k, what)
    if unreadable:
        return Comparison(*about, nan, nan, _NOT_TESTED, 0, 0, one_rate_each, unreadable)
    scores = [side if isinstance(side, float) else side_scores(same_world, side, at) for side in (left, right)]
    differences, means = _differences(scores)
    test = paired_test(differences, margin=_margin(claim, means[0]), resamples=RESAMPLES)
    n_missing = int((~differences.isfinite()).sum())
    # what is not finite is no number, whatever else might be said against it
    objection = (
        test.reason
        if differences.isinf().any()
        else (objection_to(invalid, claim, world, (left, right), curves, at) or unresolved((left, right), scores))
    )
    return Comparison(*about, *means, test, differences.numel() - n_missing, n_missing, one_rate_each, objection)


def _no_common_size(curves: Sequence[list[Gathered]], at: float | None) -> str:
    """Why curves over learning rates cannot be read at one size; empty where they can, or need not."""
    single = next((curve[0].cell.method for curve in curves if len(curve) == 1), None)
    if at is not None and single is not None:
        return f"{single} has one learning rate, so it has no curve to read at the other side's size of updates"
    return "the two sides reach no common size of updates" if at is not None and at != at else ""


def _where(curves: Sequence[list[Gathered]], at: float | None, one_rate_each: bool) -> str:
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
