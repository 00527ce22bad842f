"""Why a comparison does not count (method.md, "Validity"): no in-context learning, updates of an absurd size."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from demograd.metrics import check_update_size
from demograd.study.cells import World
from demograd.study.claim_sides import Side, is_tuned
from demograd.study.folder import RunFolder

_Fault = tuple[str, str, int, str | None, str | None]
"""Model, task, k, weights and method; None: any."""
Validity = dict[_Fault, str]
"""What is at fault → why its numbers do not count."""


_ABSURD = "updates of an absurd size"


def invalid_worlds(folder: RunFolder) -> Validity:
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


def objection_to(
    invalid: Validity, claim: Mapping[str, Any], world: World, sides: Sequence[Side | float], at: float | None
) -> str:
    if claim.get("whether_it_learns_or_not"):
        return ""
    named = [side for side in sides if isinstance(side, dict)]
    keys: list[_Fault] = [(side["model"], world.task, world.k, None, None) for side in named]
    if at is None:
        keys += [(side["model"], world.task, world.k, side["weights"], side["method"])
                 for side in named if is_tuned(side)]  # fmt: skip
    elif at != at:
        return "the two sides reach no common size of updates"
    elif not check_update_size([torch.tensor([[at]])]).passed:  # of this size, whatever the rates
        return _ABSURD
    return next((invalid[key] for key in keys if key in invalid), "")
