"""What a row of a table is about: one fine-tuning method on one task, from one state of the weights."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import pandas as pd

from demograd.report.options import options_text
from demograd.words import Weights

WEIGHTS = tuple(Weights)
"""In the order in which tables show them; others follow."""

FIELD_TITLES = {"learning_rate": "learning rate", "record_at": "recorded at"}


@dataclass(frozen=True)
class Variant:
    """All that tells two rows of a table apart, before setting and metric."""

    task: str
    method: str | None
    """None: not fine-tuned (ZSL, ICL)."""
    weights: str
    learning_rate: float | None
    method_options: str | None
    model: str
    k: int | None
    dtype: str
    record_at: str
    selection: str

    @property
    def untuned(self) -> "Variant":
        """The same without fine-tuning."""
        return replace(self, method=None, method_options=None, learning_rate=None)

    @property
    def texts(self) -> dict[str, str]:
        """Field → what a table shows."""
        rate = "" if self.learning_rate is None else f"{self.learning_rate:g}"
        texts = {field.name: str(getattr(self, field.name) or "") for field in fields(self)}
        return texts | {"learning_rate": rate, "method_options": options_text(self.method_options)}


def variant(row: Mapping[Any, Any]) -> Variant:
    """What a row of the results is about."""
    values: dict[str, Any] = {
        field.name: None if pd.isna(row[field.name]) else row[field.name] for field in fields(Variant)
    }
    for name, kind in (("k", int), ("learning_rate", float)):
        values[name] = None if values[name] is None else kind(values[name])
    return Variant(**values)


def in_order(variants: Iterable[Variant]) -> list[Variant]:
    """By task, k and model (as they come), then method, trained weights before untrained ones, then learning rate."""
    given = list(dict.fromkeys(variants))
    models = list(dict.fromkeys(each.model for each in given))  # checkpoints come in the order of training

    def rank(each: Variant) -> tuple[Any, ...]:
        known = WEIGHTS.index(each.weights) if each.weights in WEIGHTS else len(WEIGHTS)
        world = (each.task, each.k or 0, models.index(each.model))
        others = (each.method_options or "", each.dtype, each.record_at, each.selection)
        return (*world, each.method or "", known, each.weights, each.learning_rate or 0.0, *others)

    return sorted(given, key=rank)


def telling_fields(variants: Sequence[Variant], always: Iterable[str] = ()) -> list[str]:
    """The fields by which these variants differ, and those always shown, in the order of `Variant`.

    Options tell variants of one method apart; that another method has other options goes without saying.
    """
    shown = set(always)
    for field in fields(Variant):
        of = (lambda each: each.method) if field.name == "method_options" else (lambda each: None)
        if len({(of(each), getattr(each, field.name)) for each in variants}) > len({of(each) for each in variants}):
            shown.add(field.name)
    return [field.name for field in fields(Variant) if field.name in shown]


def world_labels(variants: Iterable[Variant]) -> dict[Variant, str]:
    """What stands above the rows of one world: `mr`, and its k and model where there are several of them."""
    given = list(variants)
    several = {name for name in ("k", "model") if len({getattr(each, name) for each in given}) > 1}
    return {
        each: ", ".join([each.task, *(f"{name} {each.texts[name]}".removeprefix("model ") for name in sorted(several))])
        for each in given
    }


def row_words(each: Variant, among: Sequence[Variant]) -> tuple[str, ...]:
    """The smaller line under a row's name: its learning rate, and what else tells it from the others of its world."""
    told = ("method", "weights", "task", "k", "model")
    names = [name for name in telling_fields(among, always=("learning_rate",)) if name not in told]
    words = [f"{FIELD_TITLES.get(name, '')} {each.texts[name]}".strip() for name in names if each.texts[name]]
    return (", ".join(words),) if words else ()


def method_label(each: Variant, among: Iterable[Variant]) -> str:
    """`GD`, and what else it takes to tell it from the other variants of the same method."""
    rivals = [other for other in among if other.method == each.method and other.task == each.task]
    label = each.method or ""
    if "learning_rate" in (differ := telling_fields(rivals)):
        label += f", learning rate {each.texts['learning_rate']}"
    more = [f"{name} {each.texts[name]}" for name in differ if name in ("k", "dtype", "record_at", "model")]
    if "method_options" in differ:
        more.append(each.texts["method_options"])
    return ", ".join([label, *more])
