"""How fast this machine does a study's kinds of work: timed on a network of the real widths and few layers.

Such a network can be made of random numbers before the weights are there. What a layer takes is the difference between
a network of one layer and one of several, so that embedding, vocabulary projection and overheads count once.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median

import torch

from demograd.learn import Diverged, Method, fine_tuned
from demograd.models import Model, find_anatomy
from demograd.models.load import DTYPES
from demograd.models.placement import check_device, placed
from demograd.observe import Observation, observe
from demograd.study.language_model.grid import extras
from demograd.study.language_model.networks import THRESHOLDS
from demograd.study.language_model.prompts import Prepared
from demograd.study.language_model.sizes import prompt_sizes, sequence_sizes
from demograd.study.language_model.spec import Study
from demograd.study.plan.blueprint import Blueprint, empty_network
from demograd.study.plan.flops import observing, training
from demograd.study.plan.work import WorldWork
from demograd.tasks import Prompts, TrainingSequence

QUERIES, SEQUENCES, REPEATS = 8, 2, 3
"""Queries, sequences and repeats that are timed: enough to be past overheads, short beside a study."""
READING = 2e9
"""Bytes of weights a second, read from a file, converted and hashed; or gone through in memory."""
FLOAT32 = 4
"""Bytes: what single weights are compared in."""
DEEP_BYTES = 128 << 20
"""Size of the deeper network's layers: more than the caches hold, as the whole network's are."""


@dataclass(frozen=True)
class Pace:
    """Seconds per operation of one model, by kind of work."""

    observing: Mapping[str, float]
    """Setting → seconds: ZSL, ICL; `FT`, and a method's name where it is observed otherwise than ZSL."""
    tuning: Mapping[str, float]
    """Method → seconds."""
    drawing: float = 0.0
    """Seconds that drawing random weights for the whole network takes."""

    def seconds(self, study: Study, blueprint: Blueprint, work: WorldWork) -> float:
        """Seconds that one world takes."""
        seconds = sum(
            self.observing[observation.setting] * observing(blueprint, observation.sizes).total
            for observation in work.observations
        )
        for tuning in work.tunings:
            method = study.method(tuning.method, tuning.learning_rate)
            tuned = sum(training(blueprint, trained, method).total for trained in tuning.trained)
            after = self.observing.get(tuning.method, self.observing["FT"]) * observing(blueprint, tuning.after).total
            seconds += tuning.rates * self.tuning[tuning.method] * tuned + tuning.observations * after
        return seconds


@dataclass(frozen=True)
class Sample:
    """A little of each kind of work, to be timed."""

    zsl: Prompts
    icl: Prompts
    sequences: list[TrainingSequence]
    methods: Mapping[str, Method]
    """Name → method."""


def sample_of(study: Study, prepared: Prepared, work: Iterable[WorldWork]) -> Sample:
    """A sample of one demonstration set, with every method of the work."""
    methods = {
        tuning.method: study.method(tuning.method, tuning.learning_rate)
        for world_work in work
        for tuning in world_work.tunings
    }
    return Sample(_few(prepared.zsl), _few(prepared.icl), prepared.training["FT"][:SEQUENCES], methods)


