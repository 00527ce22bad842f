"""Inputs of a study beside its settings, on which its numbers depend: fingerprints of networks and token ids."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from demograd.errors import UserError
from demograd.models import Model
from demograd.study.language_model.prompts import Prepared
from demograd.study.measures import versions
from demograd.study.schema import Study
from demograd.study.store.folder import RunFolder
from demograd.study.store.keys import NUMERICS

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
    versions: Mapping[str, int] = field(default_factory=dict)
    """`metric NAME` and `measure NAME` → version, of all that the study asked for when it ran (`measures.versions`);
    empty in folders from before they were kept."""


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
    # one that was not asked for before is no change of what was
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
    return hashlib.sha256(json.dumps(tokens, sort_keys=True, default=vars).encode()).hexdigest()
