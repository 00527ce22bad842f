"""The rules of a study's grid, `exclude` and `pair`: which of its points are run."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict

from demograd.errors import UserError, unknown_name
from demograd.models import Weights
from demograd.numbers import Real, Whole
from demograd.study.spec.fields import OneOrMany
from demograd.words import Labels

Axes = Mapping[str, Sequence[Any]]
"""Field → all values that a study gives it, in the study's order."""
Point = dict[str, Any]
"""Field → value, of a world or of a cell."""
WORLD_AXES = ("model", "weights", "initialisation", "task", "labels", "k", "seed")
"""In the order in which worlds are run: those that share a network one after the other, and of these the demonstration
sets of one task."""
PairedAxis = Literal["model", "weights", "task", "labels", "k", "seed", "method"]

# Methods, weights and models are compared on the same demonstration sets, pair by pair. A rule that took a set away
# from one of them alone would leave nothing to pair it with.
_WITH_SEEDS = {"seed", "task", "labels", "k"}


_Texts = Annotated[list[str] | None, OneOrMany()]
_Numbers = Annotated[list[Whole] | None, OneOrMany()]


class Exclusion(BaseModel):
    """Cells that have one of the values in every field that is named here are not run."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    model: _Texts = None
    weights: Annotated[list[Weights] | None, OneOrMany()] = None
    task: _Texts = None
    labels: Annotated[list[Labels] | None, OneOrMany()] = None
    k: _Numbers = None
    seed: _Numbers = None
    """Together with `task`, `labels` and `k` only: everything else is compared on the same demonstration sets."""
    method: _Texts = None
    learning_rate: Annotated[list[Real] | None, OneOrMany()] = None

    @property
    def excluded(self) -> dict[str, list[Any]]:
        """Field → the values that it excludes."""
        return {name: values for name in type(self).model_fields if (values := getattr(self, name)) is not None}

    def matches(self, point: Mapping[str, Any]) -> bool:
        """Whether a cell, or every cell of a world, is excluded; a field that a world has not decides nothing."""
        return all(name in point and point[name] in values for name, values in self.excluded.items())


def is_kept(axes: Axes, exclude: Sequence[Exclusion], pair: Sequence[Sequence[str]], point: Mapping[str, Any]) -> bool:
    """Whether the rules leave a point of the grid: a world, or a cell."""
    if any(rule.matches(point) for rule in exclude):
        return False
    return all(len({axes[name].index(point[name]) for name in rule if name in point}) <= 1 for rule in pair)


def check_rules(axes: Axes, grid: Iterable[Point], exclude: Sequence[Exclusion], pair: Sequence[Sequence[str]]) -> None:
    """That every rule does something; `grid`: every point, before any rule.

    Raises:
        UserError: a rule names a value that the study has not, or matches nothing.
        ValueError: a rule names nothing, pairs lists of different lengths, or takes demonstration sets from only some
            of what is compared on them.
    """
    for number, exclusion in enumerate(exclude):
        if not exclusion.excluded:
            raise ValueError("a rule of exclude names at least one field")
        for name, values in exclusion.excluded.items():
            for value in values:
                if value not in axes[name]:
                    raise _not_here(f"exclude[{number}].{name}", value, axes[name])
    for rule in pair:
        if len(set(rule)) != len(rule) or len(rule) < 2:
            raise ValueError(f"pair has {list(rule)}: a rule names two or more fields, each once")
        if len(lengths := {name: len(axes[name]) for name in rule}) and len(set(lengths.values())) > 1:
            raise ValueError(f"pair goes through lists together, so they are of one length: {lengths}")
    for fields in (*(exclusion.excluded for exclusion in exclude), *pair):
        if "seed" in fields and (others := sorted(set(fields) - _WITH_SEEDS)):
            raise ValueError(
                f"a rule that names seed cannot name {', '.join(others)}: these are compared with others "
                "on the same demonstration sets"
            )
    for number in idle(grid, exclude):
        raise UserError(
            f"exclude[{number}] = {exclude[number].excluded} matches no cell",
            "values that are together in a cell of this study",
            "A rule that excludes nothing is a mistake: correct or remove it",
        )


def idle(grid: Iterable[Point], exclude: Sequence[Exclusion]) -> list[int]:
    """The places of the rules that match no point."""
    left = dict(enumerate(exclude))
    for point in grid if left else ():
        left = {number: rule for number, rule in left.items() if not rule.matches(point)}
        if not left:
            break
    return [*left]


def _not_here(place: str, value: Any, values: Sequence[Any]) -> UserError:
    if isinstance(value, str):
        return unknown_name(place, value, values, "A rule that excludes nothing is a mistake: correct or remove it")
    return UserError(
        f"{place} = {value!r}",
        f"a value of this study: {', '.join(map(str, values))}",
        "A rule that excludes nothing is a mistake: correct or remove it",
    )
