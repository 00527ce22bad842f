"""The papers' claims as data (claims.yaml), and what a run says about each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from demograd.metrics import (
    METRICS,
    PairedTest,
    Verdict,
    at_equal_size,
    check_update_size,
    decide_all,
    paired_test,
    stack_seeds,
)
from demograd.study.cells import World
from demograd.study.curves import curves_of
from demograd.study.folder import RunFolder
from demograd.study.gathered import Gathered, Untuned, by_task_and_k
from demograd.study.rows import number
from demograd.study.schema import Study
from demograd.study.scores import Scores, common_size, read_curve, tuned_scores, untuned_scores

_FILE = Path(__file__).parent / "claims.yaml"
RESAMPLES = 20_000
"""More than for intervals in tables: a p-value that is corrected for many claims must be able to be small."""
Side = dict[str, str]
"""metric, setting, and where they matter weights, method, model, layers."""


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
    invalid = _invalid(folder)
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


_Fault = tuple[str, str, int, str | None, str | None]
"""Model, task, k, weights and method; None: any."""
Validity = dict[_Fault, str]
"""What is at fault → why its numbers do not count."""


_ABSURD = "updates of an absurd size"


def _invalid(folder: RunFolder) -> Validity:
    """What failed its check. Untrained weights are baselines: they need not learn in context, but their updates must be
    of a size like any other's."""
    found: Validity = {}
    for row in folder.read_json("validity.json"):
        world = (row["model"], row["task"], row["k"])
        if row["passed"]:
            continue
        if row["check"] == "in_context_learning" and row["weights"] == "trained":
            found[*world, None, None] = "no in-context learning here"
        elif row["check"] == "update_size":
            method = row["method"].rpartition(" ")[0]
            found[*world, row["weights"], method] = _ABSURD
    return found


def _objection(
    invalid: Validity, claim: Mapping[str, Any], world: World, sides: Sequence[Side | float], at: float | None
) -> str:
    if claim.get("whether_it_learns_or_not"):
        return ""
    named = [side for side in sides if isinstance(side, dict)]
    keys: list[_Fault] = [(side["model"], world.task, world.k, None, None) for side in named]
    if at is None:
        keys += [(side["model"], world.task, world.k, side["weights"], side["method"])
                 for side in named if _is_tuned(side)]  # fmt: skip
    elif at != at:
        return "the two sides reach no common size of updates"
    elif not check_update_size([torch.tensor([[at]])]).passed:  # of this size, whatever the rates
        return _ABSURD
    return next((invalid[key] for key in keys if key in invalid), "")


def _comparisons(study: Study, same_world: Sequence[Untuned], invalid: Validity) -> Iterator[Comparison]:
    """All comparisons on one task at one k; where a side has several learning rates, at a size that both reach."""
    names = ("metric", "method", "setting", "weights", *(("model",) if len(study.models) > 1 else ()))
    for name, claim in claims().items():
        for left, right in _pairs(study, claim):
            curves = [curve for side in (left, right) if (curve := _curve(same_world, side)) is not None]
            at = common_size(curves) if any(len(curve) > 1 for curve in curves) else None
            found = [_scores(same_world, side, at) if isinstance(side, dict) else side for side in (left, right)]
            if found[0] is None or found[1] is None:
                continue
            difference, means = _difference(found[0], found[1])
            test = paired_test(difference, margin=_margin(claim, means[0]), resamples=RESAMPLES)
            world = same_world[0].world
            what = _in_words(left, right, names) + _where(curves, at)
            objection = _objection(invalid, claim, world, (left, right), at)
            yield Comparison(name, world.task, world.k, what, *means, test, objection)


def _where(curves: Sequence[list[Gathered]], at: float | None) -> str:
    """Where on their curves over learning rates two sides were compared, if that is a choice."""
    if at is not None:
        return f", at ‖u_FT‖ / ‖u_ICL‖ = {at:.2g}" if at == at else ""
    if len(curves) == 2:
        return ", at one learning rate each" if curves[0] != curves[1] else ""
    return ", at one learning rate" if curves else ""


def _pairs(study: Study, claim: Mapping[str, Any]) -> Iterator[tuple[Side | float, ...]]:
    """Both sides with every list and everything shared spelled out."""
    sides = [claim["left"], claim["right"]]
    named = set().union(*(side for side in sides if isinstance(side, dict)))
    tuned = any(str(setting).startswith("FT") for side in sides if isinstance(side, dict)
                for setting in _listed(side["setting"]))  # fmt: skip
    shared: dict[str, list[str]] = {}
    if "metric" not in named:
        shared["metric"] = claim["metrics"]
    if "weights" not in named:
        shared["weights"] = list(study.weights)
    if "model" not in named:
        shared["model"] = study.models
    if "method" not in named and tuned:
        shared["method"] = list(study.methods)
    ends = {"first": study.models[0], "last": study.models[-1]}
    if "model" in named and len(study.models) < 2:
        return
    for same in product(*shared.values()):
        both = dict(zip(shared, same, strict=True))
        options = [_spelled_out(side, both, ends) for side in sides]
        yield from product(*options)


def _spelled_out(side: Any, both: Side, ends: dict[str, str]) -> list[Side | float]:
    """One side for each choice from its lists, with what both share; a number is itself."""
    if not isinstance(side, dict):
        return [float(side)]
    spelled = [
        both | dict(zip(side, map(str, chosen), strict=True)) for chosen in product(*map(_listed, side.values()))
    ]
    return [one | {"model": ends.get(one["model"], one["model"])} for one in spelled]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _scores(same_world: Sequence[Untuned], side: Side, at: float | None) -> Scores | None:
    network = (side["model"], side["weights"])
    untuned = next((one for one in same_world if _network(one) == network), None)
    if untuned is None:
        return None
    if not _is_tuned(side):
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
    if not isinstance(side, dict) or not _is_tuned(side):
        return None
    for untuned in same_world:
        for curve in curves_of(untuned) if _network(untuned) == (side["model"], side["weights"]) else ():
            if curve[0].cell.method == side["method"]:
                return curve
    return None


def _network(untuned: Untuned) -> tuple[str, str]:
    return untuned.world.model, untuned.world.weights


def _is_tuned(side: Side) -> bool:
    return side["setting"].startswith("FT")


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


def _in_words(left: Side | float, right: Side | float, names: Sequence[str]) -> str:
    """`SimAOU, GD, trained: FT − FT_other_demonstrations`; `names`: what both share is told by these."""
    if not isinstance(left, dict) or not isinstance(right, dict):
        side = left if isinstance(left, dict) else right
        assert isinstance(side, dict)
        ends = [f"{one:g}" if isinstance(one, float) else _title(side["metric"]) for one in (left, right)]
        about = [side[name] for name in names if name in side and name not in ("metric", "setting")]
        return f"{', '.join(about)}: {' − '.join(ends)}"
    differ = [name for name in left if left.get(name) != right.get(name) or name not in right]
    differ += [name for name in right if name not in left]
    about = [
        _title(left[name]) if name == "metric" else left[name] for name in names if name in left and name not in differ
    ]
    ends = [", ".join(_title(side[name]) if name == "metric" else side[name] for name in differ if name in side)
            for side in (left, right)]  # fmt: skip
    return f"{', '.join(about)}: {' − '.join(ends)}"


def _title(metric: str) -> str:
    return METRICS[metric].title if metric in METRICS else metric.replace("_", " ")
