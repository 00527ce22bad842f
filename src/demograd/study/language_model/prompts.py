"""Token ids of a demonstration set, made before a run folder exists: what is wrong with a task is found here."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import factorial
from typing import Any

from demograd.errors import UserError
from demograd.models import Model
from demograd.models.load import load_tokenizer
from demograd.study.language_model.grid import World
from demograd.study.language_model.spec import Study
from demograd.tasks import (
    Example,
    Prompts,
    Task,
    TrainingSequence,
    can_keep_class_counts,
    other_task,
    permute_labels,
    released_orders,
)
from demograd.tasks.draws import reorder
from demograd.words import Control


@dataclass(frozen=True)
class Reader:
    """Tokenizer and context window of a model: all that prompts need, without its weights."""

    name: str
    tokenizer: Any
    context_window: int | None

    @cached_property
    def reading(self) -> tuple[object, ...]:
        """Equal for models that make the same token ids of every demonstration set."""
        tokenizer = self.tokenizer
        backend = getattr(
            tokenizer, "backend_tokenizer", None
        )  # without it, only the tokenizer itself is known to be alike
        words = id(tokenizer) if backend is None else hashlib.sha256(backend.to_str().encode()).hexdigest()
        return type(tokenizer), words, tokenizer.bos_token_id, tokenizer.eos_token_id, self.context_window


def reader_of(study: Study, name: str) -> Reader:
    """The tokenizer and the context window of one of a study's models.

    Raises:
        UserError: the model cannot be found.
    """
    return Reader(name, *load_tokenizer(name, study.bos))


@dataclass(frozen=True)
class Order:
    """The same demonstrations in one order, prompted and trained on."""

    icl: Prompts
    training: list[TrainingSequence]


@dataclass(frozen=True)
class Prepared:
    """The token ids of one task and one demonstration set."""

    seed: int
    """The demonstration set."""
    k_used: int
    """Demonstrations in ICL's prompt."""
    zsl: Prompts
    icl: Prompts
    training: dict[str, list[TrainingSequence]]
    """Setting → training sequences: FT, and the controls."""
    orders: list[Order]
    """Other orders of the demonstrations, where the study looks at them; the first is that of `icl`."""
    keeps_class_counts: bool
    """Whether the control with permuted labels, if the study has it, has as many of each class as FT."""

    @property
    def aligned_zsl(self) -> Prompts:
        """ZSL's, each query where it stands in ICL: for what compares keys that rotary positions turn."""
        return replace(self.zsl, query_position=len(self.icl.context))


def orders_needed(study: Study) -> int:
    """How many orders of the demonstrations the study looks at, the prompted one included."""
    if "order_sensitivity" in study.measures:
        return study.orders
    return 2 if "reordering" in study.measures else 0


def other_trainings(study: Study, prepared: Prepared) -> list[list[TrainingSequence]]:
    """The demonstrations in the other orders that a cell is fine-tuned on."""
    if "order_sensitivity" not in study.measures:
        return []
    return [order.training for order in prepared.orders if order.training != prepared.training["FT"]]


def prepare(study: Study, tasks: dict[str, Task], model: Model | Reader, world: World) -> Prepared:
    """Draw demonstrations and queries and turn them into token ids.

    Raises:
        UserError: see `Task.demonstration_sets`, `Task.queries`, `Task.prompts`.
    """
    task, seed = tasks[world.task].with_labels(world.labels, study.label_seed), world.seed
    queries = task.queries(study.queries_of(world.task), study.query_seed)
    seeds = study.seeds_of(world.task)
    sets = dict(zip(seeds, task.demonstration_sets(world.k, seeds, study.balanced), strict=True))
    demonstrations = sets[seed]
    # what fits is found in the first order, so that every order is one of the same demonstrations
    fits = _fitting_sets(study, task, model, queries, sets)
    fitting = fits[seed]
    trainable = demonstrations if study.fine_tuned_on == "all" else fitting
    if study.fine_tuning_order == "as_released":
        used = released_orders(fitting, seed, world.permutation).icl
        trained = released_orders(trainable, seed, world.permutation).ft
    else:
        used, trained = reorder(fitting, seed, world.permutation), reorder(trainable, seed, world.permutation)

    def prompts(shown: Sequence[Example], query_position: int | None = None) -> Prompts:
        return task.prompts(
            model.tokenizer,
            queries,
            shown,
            separator=study.separator,
            record_at=study.record_at,
            align_positions_to=query_position,
            context_window=model.context_window,
        )

    def sequences(trained_task: Task, examples: Sequence[Example]) -> list[TrainingSequence]:
        encoded = trained_task.training_sequences(model.tokenizer, examples, separator=study.separator)
        _require_window(trained_task, model, seed, encoded)
        return encoded

    position = None
    if study.align_positions:  # one for all sets: matching compares them with one ZSL
        position = max(len(prompts(shown).context) for shown in fits.values())
    icl = prompts(used, position)
    training = {"FT": sequences(task, trained)}
    labels_permuted = Control.PERMUTED_LABELS in study.controls
    for control in study.controls:
        if control == Control.PERMUTED_LABELS:
            wrong = permute_labels(trained, len(task.label_words), seed)
            training["FT_permuted_labels"] = sequences(task, wrong)
        else:
            other = tasks[other_task(world.task, {name: tasks[name] for name in study.tasks})]
            others = other.demonstrations(world.k, seed, study.balanced)[: len(trained)]
            training["FT_other_task"] = sequences(other, others)
    number = min(orders_needed(study), factorial(len(used)))  # a single demonstration has one order
    orders = [used, *_other_orders(fitting, seed, world.permutation, number - 1)] if number else []
    return Prepared(
        seed=seed,
        k_used=len(used),
        zsl=prompts([], position),
        icl=icl,
        training=training,
        orders=[Order(prompts(order, position), sequences(task, order)) for order in orders],
        keeps_class_counts=not labels_permuted or can_keep_class_counts([example.label for example in trained]),
    )


def _other_orders(demonstrations: list[Example], seed: int, permutation: int, count: int) -> list[list[Example]]:
    """The first `count` orders that are not order number `permutation`."""
    numbers = [number for number in range(count + 1) if number != permutation][:count]
    return [reorder(demonstrations, seed, number) for number in numbers]


def _fitting_sets(
    study: Study, task: Task, model: Model | Reader, queries: list[Example], sets: dict[int, list[Example]]
) -> dict[int, list[Example]]:
    """The demonstrations of each set that fit the context window: dropped from the end, in ICL and FT alike. Sets that
    are matched have as many as the set of which fewest fit: how many there are is a trait of a set, which ICL and FT
    would share."""
    window = model.context_window
    if window is None:
        return sets
    fits = {
        seed: task.fitting_demonstrations(model.tokenizer, queries, demonstrations, window, separator=study.separator)
        for seed, demonstrations in sets.items()
    }
    fewest = min(map(len, fits.values())) if study.matching else None
    return {seed: demonstrations[:fewest] for seed, demonstrations in fits.items()}


def _require_window(task: Task, model: Model | Reader, seed: int, sequences: list[TrainingSequence]) -> None:
    longest = max(len(sequence.tokens) for sequence in sequences)
    if model.context_window is not None and longest > model.context_window:
        raise UserError(
            f"A demonstration of {task.name} (seed {seed}) takes {longest} tokens",
            f"at most {model.context_window} for {model.name}",
            "Choose another seed or model",
        )
