"""What the released runs of Deutch 2024 did with prompts and demonstrations, where that is not the default here.

Of what they did, `separator="eos"` and `record_at="first_answer"` of `Task.prompts` are the other two parts.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from demograd.errors import UserError
from demograd.tasks.builtin import built_in_tasks
from demograd.tasks.example import Example

PERMUTATIONS = 5
"""How many orders a released run drew; it used one of them."""


class ReleasedOrders(NamedTuple):
    """The same demonstrations in the order in which ICL showed them, and in that in which FT trained on them."""

    icl: list[Example]
    ft: list[Example]


def released_orders(demonstrations: Sequence[Example], seed: int, permutation: int) -> ReleasedOrders:
    """The orders of a released run with this seed and permutation: equal for permutation 0, different ones otherwise.

    A run seeded NumPy once, and drew five orders when it made the prompts. The run that trained made the prompts too,
    and then drew five more for training. So permutation p was the p-th of one five in ICL, and of another five in FT.

    **Raises:** UserError if `permutation` is not one of the five.
    """
    if not 0 <= permutation < PERMUTATIONS:
        expected = f"0 to {PERMUTATIONS - 1}, which the released runs drew"
        raise UserError(f"Permutation {permutation} as released", expected, "Choose one of these")
    if permutation == 0:  # as drawn
        return ReleasedOrders(list(demonstrations), list(demonstrations))
    rng = np.random.RandomState(seed)  # the legacy generator: its numbers are those of the released runs
    orders = [rng.permutation(len(demonstrations)) for _ in range(2 * PERMUTATIONS)]
    icl, ft = orders[permutation], orders[PERMUTATIONS + permutation]
    return ReleasedOrders([demonstrations[i] for i in icl], [demonstrations[i] for i in ft])


def released_queries(name: str) -> int | None:
    """How many queries the released runs asked of the built-in task `name`; None for one that they did not run."""
    task = built_in_tasks().get(name.partition("=")[0])
    return task.released_queries if task else None
