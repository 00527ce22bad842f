"""Which splits of a data set a task takes: one to demonstrate, one to ask."""

from collections.abc import Mapping
from dataclasses import dataclass

from demograd.errors import UserError, shortened
from demograd.tasks.table import Table


@dataclass(frozen=True)
class Data:
    """What a source holds."""

    table: Table
    validation: Table | None = None
    """Where queries come from; None: from a part of `table`."""
    notes: tuple[str, ...] = ()


def chosen_splits(name: str, splits: Mapping[str, Table], split: str | None, validation_split: str | None) -> Data:
    """The splits `split` ("train" where none is named) and `validation_split` ("validation", where there is one).

    A note says which others are not used. Raises UserError for a split that is not there, and for the same one twice.
    """
    train = split or "train"
    validation = validation_split or ("validation" if "validation" in splits and train != "validation" else None)
    for required in (train, validation):
        if required is not None and required not in splits:
            raise UserError(
                f"{name[0].upper() + name[1:]} has no split {shortened(required)!r}",
                f"one of {_listed(splits)}",
                "Choose with split (to demonstrate) and validation_split (to ask)",
            )
    if validation == train:
        raise UserError(
            f"{name[0].upper() + name[1:]}: split and validation_split are both {shortened(train)!r}",
            "two splits, so that no query is a demonstration",
            "Leave validation_split out: queries then are a part of the split",
        )
    unused = [other for other in splits if other not in (train, validation)]
    origin = f"from {validation}" if validation else f"from a part of {train}"
    note = f"Of {name}, split {_listed(unused)} is not used: demonstrations come from {train}, queries {origin}."
    return Data(splits[train], None if validation is None else splits[validation], (note,) if unused else ())


def _listed(names: Mapping[str, Table] | list[str]) -> str:
    shown = [shortened(name) for name in names]
    return ", ".join(shown[:20]) + (f", … ({len(shown)} in all)" if len(shown) > 20 else "")