def pace_here(study: Study, blueprint: Blueprint, sample: Sample | None) -> Pace:
    """Timed on two random networks of one layer and of several; no sample: only drawing them.

    Methods are timed on all layers, for networks of few have no middle third and no layer 20; an operation takes as
    long on some of them.
    """
    if sample is not None:
        sample = replace(sample, methods={name: _on_all_layers(method) for name, method in sample.methods.items()})
    layer_bytes = max(sizes.all for sizes in blueprint.sizes) * DTYPES[study.dtype].itemsize
    deep = min(blueprint.layers, 2 + DEEP_BYTES // max(layer_bytes, 1))
    timed: list[tuple[int, dict[str, float], float]] = []
    for layers in sorted({1, deep}):
        started = time.perf_counter()
        network = empty_network(blueprint.config, "cpu", layers)
        drawing = time.perf_counter() - started
        network = placed(network.to(DTYPES[study.dtype]), check_device(study.device))
        model = Model(blueprint.name, network, None, find_anatomy(network), dtype=study.dtype)
        timed.append((layers, {} if sample is None else _timed(study, model, sample, REPEATS), drawing))
    if sample is None:
        return Pace({}, {}, drawing=_of_all_layers(blueprint, [(layers, drawing) for layers, _, drawing in timed]))
    return _pace(blueprint, sample, timed)


def loading_seconds(study: Study, blueprint: Blueprint) -> float:
    """Until the trained network is there."""
    return blueprint.parameters * DTYPES[study.dtype].itemsize / READING


def measuring_seconds(study: Study, blueprint: Blueprint, measure: str) -> float:
    """Seconds of a network measure: `sparsity`, or `training_time`, for which the last checkpoint is loaded too."""
    if measure == "sparsity":
        entries = sum(parameter.numel() for module in blueprint.anatomy.attentions for parameter in module.parameters())
        return entries * FLOAT32 * (1 + len(THRESHOLDS)) / READING
    return loading_seconds(study, blueprint) + 2 * blueprint.parameters * FLOAT32 / READING


def duration_in_words(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    minutes = seconds / 60
    if minutes < 100:
        return f"{minutes:.0f} minutes"
    return f"{minutes / 60:.1f} hours" if minutes < 60 * 48 else f"{minutes / 60 / 24:.1f} days"


def _few(prompts: Prompts) -> Prompts:
    return replace(prompts, queries=prompts.queries[:QUERIES], gold=prompts.gold[:QUERIES])


def _timed(study: Study, model: Model, sample: Sample, repeats: int) -> dict[str, float]:
    """Seconds of each kind of work, at this depth."""
    seconds = {}
    _observe(study, model, sample.zsl, "ZSL")  # the first call finds out how this network can be observed
    for setting, prompts in (("ZSL", sample.zsl), ("ICL", sample.icl), ("FT", sample.zsl)):
        seconds[setting] = _seconds(partial(_observe, study, model, prompts, setting), repeats)
    for name, method in sample.methods.items():
        tune = partial(_tune, model, sample.sequences, _still(method))
        seconds[f"tuning {name}"] = _seconds(tune, repeats)
        if method.linearised:
            after = partial(_observe, study, prompts=sample.zsl, setting="FT")
            both = _seconds(partial(tune, after), repeats)
            seconds[name] = max(both - seconds[f"tuning {name}"], 0.0)
    return seconds


def _on_all_layers(method: Method) -> Method:
    return replace(method, parameters=replace(method.parameters, layers="all"))


def _still(method: Method) -> Method:
    """At a rate that changes no random network so much that it diverges."""
    return replace(method, learning_rate=1e-12)


def _observe(study: Study, model: Model, prompts: Prompts, setting: str) -> Observation:
    return observe(model, prompts, extras=extras(study, setting), place=study.place)


def _tune(
    model: Model,
    sequences: Sequence[TrainingSequence],
    method: Method,
    then: Callable[[Model], object] = lambda tuned: None,
) -> None:
    try:
        with fine_tuned(model, sequences, method) as tuned:
            then(tuned)
    except Diverged:  # 16 bit and random weights; it took its time all the same
        return


def _seconds(work: Callable[[], object], repeats: int) -> float:
    """The median, where there are several, after one that fills the caches."""
    seconds = []
    for _ in range(repeats + (repeats > 1)):
        started = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return median(seconds[repeats > 1 :])


def _pace(blueprint: Blueprint, sample: Sample, timed: list[tuple[int, dict[str, float], float]]) -> Pace:
    """From seconds at one or two depths to seconds per operation of the whole network."""

    def kind(name: str) -> float:
        return _of_all_layers(blueprint, [(layers, seconds[name]) for layers, seconds, _ in timed])

    per_zsl, per_icl = (observing(blueprint, prompt_sizes(prompts)).total for prompts in (sample.zsl, sample.icl))
    trained = sequence_sizes(sample.sequences)
    flops = {name: training(blueprint, trained, method).total for name, method in sample.methods.items()}
    linearised = [name for name in sample.methods if name in timed[0][1]]
    return Pace(
        observing={
            "ZSL": kind("ZSL") / per_zsl,
            "ICL": kind("ICL") / per_icl,
            "FT": kind("FT") / per_zsl,
            **{name: kind(name) / per_zsl for name in linearised},
        },
        tuning={name: kind(f"tuning {name}") / flops[name] for name in sample.methods},
        drawing=_of_all_layers(blueprint, [(layers, drawing) for layers, _, drawing in timed]),
    )


def _of_all_layers(blueprint: Blueprint, timed: Sequence[tuple[int, float]]) -> float:
    """Seconds of the whole network, from those at one depth, the whole, or at two."""
    (shallow, first), (deep, last) = timed[0], timed[-1]
    if shallow == deep:
        return first
    return first + max(last - first, 0.0) / (deep - shallow) * (blueprint.layers - shallow)
