"""Three more checks before any score counts: are the updates above resolution, are they of a size that can be compared,
are there enough seeds? (Whether anything was learned is in `learning_gates.py`.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.metrics.update_size import median_size_ratio
from demograd.statistics.verdict import SEEDS_FOR_SPECIFICITY, SEEDS_TO_DECIDE

SIZES = (0.01, 100.0)
"""Between which the median ‖u_FT‖ / ‖u_ICL‖ counts. A cosine does not see length, so a run that hardly moved the
model, or wrecked it without reaching infinity, has scores as clean as any. Wide on purpose, to refuse wrecks and not
choices of a learning rate: ICL changes an attention output by about its own size (0.98 to 1.23 times on the default
model, where the shipped rates are to give a ratio of 1), so at 100 nothing is left of the model's own output, and at
0.01 FT has done a hundredth of what it is compared with."""


@dataclass(frozen=True)
class ResolutionCheck:
    """Are the values of a score above resolution?"""

    passed: bool
    message: str
    missing_per_layer: tuple[float, ...]
    """Share of each layer's values that is missing, over seeds, queries and heads; none of a score without layers."""


@dataclass(frozen=True)
class UpdateSizeCheck:
    """Are the updates of FT of a size that can be compared with ICL's?"""

    passed: bool
    message: str
    median: float
    """Median of ‖u_FT‖ / ‖u_ICL‖; NaN (missing) where no update of ICL is above resolution."""


@dataclass(frozen=True)
class SeedsCheck:
    """Are there enough demonstration seeds to decide anything?"""

    passed: bool
    message: str
    n_seeds: int


def check_update_size(ratios: Sequence[Float[Tensor, "queries layers"]]) -> UpdateSizeCheck:
    """Passed if `median_size_ratio` lies within `SIZES`.

    For one method at one learning rate. Not passed where every ratio is missing: then no size is known.
    """
    median = median_size_ratio(ratios)
    low, high = SIZES
    if median != median:
        return UpdateSizeCheck(
            False, "the size of the updates is not known: no update of ICL is above resolution", median
        )
    message = f"the median update is {median:.3g} times as large as ICL's"
    if median == 0:
        message += ": attention outputs stay as they were; compare what is predicted, or choose a larger rate"
    elif not low <= median <= high:
        word, mend = ("hardly", "larger") if median < low else ("far more than demonstrations", "smaller")
        message += f", outside {low:g} to {high:g}: it moves the model {word}; choose a {mend} learning rate"
    return UpdateSizeCheck(low <= median <= high, message, median)


def check_resolution(scores: Sequence[Float[Tensor, "queries *layers_and_heads"]]) -> ResolutionCheck:
    """Passed if at least half of a score's values, over all demonstration seeds, are there.

    Pass the scores of all queries, not of a selection: a similarity is missing exactly where an update is below
    resolution, or where what it is computed from overflowed.
    """
    missing = torch.stack([score.isnan().double() for score in scores])
    share = missing.mean().item()
    per_layer = missing.transpose(0, 2).flatten(1).mean(dim=1).tolist() if missing.dim() > 2 else []
    empty = [str(layer) for layer, missing_share in enumerate(per_layer) if missing_share == 1]
    message = f"{100 * share:.1f} % of the values are below resolution or not finite"
    if empty:
        message += f"; none is left at layer{'s' if len(empty) > 1 else ''} {', '.join(empty)}"
    return ResolutionCheck(share <= 0.5, message, tuple(per_layer))


def check_seeds(n_seeds: int) -> SeedsCheck:
    """Passed with five demonstration seeds or more; the message says whether that is enough for specificity too."""
    passed = n_seeds >= SEEDS_TO_DECIDE
    enough = "enough" if passed else "too few"
    noun = "seed" if n_seeds == 1 else "seeds"
    message = f"{n_seeds} demonstration {noun}, {enough} to decide a claim (at least {SEEDS_TO_DECIDE})"
    if passed:
        enough = "and" if n_seeds >= SEEDS_FOR_SPECIFICITY else "but too few for"
        message += f", {enough} one about specificity (at least {SEEDS_FOR_SPECIFICITY})"
    return SeedsCheck(passed, message, n_seeds)
