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

from demograd.metrics import METRICS, PairedTest, Verdict, at_equal_size, decide_all, paired_test, stack_seeds
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
            "n_seeds": test.n_seeds, "n_queries": test.n_queries, "margin": test.margin,
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


Validity = dict[tuple[str, str, int, str | None], str]
"""(model, task, k, method: None for all) → why its numbers do not count."""


def _invalid(folder: RunFolder) -> Validity:
    """What failed its check on trained weights; untrained ones are baselines, which need not learn in context."""
    found: Validity = {}
    for row in folder.read_json("validity.json"):
        if not row["passed"] and row["weights"] == "trained" and row["check"] in _OBJECTIONS:
            method = row["method"] and row["method"].rpartition(" ")[0]
            found[row["model"], row["task"], row["k"], method] = _OBJECTIONS[row["check"]]
    return found


_OBJECTIONS = {"in_context_learning": "no in-context learning here", "update_size": "updates of an absurd size"}


def _objection(invalid: Validity, claim: Mapping[str, Any], world: World, sides: Sequence[Side | float]) -> str:
    if claim.get("whether_it_learns_or_not"):
        return ""
    methods = {side.get("method") for side in sides if isinstance(side, dict)} | {None}
    models = {side["model"] for side in sides if isinstance(side, dict)}
    keys = [(model, world.task, world.k, method) for model in models for method in methods]
    return next((invalid[key] for key in keys if key in invalid), "")


def _comparisons(study: Study, same_world: Sequence[Untuned], invalid: Validity) -> Iterator[Comparison]:
    """All comparisons on one task at one k."""
    curves = [curve for untuned in same_world for curve in curves_of(untuned)]
    several = any(len(curve) > 1 for curve in curves)
    at = common_size(curves) if several else None
    if several:  # that other rates of a curve make updates of an absurd size says nothing about those at this one
        invalid = {key: why for key, why in invalid.items() if key[-1] is None}
    for name, claim in claims().items():
        for left, right in _pairs(study, claim):
            found = [_scores(same_world, side, at) if isinstance(side, dict) else side for side in (left, right)]
            if found[0] is None or found[1] is None:
                continue
            difference, means = _difference(found[0], found[1])
            test = paired_test(difference, margin=_margin(claim, means[0]), resamples=RESAMPLES)
            what = _in_words(left, right) + (f", at ‖u_FT‖ / ‖u_ICL‖ = {at:.2g}" if at is not None else "")
            world = same_world[0].world
            objection = _objection(invalid, claim, world, (left, right))
            yield Comparison(name, world.task, world.k, what, *means, test, objection)


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
    untuned = next((one for one in same_world if (one.world.model, one.world.weights) == network), None)
    if untuned is None:
        return None
    if not side["setting"].startswith("FT"):
        scores = untuned_scores(untuned, side["setting"], side["metric"])
        return scores if scores is None else [_reduced(score, side) for score in scores]
    curve = next((one for one in curves_of(untuned) if one[0].cell.method == side["method"]), None)
    if curve is None or not _was_run(curve[0], side["setting"]):
        return None

    def of(group: Gathered) -> Scores | None:
        scores = tuned_scores(group, side["setting"], side["metric"])
        return scores if scores is None else [_reduced(score, side) for score in scores]

    if at is None:
        return of(curve[0])
    return read_curve(curve, of, partial(at_equal_size, at=at)) if at == at else None


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


def _in_words(left: Side | float, right: Side | float) -> str:
    """`SimAOU, GD, trained: FT − FT_other_demonstrations`."""
    if not isinstance(left, dict) or not isinstance(right, dict):
        side = left if isinstance(left, dict) else right
        assert isinstance(side, dict)
        ends = [f"{one:g}" if isinstance(one, float) else _title(side["metric"]) for one in (left, right)]
        about = [side[name] for name in ("method", "weights") if name in side]
        return f"{', '.join(about)}: {' − '.join(ends)}"
    differ = [name for name in left if left.get(name) != right.get(name) or name not in right]
    differ += [name for name in right if name not in left]
    about = [
        _title(left[name]) if name == "metric" else left[name]
        for name in ("metric", "method", "setting", "weights", "model")
        if name in left and name not in differ and (name != "model" or "/" not in left[name])
    ]
    ends = [", ".join(_title(side[name]) if name == "metric" else side[name] for name in differ if name in side)
            for side in (left, right)]  # fmt: skip
    return f"{', '.join(about)}: {' − '.join(ends)}"


def _title(metric: str) -> str:
    return METRICS[metric].title if metric in METRICS else metric.replace("_", " ")
