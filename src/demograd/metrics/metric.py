"""What is known of a metric besides its function."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from demograd import metrics
from demograd.words import Extra

Per = Literal["head", "layer", "layer_pair", "query", "setting", "model"]
"""[queries, layers, heads]; [queries, layers]; [queries, layers, layers]; [queries]; one number per observation; of the
weights alone."""


@dataclass(frozen=True)
class Metric:
    """One row of the table."""

    computed_by: str | Callable[..., Any]
    """The name of its function in `demograd.metrics`, which is imported when it is asked for, so that a list needs no
    torch; of a metric of one's own, the function."""
    title: str
    """As papers and reports write it."""
    definition: str
    """One line."""
    source: str
    kind: Literal["similarity", "attention", "dual form", "size", "performance", "distribution", "weights"]
    bounds: tuple[float, float]
    """Between which values the metric lies: an interval is cut there."""
    arguments: tuple[str, ...] = ("zsl", "icl", "ft")
    """What `function` takes, in order: observations by their setting (`a` and `b` are any two; `orders` is a list of
    them), or a model's weights."""
    per: Per = "layer"
    """What one value is of: the shape of what `function` returns."""
    needs: frozenset[Extra] = frozenset()
    """What must have been recorded besides (`observe(…, extras=…)`)."""
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What the function is told besides its arguments."""

    @property
    def function(self) -> Callable[..., Any]:
        """What computes it."""
        function = getattr(metrics, self.computed_by) if isinstance(self.computed_by, str) else self.computed_by
        return partial(function, **self.options)

    version: int = 1
    """Raised when the definition changes, so that cells which hold what it was are computed anew: here, in its row of
    the table, and nowhere else."""

    @property
    def has_layers(self) -> bool:
        """Whether it returns [queries, layers] or [queries, layers, heads], which `aggregate` takes."""
        return self.per in ("layer", "head")
