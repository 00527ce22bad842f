"""How long a study will take here: a short calibration on its first cell, scaled by tokens."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from demograd.learn import Diverged, fine_tuned
from demograd.models import Model
from demograd.observe import observe
from demograd.study.cells import Cell, World, extras
from demograd.study.prepare import Prepared
from demograd.study.schema import Study
from demograd.tasks import Prompts, TrainingSequence

QUERIES, SEQUENCES = 8, 2
"""What is timed: enough to be past the first call's overhead, short beside a study."""


def estimate(study: Study, model: Model, todo: Sequence[Cell], prepared: Callable[[World], Prepared]) -> str:
    """A sentence: how many cells, and about how long.

    Steps cost what a method's step costs per token, observations what they cost per token; loading networks and
    writing the report are not counted.
    """
    first = prepared(todo[0].world)
    few = replace(first.zsl, queries=first.zsl.queries[:QUERIES], gold=first.zsl.gold[:QUERIES])
    observe(model, few, extras=extras(study, "ZSL"))  # the first call finds out how this network can be observed
    per_observed_token = _seconds(lambda: observe(model, few, extras=extras(study, "ZSL"))) / _prompt_tokens(few)
    methods = {cell.method: cell.learning_rate for cell in todo}
    sequences = first.training["FT"][:SEQUENCES]
    per_trained_token = {
        method: _seconds(partial(_train, study, model, sequences, method, rate)) / _tokens(sequences)
        for method, rate in methods.items()
    }
    looks_at_orders = "order_sensitivity" in study.measures
    seconds = 0.0
    for cell in todo:
        here = prepared(cell.world)
        trained = [*here.training.values(), *(order.training for order in here.orders[1:] if looks_at_orders)]
        seconds += per_trained_token[cell.method] * sum(map(_tokens, trained))
        seconds += per_observed_token * _prompt_tokens(here.zsl) * len(trained)
    for world in {cell.world for cell in todo}:
        here = prepared(world)
        prompts = [here.icl, *(order.icl for order in here.orders[1:])]
        seconds += per_observed_token * sum(map(_prompt_tokens, prompts))
    return f"{len(todo)} cell{'s' * (len(todo) != 1)} to run, about {_in_words(seconds)} here"


def _train(study: Study, model: Model, sequences: list[TrainingSequence], method: str, rate: float) -> None:
    try:
        with fine_tuned(model, sequences, study.method(method, rate)):
            return
    except Diverged:
        return  # it took its time all the same; the run will say so


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _tokens(sequences: Sequence[TrainingSequence]) -> int:
    return sum(len(sequence.tokens) for sequence in sequences)


def _prompt_tokens(prompts: Prompts) -> int:
    return len(prompts.context) + sum(map(len, prompts.queries))


def _in_words(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    minutes = seconds / 60
    return f"{minutes:.0f} minutes" if minutes < 100 else f"{minutes / 60:.1f} hours"
