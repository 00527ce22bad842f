"""How fast this machine is: a study's kinds of work, timed on a network of the real widths and few layers.

Such a network can be made of random numbers before the weights are there. What a layer takes is the difference between
a network of one layer and one of several, so that embedding, vocabulary projection and overheads count once.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import mean, median

import torch

from demograd.learn import FineTuning, FineTuningJob, Method, fine_tuned_together
from demograd.learn.lockstep_fit import why_not_in_lockstep
from demograd.metrics import METRICS, compute
from demograd.models import Model, find_anatomy
from demograd.models.load import DTYPES
from demograd.models.placement import check_device, placed
from demograd.observe import Observation, observe
from demograd.study.language_model.grid import extras
from demograd.study.language_model.measures import matched_metrics, metrics_of_demonstrations, metrics_of_fine_tuning
from demograd.study.language_model.prompts import Prepared
from demograd.study.language_model.sizes import prompt_sizes, sequence_sizes
from demograd.study.language_model.spec import Study
from demograd.study.plan.blueprint import Blueprint, empty_network
from demograd.study.plan.flops import observing, training
from demograd.study.plan.pace import Pace
from demograd.study.plan.work import WorldWork, trained_at_a_time
from demograd.tasks import Prompts, TrainingSequence

QUERIES, SEQUENCES, REPEATS = 8, 2, 3
"""Queries, sequences (or as many as a method takes at least) and repeats that are timed: enough to be past overheads,
short beside a study."""
LONG = 3.0
"""Seconds: what has taken as long is not timed again."""
TOKENS = 128
"""Tokens that are trained at a time, at most: with more, an operation takes as long (SmolLM2-135M, two cores)."""
DEEP_BYTES = 128 << 20
"""Size of the deeper network's layers: more than the caches hold, as the whole network's are."""


@dataclass(frozen=True)
class Sample:
    """A little of each kind of work, to be timed."""

    zsl: Prompts
    icl: Prompts
    sequences: list[TrainingSequence]
    methods: Mapping[str, Method]
    """Name → method."""
    together: Mapping[str, int]
    """Name → how many fine-tunings are trained at a time."""


def sample_of(study: Study, blueprint: Blueprint, prepared: Prepared, work: WorldWork) -> Sample:
    """A sample of a world, with each of its methods."""
    sequences = prepared.training["FT"]
    tokens = mean(len(sequence.tokens) for sequence in sequences)
    methods = {tuning.method: study.method(tuning.method, tuning.learning_rate) for tuning in work.tunings}
    together = {
        tuning.method: max(1, min(trained_at_a_time(study, blueprint, tuning, work.sets), int(TOKENS / tokens)))
        for tuning in work.tunings
    }
    number = max([SEQUENCES, *(method.fewest for method in methods.values())])
    return Sample(_few(prepared.zsl), _few(prepared.icl), sequences[:number], methods, together)


def pace_here(study: Study, blueprint: Blueprint, sample: Sample | None) -> Pace:
    """Timed on two random networks of one layer and of several; no sample: only drawing them.

    Methods are timed in one epoch on all layers, for networks of few have no middle third and no layer 20; an operation
    takes as long on some of them.
    """
    if sample is not None:
        sample = replace(sample, methods={name: _to_be_timed(method) for name, method in sample.methods.items()})
    layer_bytes = max(sizes.all for sizes in blueprint.sizes) * DTYPES[study.dtype].itemsize
    deep = min(blueprint.layers, 2 + DEEP_BYTES // max(layer_bytes, 1))
    timed: list[tuple[int, dict[str, float], float]] = []
    for layers in sorted({1, deep}):
        started = time.perf_counter()
        network = empty_network(blueprint.config, "cpu", layers)
        drawing = time.perf_counter() - started
        network = placed(network.to(DTYPES[study.dtype]), check_device(study.device))
        model = Model(blueprint.name, network, None, find_anatomy(network), dtype=study.dtype)
        timed.append((layers, {} if sample is None else _timed(study, model, sample), drawing))
    if sample is None:
        return Pace({}, {}, drawing=_of_all_layers(blueprint, [(layers, drawing) for layers, _, drawing in timed]))
    return _pace(blueprint, sample, timed)


def _few(prompts: Prompts) -> Prompts:
    return replace(prompts, queries=prompts.queries[:QUERIES], gold=prompts.gold[:QUERIES])


def _timed(study: Study, model: Model, sample: Sample) -> dict[str, float]:
    """Seconds of each kind of work, at this depth."""
    seconds = {}
    _observe(study, model, sample.zsl, "ZSL")  # the first call finds out how this network can be observed
    observed = {}
    for setting, prompts in (("ZSL", sample.zsl), ("ICL", sample.icl), ("FT", sample.zsl)):
        seconds[setting] = _seconds(partial(_observe, study, model, prompts, setting))
        observed[setting] = _observe(study, model, prompts, setting)
    zsl, icl, ft = observed.values()
    arguments = {"zsl": zsl, "icl": icl, "ft": ft, "other": ft, "a": icl, "b": ft}
    for name, metrics in (("scoring", metrics_of_fine_tuning(study)), ("matching", matched_metrics(study))):
        seconds[name] = _seconds(partial(compute, metrics, arguments))
    for name, method in sample.methods.items():
        seconds |= _timed_tuning(study, model, sample, name, method)
    return seconds


def _timed_tuning(study: Study, model: Model, sample: Sample, name: str, method: Method) -> dict[str, float]:
    """Seconds of a fine-tuning, trained with others, and of an observation after it where that differs from ZSL."""
    with_queries = any("training_queries" in METRICS[metric].arguments for metric in metrics_of_demonstrations(study))
    shared = not with_queries and why_not_in_lockstep(model.anatomy, method) is None
    jobs = [FineTuningJob(sample.sequences, method)] * (sample.together[name] if shared else 1)
    tune = partial(fine_tuned_together, model, jobs, record_training_queries=with_queries)

    def trained() -> None:
        with tune():
            pass

    seconds = {f"tuning {name}": _seconds(trained) / len(jobs)}
    if isinstance(method, FineTuning) and method.linearised:
        with tune() as (first, *_):
            if first.diverged is None:
                with first.loaded() as tuned:
                    seconds[name] = _seconds(partial(_observe, study, tuned, sample.zsl, "FT"))
    return seconds


def _to_be_timed(method: Method) -> Method:
    """At a rate that changes no random network so much that it diverges."""
    if not isinstance(method, FineTuning):
        return replace(method, learning_rate=1e-12)
    return replace(method, learning_rate=1e-12, epochs=1, parameters=replace(method.parameters, layers="all"))


def _observe(study: Study, model: Model, prompts: Prompts, setting: str) -> Observation:
    return observe(model, prompts, extras=extras(study, setting), place=study.place)


def _seconds(work: Callable[[], object]) -> float:
    """The median, without the first, which fills the caches, unless that took long by itself."""
    seconds: list[float] = []
    while len(seconds) <= REPEATS and sum(seconds) < LONG:
        started = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return median(seconds[1:] or seconds)


def _pace(blueprint: Blueprint, sample: Sample, timed: list[tuple[int, dict[str, float], float]]) -> Pace:
    """From seconds at one or two depths to seconds per operation of the whole network."""

    def kind(name: str) -> float:
        return _of_all_layers(blueprint, [(layers, seconds[name]) for layers, seconds, _ in timed])

    per_zsl, per_icl = (observing(blueprint, prompt_sizes(prompts)).total for prompts in (sample.zsl, sample.icl))
    trained = sequence_sizes(sample.sequences)
    flops = {name: training(blueprint, trained, method).total for name, method in sample.methods.items()}
    linearised = [name for name in sample.methods if all(name in seconds for _, seconds, _ in timed)]
    queries = len(sample.zsl.queries)
    return Pace(
        observing={
            "ZSL": kind("ZSL") / per_zsl,
            "ICL": kind("ICL") / per_icl,
            "FT": kind("FT") / per_zsl,
            **{name: kind(name) / per_zsl for name in linearised},
        },
        tuning={name: kind(f"tuning {name}") / flops[name] for name in sample.methods},
        scoring=kind("scoring") / queries,
        matching=kind("matching") / queries,
        drawing=_of_all_layers(blueprint, [(layers, drawing) for layers, _, drawing in timed]),
    )


def _of_all_layers(blueprint: Blueprint, timed: Sequence[tuple[int, float]]) -> float:
    """Seconds of the whole network, from those at one depth, the whole, or at two."""
    (shallow, first), (deep, last) = timed[0], timed[-1]
    if shallow == deep:
        return first
    return first + max(last - first, 0.0) / (deep - shallow) * (blueprint.layers - shallow)
