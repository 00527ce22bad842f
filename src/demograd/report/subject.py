"""What a row of a table is about: one fine-tuning method on one task, from one state of the weights; and its labels."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import pandas as pd

from demograd.learn.method import method_with, options_in_words
from demograd.report.section import Entry, Group, TableRow, grouped
from demograd.words import Labels

WEIGHTS = ("trained", "trained_embeddings", "norms_only", "no_training")
"""In the order in which tables show them; others follow."""
LABELS = tuple(Labels)
"""In the same order."""

FIELD_TITLES = {"learning_rate": "learning rate", "record_at": "recorded at", "initialisation": "initialisation"}
_WORLD = {"labels": "{} labels", "k": "k {}", "model": "{}"}
"""What tells worlds of one task apart, in words."""


@dataclass(frozen=True)
class Variant:
    """All that tells two rows of a table apart, before setting and metric."""

    task: str
    labels: str | None
    """Which labels the demonstrations have; null for what was measured without any task."""
    method: str | None
    """None: not fine-tuned (ZSL, ICL)."""
    weights: str
    initialisation: int | None
    """The seed of untrained weights; None for trained ones."""
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
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        texts = {name: "" if value is None else str(value) for name, value in values.items()}
        return texts | {"learning_rate": rate, "method_options": options_text(self.method_options)}


def variant(row: Mapping[Any, Any]) -> Variant:
    """What a row of the results is about."""
    values: dict[str, Any] = {
        field.name: None if pd.isna(row[field.name]) else row[field.name] for field in fields(Variant)
    }
    for name, kind in (("k", int), ("initialisation", int), ("learning_rate", float)):
        values[name] = None if values[name] is None else kind(values[name])
    return Variant(**values)


def variants_of(rows: pd.DataFrame) -> list[Variant]:
    """What each of these rows is about."""
    columns = [field.name for field in fields(Variant)]
    distinct = rows.groupby(columns, dropna=False, sort=False, observed=True)
    by_place = [variant(row) for row in rows.loc[~rows.duplicated(columns), columns].to_dict("records")]
    return [by_place[place] for place in distinct.ngroup()]


def in_order(variants: Iterable[Variant]) -> list[Variant]:
    """By task, labels, k and model (as they come), then method, trained weights before untrained ones, then learning
    rate."""
    distinct = list(dict.fromkeys(variants))
    models = list(dict.fromkeys(variant.model for variant in distinct))  # checkpoints come in the order of training

    def rank(variant: Variant) -> tuple[Any, ...]:
        labels = LABELS.index(variant.labels) if variant.labels in LABELS else len(LABELS)
        world = (variant.task, labels, variant.k or 0, models.index(variant.model))
        weights = (weights_rank(variant.weights), variant.weights, variant.initialisation or 0)
        others = (variant.method_options or "", variant.dtype, variant.record_at, variant.selection)
        return (*world, variant.method or "", *weights, variant.learning_rate or 0.0, *others)

    return sorted(distinct, key=rank)


def weights_rank(weights: str) -> int:
    """Place of a state of the weights in tables: untrained ones follow trained ones, unknown ones come last."""
    return WEIGHTS.index(weights) if weights in WEIGHTS else len(WEIGHTS)


def telling_fields(variants: Sequence[Variant], always: Iterable[str] = ()) -> list[str]:
    """The fields by which these variants differ, and those always shown, in the order of `Variant`.

    Options tell variants of one method apart; that another method has other options goes without saying. So do
    initialisations those of one state of the weights.
    """
    shown = set(always)
    of_group = {"method_options": "method", "initialisation": "weights"}
    for field in fields(Variant):
        group = of_group.get(field.name)
        groups = [getattr(variant, group) if group else None for variant in variants]
        values = {(group, getattr(variant, field.name)) for group, variant in zip(groups, variants, strict=True)}
        if len(values) > len(set(groups)):
            shown.add(field.name)
    return [field.name for field in fields(Variant) if field.name in shown]


def world_labels(variants: Iterable[Variant]) -> dict[Variant, str]:
    """What stands above the rows of one world: `mr`, and its labels, k and model where there are several of them."""
    variants = list(variants)
    several = [name for name in _WORLD if len({getattr(variant, name) for variant in variants}) > 1]
    return {
        variant: ", ".join([variant.task, *(_WORLD[name].format(variant.texts[name]) for name in several)])
        for variant in variants
    }


def by_world(variants: Iterable[Variant]) -> dict[str, list[Variant]]:
    """The variants of each world by its label, which is empty where there is one world only."""
    worlds: dict[str, list[Variant]] = {}
    for variant, world in world_labels(variants).items():
        worlds.setdefault(world, []).append(variant)
    return worlds if len(worlds) != 1 else {"": [*worlds.popitem()[1]]}


def row_words(variant: Variant, rivals: Sequence[Variant]) -> tuple[str, ...]:
    """The smaller line under a row's name: its learning rate, and what else tells it from its rivals in its world."""
    names = telling_fields(rivals, always=("learning_rate",))
    names = [name for name in names if name not in ("method", "weights", "task", *_WORLD)]
    words = [f"{FIELD_TITLES.get(name, '')} {variant.texts[name]}".strip() for name in names if variant.texts[name]]
    return (", ".join(words),) if words else ()


