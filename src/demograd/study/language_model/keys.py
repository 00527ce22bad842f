"""What the numbers of a unit of a language model depend on, but for rounding, and nothing else.

Not the name of a model or a task, of a method or the study: their weights, token ids and options. So another study that
contains the same cell has the same key's hash, and data or weights that changed under the same name have another.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from demograd.metrics import METRICS
from demograd.models import Weights
from demograd.study.language_model.grid import Cell, World, demonstrations_label
from demograd.study.language_model.inputs import Inputs
from demograd.study.measures import (
    MEASURES,
    NETWORK_MEASURES,
    NOT_IN_CELLS,
    extras_of,
    is_asked,
    measured_metrics,
    metrics_of_demonstrations,
    metrics_of_fine_tuning,
)
from demograd.study.schema import Study
from demograd.study.store.keys import key_of

_OF_ORDERS = "order_sensitivity"
"""Measure of ICL's and FT's orders, and its metric, which one FT alone does not have."""


def cell_key(study: Study, cell: Cell, inputs: Inputs) -> str:
    """Names the file of a finished cell."""
    world, method = cell.world, study.method(cell.method, cell.learning_rate)
    tokens = _tokens(world, inputs)
    settings = ["ZSL", "ICL", "FT", *(f"FT_{control}" for control in study.controls)]
    measures = sorted(set(study.measures).difference(NOT_IN_CELLS))
    metrics = [*metrics_of_fine_tuning(study), *metrics_of_demonstrations(study)]
    if is_asked(study, _OF_ORDERS):
        metrics.append(_OF_ORDERS)
        settings.append("orders")
    content: dict[str, Any] = {
        "network": _network(study, world.model, world.weights, world.initialisation, inputs),
        "tokens": {setting: tokens[setting] for setting in settings},
        "method": method.key(),
        "measures": measures,
        **_versions(inputs, measures, metrics),
        "recorded": {setting: _recorded(study, setting, inputs) for setting in ("ZSL", "ICL", "FT")},
        "place": study.place,
        **_seed(world, metrics, inputs),
    }
    return key_of(_title(world, cell.method), content, inputs.numerics)


def observation_key(study: Study, world: World, setting: str, inputs: Inputs) -> str:
    """Names the file of an observation without fine-tuning: ZSL or ICL. Worlds that share it have the same."""
    return key_of(
        f"{world.weights}-{world.task}-{setting}",
        {
            "network": _network(study, world.model, world.weights, world.initialisation, inputs),
            "tokens": _tokens(world, inputs)[setting],
            "recorded": _recorded(study, setting, inputs),
            "place": study.place,
        },
        inputs.numerics,
    )


def untuned_key(study: Study, world: World, what: str, inputs: Inputs) -> str:
    """Names the file of something that is measured without fine-tuning: ICL under other orders (`orders`), or all that
    the cells of a world need (`world`)."""
    tokens = _tokens(world, inputs)
    measures = sorted(set(study.measures).difference(NETWORK_MEASURES))
    metrics = [*metrics_of_fine_tuning(study), *[_OF_ORDERS] * is_asked(study, _OF_ORDERS)]
    return key_of(
        _title(world, what),
        {
            "network": _network(study, world.model, world.weights, world.initialisation, inputs),
            "what": what,
            "tokens": {setting: tokens[setting] for setting in ("ZSL", "ICL", "orders")},
            # reordering scores ICL as if it were FT, with every metric of FT that is asked for
            "measures": measures,
            **_versions(inputs, measures, metrics),
            "recorded": {setting: _recorded(study, setting, inputs) for setting in ("ZSL", "ICL")},
            "place": study.place,
            **_seed(world, metrics, inputs),
        },
        inputs.numerics,
    )


def network_key(study: Study, model: str, weights: Weights, initialisation: int, what: str, inputs: Inputs) -> str:
    """Names the file of something that is measured on a network alone."""
    content: dict[str, Any] = {
        "network": _network(study, model, weights, initialisation, inputs),
        "what": what,
        **_versions(inputs, [what], MEASURES[what].metrics),
    }
    if what == "training_time":  # a distance from the last checkpoint
        content["last"] = inputs.networks[study.models[-1]]
    return key_of(f"{weights}-{what}", content, inputs.numerics)


def _title(world: World, what: str) -> str:
    return f"{world.weights}-{world.task}-k{world.k}-seed{world.seed}-{what}"


def _versions(inputs: Inputs, measures: Iterable[str], metrics: Iterable[str]) -> dict[str, Any]:
    """Of these, as they were when the study ran; nothing for a folder that was written before they were kept."""
    names = [*(f"measure {name}" for name in measures), *(f"metric {name}" for name in metrics)]
    here = {name: inputs.versions[name] for name in names if name in inputs.versions}
    return {"versions": here} if here else {}


def _is_known(inputs: Inputs, metric: str) -> bool:
    """Whether the study had a metric when it ran; of a folder that was written before they were kept: yes."""
    return not inputs.versions or f"metric {metric}" in inputs.versions


def _seed(world: World, metrics: Iterable[str], inputs: Inputs) -> dict[str, int]:
    """The demonstration set's, where a metric draws random numbers."""
    is_seeded = any(METRICS[name].is_seeded for name in metrics if _is_known(inputs, name))
    return {"seed": world.seed} if is_seeded else {}


def _recorded(study: Study, setting: str, inputs: Inputs) -> list[str]:
    """What the observation of a setting has besides, by the metrics that there were when the study ran."""
    return sorted(extras_of((name for name in measured_metrics(study) if _is_known(inputs, name)), setting))


def _network(study: Study, model: str, weights: Weights, initialisation: int, inputs: Inputs) -> dict[str, Any]:
    content = {"pretrained": inputs.networks[model], "weights": weights, "dtype": study.dtype}
    if weights == "trained":
        return content
    return {
        **content,
        "seed": initialisation,
        "drawn_by": inputs.initialisation,
        "final_norm_lost": study.final_norm_lost,
    }


def _tokens(world: World, inputs: Inputs) -> Mapping[str, str]:
    return inputs.tokens[demonstrations_label(world)]
