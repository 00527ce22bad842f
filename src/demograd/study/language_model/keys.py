"""Keys of a language model's units: hashes of all that their numbers depend on, but for rounding, and of nothing else.

Not the name of a model or a task, of a method or the study: their weights, token ids and options. So another study that
contains the same cell has the same key's hash, and data or weights that changed under the same name have another.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from typing import Any

from demograd.errors import UserError
from demograd.metrics import METRICS
from demograd.models import Model, Weights
from demograd.study.language_model.grid import Cell, World, demonstrations_label
from demograd.study.language_model.measures import (
    MEASURES,
    NETWORK_MEASURES,
    NOT_IN_CELLS,
    extras_of,
    is_asked,
    measured_metrics,
    metrics_of_demonstrations,
    metrics_of_fine_tuning,
    versions,
)
from demograd.study.language_model.prompts import Prepared
from demograd.study.language_model.spec import Study
from demograd.study.store.folder import RunFolder
from demograd.study.store.keys import NUMERICS, key_of
from demograd.words import Labels, Setting

_FILE = "inputs.json"


@dataclass(frozen=True)
class Inputs:
    """Kept in the run folder as `inputs.json`, so that its cells can be named without a model."""

    networks: Mapping[str, str]
    """Model → fingerprint of its pretrained network."""
    tokens: Mapping[str, Mapping[str, str]]
    """Demonstration set (`demonstrations_label`) → fingerprint of the token ids of ZSL, ICL, FT, its controls, and
    `orders`: other orders of the demonstrations."""
    numerics: int
    initialisation: str
    """The libraries that draw untrained weights: other versions may draw others."""
    versions: Mapping[str, int | str] = field(default_factory=dict)
    """`metric NAME` and `measure NAME` → version, of all that the study measured when it ran (`measures.versions`); of
    a metric from outside the package also its source. Empty in folders from before they were kept."""


def inputs_of(study: Study, tokens: Mapping[str, Mapping[str, str]], load: Callable[[str], Model]) -> Inputs:
    """The inputs of a study, from the fingerprints of its demonstration sets, and its models, loaded one by one."""
    return Inputs(
        networks={name: network_fingerprint(load(name)) for name in study.models},
        tokens=tokens,
        numerics=NUMERICS,
        initialisation=", ".join(f"{name} {version(name).split('+')[0]}" for name in ("torch", "transformers")),
        versions=versions(study),
    )


def read_inputs(folder: RunFolder) -> Inputs:
    """The inputs that a folder's keys follow from, beside its study.

    Raises:
        UserError: nothing was run here yet.
    """
    content = folder.read_json(_FILE)
    if content is None:
        raise UserError(f"{folder.path} has no {_FILE}", "a folder in which a study was run", "Run the study there")
    return Inputs(**content)


def keep_inputs(folder: RunFolder, inputs: Inputs) -> list[str]:
    """Keep them in place of those of the run before; what is not as it was then, in words."""
    before = folder.read_json(_FILE)
    folder.write_json(_FILE, vars(inputs))
    return [] if before is None else what_changed(Inputs(**before), inputs)


def network_fingerprint(model: Model) -> str:
    """Hash of pretrained weights and configuration, also for an untrained twin: equal only for equal networks."""
    config = model.network.config.to_dict()
    for name in ("_name_or_path", "transformers_version"):  # where it lay and who saved it change no number
        config.pop(name, None)
    content = json.dumps([model.pretrained_fingerprint, config], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


def what_changed(before: Inputs, now: Inputs) -> list[str]:
    """Changed inputs in words; empty where no cell has to be run again."""
    networks = [f"the model {name}" for name, is_now in now.networks.items() if before.networks.get(name) != is_now]
    tokens = [f"the text of {label}" for label, is_now in now.tokens.items() if before.tokens.get(label) != is_now]
    numerics = ["how demograd computes"] if before.numerics != now.numerics else []
    libraries = ["what draws untrained weights"] if before.initialisation != now.initialisation else []
    # a metric that the study did not ask for before is no change
    versions_before = before.versions
    definitions = [
        f"the {name}" for name, is_now in now.versions.items() if versions_before.get(name, is_now) != is_now
    ]
    return networks + tokens[:1] + numerics + libraries + definitions


def token_fingerprints(prepared: Prepared) -> dict[str, str]:
    """Setting, or `orders` → hash of its token ids."""
    return {
        "ZSL": _sha256(prepared.zsl),
        "ICL": _sha256(prepared.icl),
        "orders": _sha256(prepared.orders),
        **{setting: _sha256(sequences) for setting, sequences in prepared.training.items()},
    }


def _sha256(tokens: Any) -> str:
    return hashlib.sha256(json.dumps(tokens, sort_keys=True, default=_compared).encode()).hexdigest()


def _compared(prompts: Any) -> dict[str, Any]:
    """The fields by which two of them are equal: the tokenizer, which knows its folder, only writes tokens as text."""
    return {part.name: getattr(prompts, part.name) for part in fields(prompts) if part.compare}


_OF_ORDERS = "order_sensitivity"
"""Measure of ICL's and FT's orders, and its metric, which one FT alone does not have."""


def cell_key(study: Study, cell: Cell, worlds: Sequence[World], inputs: Inputs) -> str:
    """Names the file of a finished cell; `worlds`: those of its group, against whose ICL it is scored."""
    world, method = cell.world, study.method(cell.method, cell.learning_rate)
    tokens = _tokens(world, inputs)
    settings = ["ZSL", "ICL", "FT", *(control.setting for control in study.controls)]
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
        "observed at": sorted(study.observe_at),
        **_attention(study, "FT", world, worlds),
        **_matched(study, worlds, inputs),
        **_seed(world, metrics, inputs),
    }
    return key_of(_title(world, cell.method), content, inputs.numerics)


def fine_tuning_key(cell: Cell, cell_keys: Sequence[str], inputs: Inputs) -> str:
    """Names the failure of a method at one rate on all demonstration sets of a group; `cell`: any of its cells."""
    return key_of(_title(cell.world, cell.method), {"cells": list(cell_keys)}, inputs.numerics)


def _matched(study: Study, worlds: Sequence[World], inputs: Inputs) -> dict[str, Any]:
    """The ICL against which FT is scored, in order."""
    return {"matched": [_tokens(world, inputs)["ICL"] for world in worlds]} if study.matching else {}


def attention_queries(study: Study, setting: str, world: World, worlds: Sequence[World]) -> int:
    """Of how many of the first queries the attention is recorded: in ICL and FT, of none but with the first
    demonstration set of a group; `worlds`: those of the group."""
    return study.attention_queries if setting == Setting.ZSL or world == worlds[0] else 0


def _attention(study: Study, setting: str, world: World, worlds: Sequence[World]) -> dict[str, int]:
    n = attention_queries(study, setting, world, worlds)
    return {"attention of": n} if n else {}


def observation_key(study: Study, world: World, setting: str, worlds: Sequence[World], inputs: Inputs) -> str:
    """Names the file of an observation without fine-tuning: ZSL or ICL. Worlds that share it have the same; `worlds`:
    those of its group."""
    return key_of(
        f"{world.weights}-{world.task}-{setting}",
        {
            "network": _network(study, world.model, world.weights, world.initialisation, inputs),
            "tokens": _tokens(world, inputs)[setting],
            "recorded": _recorded(study, setting, inputs),
            "place": study.place,
            **_attention(study, setting, world, worlds),
        },
        inputs.numerics,
    )


def world_key(study: Study, world: World, worlds: Sequence[World], inputs: Inputs) -> str:
    """Names the failure of a world: of what all its cells need."""
    keys = [observation_key(study, world, setting, worlds, inputs) for setting in ("ZSL", "ICL")]
    return key_of(_title(world, "world"), {"observations": keys}, inputs.numerics)


def orders_key(study: Study, world: World, worlds: Sequence[World], inputs: Inputs) -> str:
    """Names the file of what is measured of ICL under other orders; `worlds`: those of its group."""
    tokens = _tokens(world, inputs)
    measures = sorted(set(study.measures).difference(NETWORK_MEASURES))
    metrics = [*metrics_of_fine_tuning(study), *[_OF_ORDERS] * is_asked(study, _OF_ORDERS)]
    return key_of(
        _title(world, "orders"),
        {
            "network": _network(study, world.model, world.weights, world.initialisation, inputs),
            "tokens": {setting: tokens[setting] for setting in ("ZSL", "ICL", "orders")},
            # reordering scores ICL as if it were FT, with every metric of FT that is asked for
            "measures": measures,
            **_versions(inputs, measures, metrics),
            "recorded": {setting: _recorded(study, setting, inputs) for setting in ("ZSL", "ICL")},
            "place": study.place,
            **_matched(study, worlds, inputs),
            **_seed(world, metrics, inputs),
        },
        inputs.numerics,
    )


def network_key(study: Study, model: str, weights: Weights, initialisation: int, measure: str, inputs: Inputs) -> str:
    """Names the file of something that is measured on a network alone."""
    content: dict[str, Any] = {
        "network": _network(study, model, weights, initialisation, inputs),
        "what": measure,
        **_versions(inputs, [measure], MEASURES[measure].metrics),
    }
    if measure == "training_time":  # a distance from the last checkpoint
        content["last"] = inputs.networks[study.models[-1]]
    return key_of(f"{weights}-{measure}", content, inputs.numerics)


def _title(world: World, part: str) -> str:
    labels = f"-{world.labels}" if world.labels != Labels.GOLD else ""
    return f"{world.weights}-{world.task}{labels}-k{world.k}-seed{world.seed}-{part}"


def _versions(inputs: Inputs, measures: Iterable[str], metrics: Iterable[str]) -> dict[str, Any]:
    """The versions of these, as they were when the study ran; nothing for older folders."""
    names = [*(f"measure {name}" for name in measures), *(f"metric {name}" for name in metrics)]
    recorded = {name: inputs.versions[name] for name in names if name in inputs.versions}
    return {"versions": recorded} if recorded else {}


def _is_known(inputs: Inputs, metric: str) -> bool:
    """Whether the study had a metric when it ran; of a folder that was written before they were kept: yes."""
    return not inputs.versions or f"metric {metric}" in inputs.versions


def _seed(world: World, metrics: Iterable[str], inputs: Inputs) -> dict[str, int]:
    """The demonstration set's, where a metric draws random numbers."""
    is_seeded = any(METRICS[name].is_seeded for name in metrics if _is_known(inputs, name))
    return {"seed": world.seed} if is_seeded else {}


def _recorded(study: Study, setting: str, inputs: Inputs) -> list[str]:
    """The extras of the observation of a setting, by the metrics that there were when the study ran."""
    return sorted(extras_of((name for name in measured_metrics(study) if _is_known(inputs, name)), setting))


def _network(study: Study, model: str, weights: Weights, initialisation: int, inputs: Inputs) -> dict[str, Any]:
    content = {"pretrained": inputs.networks[model], "weights": weights, "dtype": study.dtype}
    if weights == "trained":
        return content
    drawn_as = {} if study.drawn_as == "transformers" else {"drawn_as": study.drawn_as}  # keys of before stay
    return {
        **content,
        **drawn_as,
        "seed": initialisation,
        "drawn_by": inputs.initialisation,
        "final_norm_lost": study.final_norm_lost,
    }


def _tokens(world: World, inputs: Inputs) -> Mapping[str, str]:
    return inputs.tokens[demonstrations_label(world)]