def variant_rows(variants: Sequence[Variant], entries: Callable[[Variant], Iterable[Entry]]) -> tuple[Group, ...]:
    """A row for each variant, named by method and weights, in a group for each world."""
    worlds = world_labels(variants)

    def row(variant: Variant) -> TableRow:
        under = row_words(variant, [rival for rival in variants if rival.method == variant.method])
        return TableRow(variant.method or "", tuple(entries(variant)), variant.weights, under)

    return grouped([(worlds[variant], row(variant)) for variant in variants])


def method_label(variant: Variant, variants: Iterable[Variant]) -> str:
    """`GD`, and what else it takes to tell it from the other variants of the same method."""
    rivals = [rival for rival in variants if rival.method == variant.method and rival.task == variant.task]
    label = variant.method or ""
    if "learning_rate" in (differ := telling_fields(rivals)):
        label += f", learning rate {variant.texts['learning_rate']}"
    more = [
        f"{name} {variant.texts[name]}" for name in differ if name in ("k", "labels", "dtype", "record_at", "model")
    ]
    more += [f"initialisation {variant.initialisation}"] * (
        "initialisation" in differ and variant.initialisation is not None
    )
    if "method_options" in differ:
        more.append(variant.texts["method_options"])
    return ", ".join([label, *more])


def short_labels(variants: Sequence[Variant]) -> dict[Variant, str]:
    """`GD`, and weights and learning rate only where they tell two of these apart."""
    several_weights = len({variant.weights for variant in variants}) > 1
    several_initialisations = "initialisation" in telling_fields(variants)
    rates: dict[Variant, set[float | None]] = {}
    for variant in variants:
        rates.setdefault(_without_rate(variant), set()).add(variant.learning_rate)
    labels = {}
    for variant in variants:
        words = [variant.method or "ICL", *([variant.weights] if several_weights else [])]
        if several_initialisations and variant.initialisation is not None:
            words.append(f"initialisation {variant.initialisation}")
        if len(rates[_without_rate(variant)]) > 1:
            words.append(f"rate {variant.texts['learning_rate']}")
        labels[variant] = ", ".join(words)
    return labels


def _without_rate(variant: Variant) -> Variant:
    return replace(variant, learning_rate=None, method_options=None, dtype="", record_at="", selection="")


def options_text(method_options: str | None) -> str:
    """`method_options` of the results in words; what is no JSON is shown as it is."""
    options = _parsed(method_options)
    return options_in_words(options) if isinstance(options, dict) else str(options)


def is_layer_causal(method_options: str | None) -> bool:
    """Whether these are options of a method whose layers each learn from a loss of their own."""
    options = _parsed(method_options)
    method = method_with(options) if isinstance(options, dict) else None
    return method is not None and method.layer_causal


def _parsed(method_options: str | None) -> Any:
    try:
        return json.loads(method_options or "{}")
    except ValueError:
        return method_options
