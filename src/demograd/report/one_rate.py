"""Where a method has several learning rates, one of them for figures that cannot show all."""

from math import inf, log

from demograd.report.scores import Scores
from demograd.report.variant import Variant

SAID = "Of several learning rates: the one whose update is nearest to ICL’s in size."


def at_one_rate(scores: Scores) -> dict[Variant, bool]:
    """The variants to show, each with whether it stands for several rates: the one nearest to ‖u_FT‖ / ‖u_ICL‖ = 1."""
    rivals: dict[tuple[object, ...], list[Variant]] = {}
    for each in scores.tuned():
        rivals.setdefault((each.task, each.k, each.model, each.method, each.weights), []).append(each)
    return {min(of, key=lambda each: _distance(scores, each)): len(of) > 1 for of in rivals.values()}


def _distance(scores: Scores, each: Variant) -> float:
    ratio = scores.get(each, "update_size_ratio", "FT").value
    return abs(log(ratio)) if ratio else inf
