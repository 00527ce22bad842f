"""The papers' claims as data (claims.yaml), and what a run says about each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from demograd.metrics import PairedTest, Verdict, at_equal_size, decide_all, paired_test, stack_seeds
from demograd.study.claim_sides import Side, in_words, is_tuned, pairs
from demograd.study.curves import curves_of
from demograd.study.folder import RunFolder
from demograd.study.gathered import Gathered, Untuned, by_task_and_k
from demograd.study.objections import Validity, invalid_worlds, objection_to
from demograd.study.rows import number
from demograd.study.schema import Study
from demograd.study.scores import Scores, common_size, read_curve, tuned_scores, untuned_scores

_FILE = Path(__file__).parent / "claims.yaml"
RESAMPLES = 20_000
"""More than for intervals in tables: a p-value that is corrected for many claims must be able to be small."""


@cache
def claims() -> dict[str, dict[str, Any]]:
    """Name → claim, source, what is compared and how."""
    rows: dict[str, dict[str, Any]] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return rows


@dataclass(frozen=True)
class Comparison:
    """One test of one claim: on one task, with everything that neither side names the same on both."""

    claim: str
    task: str
    k: int
    what: str
    """What is compared, in words."""
    left: float
    right: float
    test: PairedTest
    objection: str
    """Why the numbers do not count (method.md, "Validity"); else empty."""


def check_claims(study: Study, folder: RunFolder) -> dict[str, Any]:
    """Write `claims.json` and return it: per claim every comparison that this run has, with its verdict."""
    invalid = invalid_worlds(folder)
    tests = [each for group in by_task_and_k(study, folder) for each in _comparisons(study, group, invalid)]
    verdicts = decide_all({str(number): one.test for number, one in enumerate(tests) if not one.objection})
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in claims()}
    for number_, one in enumerate(tests):
        test, verdict = one.test, verdicts.get(str(number_))
        rows[one.claim].append({
            "task": one.task, "k": one.k, "compared": one.what, "left": number(one.left), "right": number(one.right),
            "difference": number(test.difference), "ci_low": test.interval and test.interval.low,
            "ci_high": test.interval and test.interval.high, "p_value": number(test.p_value),
            "p_corrected": verdict and number(verdict.p_value), "effect_size": number(test.effect_size),
            "n_seeds": test.n_seeds, "n_queries": test.n_queries, "margin": test.margin and number(test.margin),
            "verdict": str(verdict.verdict if verdict else Verdict.UNDECIDED),
            "reason": verdict.reason if verdict else one.objection,
        })  # fmt: skip
    result = {
        "correction": "Holm, over all comparisons of this run on five demonstration sets or more",
        "claims": [
            {"name": name, "claim": row["claim"], "source": row["source"], "compare": row["compare"],
             "needs": row["needs"], "comparisons": rows[name]}
            for name, row in claims().items()
        ],
    }  # fmt: skip
    folder.write_json("claims.json", result)
    return result


def _comparisons(study: Study, same_world: Sequence[Untuned], invalid: Validity) -> Iterator[Comparison]:
    """All comparisons on one task at one k; where a side has several learning rates, at a size that both reach."""
    names = ("metric", "method", "setting", "weights", *(("model",) if len(study.models) > 1 else ()))
    for name, claim in claims().items():
        for left, right in pairs(study, claim):
            curves = [curve for side in (left, right) if (curve := _curve(same_world, side)) is not None]
            at = common_size(curves) if any(len(curve) > 1 for curve in curves) else None
            found = [_scores(same_world, side, at) if isinstance(side, dict) else side for side in (left, right)]
            if found[0] is None or found[1] is None:
                continue
            difference, means = _difference(found[0], found[1])
            test = paired_test(difference, margin=_margin(claim, means[0]), resamples=RESAMPLES)
            world = same_world[0].world
            what = in_words(left, right, names) + _where(curves, at)
            objection = objection_to(invalid, claim, world, (left, right), at)
            yield Comparison(name, world.task, world.k, what, *means, test, objection)


def _where(curves: Sequence[list[Gathered]], at: float | None) -> str:
    """Where on their curves over learning rates two sides were compared, if that is a choice."""
    if at is not None:
        return f", at ‖u_FT‖ / ‖u_ICL‖ = {at:.2g}" if at == at else ""
    if len(curves) == 2:
        return ", at one learning rate each" if curves[0] != curves[1] else ""
    return ", at one learning rate" if curves else ""


def _scores(same_world: Sequence[Untuned], side: Side, at: float | None) -> Scores | None:
    network = (side["model"], side["weights"])
    untuned = next((one for one in same_world if _network(one) == network), None)
    if untuned is None:
        return None
    if not is_tuned(side):
        scores = untuned_scores(untuned, side["setting"], side["metric"])
        return scores if scores is None else [_reduced(score, side) for score in scores]
    curve = _curve(same_world, side)
    if curve is None or not _was_run(curve[0], side["setting"]):
        return None

    def of(group: Gathered) -> Scores | None:
        scores = tuned_scores(group, side["setting"], side["metric"])
        return scores if scores is None else [_reduced(score, side) for score in scores]

    if at is None:
        return of(curve[0])
    if at != at:
        scores = next((found for group in curve if (found := of(group)) is not None), None)
        return scores and [torch.full_like(score, torch.nan) for score in scores]
    return read_curve(curve, of, partial(at_equal_size, at=at))


def _curve(same_world: Sequence[Untuned], side: Side | float) -> list[Gathered] | None:
    """A side's cells at its learning rates, in ascending order; None for a side that is not fine-tuned, or not here."""
    if not isinstance(side, dict) or not is_tuned(side):
        return None
    for untuned in same_world:
        for curve in curves_of(untuned) if _network(untuned) == (side["model"], side["weights"]) else ():
            if curve[0].cell.method == side["method"]:
                return curve
    return None


def _network(untuned: Untuned) -> tuple[str, str]:
    return untuned.world.model, untuned.world.weights


def _was_run(group: Gathered, setting: str) -> bool:
    return all(setting in record.facts["settings"] for record in group.records)


def _reduced(score: Tensor, side: Side) -> Tensor:
    """[queries, layers] of a score of pairs of layers: `same`, or the mean over the `other` ones; else the score."""
    if "layers" not in side:
        return score
    is_same = torch.eye(score.shape[-1], dtype=torch.bool)
    if side["layers"] == "same":
        return score.diagonal(dim1=-2, dim2=-1)
    return torch.where(is_same, torch.nan, score).nanmean(dim=-1)


def _difference(left: Scores | float, right: Scores | float) -> tuple[Tensor, tuple[float, float]]:
    """[seeds, queries, layers], and the means of both sides."""
    stacked = [
        torch.tensor(side, dtype=torch.float64) if isinstance(side, float)
        else stack_seeds([score if score.dim() > 1 else score[:, None] for score in side])
        for side in (left, right)
    ]  # fmt: skip
    means = [side.nanmean().item() for side in stacked]
    return stacked[0] - stacked[1], (means[0], means[1])


def _margin(claim: Mapping[str, Any], left: float) -> float | None:
    """A number, or a share of the left side's mean."""
    if claim["compare"] != "equal":
        return None
    margin = claim["margin"]
    return abs(left) * float(margin.rstrip(" %")) / 100 if isinstance(margin, str) else float(margin)
