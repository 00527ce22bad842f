"""The two sides of a claim, spelled out: what is compared with what, everything else the same on both."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from demograd.metrics import METRICS
from demograd.study.language_model.spec import Study
from demograd.words import Setting

Side = dict[str, str]
"""metric, setting, and where they matter weights, method, model, layers."""


def is_tuned(side: Side) -> bool:
    return Setting(side["setting"]).is_tuned


def pairs(study: Study, claim: Mapping[str, Any]) -> Iterator[tuple[Side | float, ...]]:
    """Both sides with every list and everything shared spelled out."""
    sides = [claim["left"], claim["right"]]
    names = set().union(*(side for side in sides if isinstance(side, dict)))
    tuned = any(
        Setting(setting).is_tuned for side in sides if isinstance(side, dict) for setting in _listed(side["setting"])
    )
    shared: dict[str, list[str]] = {}
    if "metric" not in names:
        shared["metric"] = claim["metrics"]
    if "weights" not in names:
        shared["weights"] = list(study.weights)
    if "model" not in names:
        shared["model"] = study.models
    if "method" not in names and tuned:
        shared["method"] = list(study.methods)
    stand_for = {
        "model": {"first": study.models[0], "last": study.models[-1]},
        "method": {"any": next(iter(study.methods), "")},
    }
    if ("model" in names and len(study.checkpoints) < 2) or ("method" in names and not study.methods):
        return
    for same in product(*shared.values()):
        both = dict(zip(shared, same, strict=True))
        options = [_spelled_out(side, both, stand_for) for side in sides]
        yield from product(*options)


def _spelled_out(side: Any, both: Side, stand_for: Mapping[str, Mapping[str, str]]) -> list[Side | float]:
    """One side for each choice from its lists, with what both share; a number is itself."""
    if not isinstance(side, dict):
        return [float(side)]
    spelled = [
        both | dict(zip(side, map(str, chosen), strict=True)) for chosen in product(*map(_listed, side.values()))
    ]
    return [
        {name: stand_for.get(name, {}).get(value, value) for name, value in side_words.items()}
        for side_words in spelled
    ]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def sides_in_words(left: Side | float, right: Side | float, names: Sequence[str]) -> str:
    """`SimAOU, GD, trained: FT − FT_other_sets`; `names`: what both share is told by these."""
    if not isinstance(left, dict) or not isinstance(right, dict):
        side = left if isinstance(left, dict) else right
        assert isinstance(side, dict)
        ends = [f"{end:g}" if isinstance(end, float) else _title(side["metric"]) for end in (left, right)]
        about = [side[name] for name in names if name in side and name not in ("metric", "setting")]
        return f"{', '.join(about)}: {' − '.join(ends)}"
    differ = [name for name in left if left.get(name) != right.get(name) or name not in right]
    differ += [name for name in right if name not in left]
    about = [
        _title(left[name]) if name == "metric" else left[name] for name in names if name in left and name not in differ
    ]
    ends = [
        ", ".join(_title(side[name]) if name == "metric" else side[name] for name in differ if name in side)
        for side in (left, right)
    ]
    return f"{', '.join(about)}: {' − '.join(ends)}"


def _title(metric: str) -> str:
    return METRICS[metric].title if metric in METRICS else metric.replace("_", " ")
