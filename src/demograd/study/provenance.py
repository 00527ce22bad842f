"""What a reader needs to trust a run and to run it again."""

import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from demograd.models import Model
from demograd.study.measure import needs_alignment
from demograd.study.schema import Study
from demograd.study.store.secrets import without_secrets
from demograd.tasks import Task, prompt_notes

_PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "scipy", "pandas", "safetensors", "gguf")


def provenance(
    tasks: dict[str, Task],
    device: str,
    threads: int,
    models: dict[str, dict[str, str]],
    learning_rate_source: dict[str, str],
    notes: Iterable[str],
    gates: list[str],
    before: dict[str, Any] | None,
    seconds: float,
) -> dict[str, Any]:
    """Versions, machine, time, fingerprints, notes, and what the learning gates said; a run that went on adds its time
    to what was there `before`."""
    said = [*notes, *(note for task in tasks.values() for note in task.notes)]
    return {
        **machine_facts(before or {}, device, threads, seconds),
        "models": models,
        "tasks": {name: _task(task) for name, task in tasks.items()},
        "learning_rate_source": learning_rate_source,
        "notes": list(dict.fromkeys(said)),
        "gates": gates,
    }


def machine_facts(before: dict[str, Any], device: str, threads: int, seconds: float) -> dict[str, Any]:
    """Versions, time and machine, `threads` being those of each worker; a run that went on adds its time to what was
    there `before`."""
    return {
        "demograd": version("demograd"),
        "created": before.get("created", datetime.now(UTC).isoformat(timespec="seconds")),
        "seconds": round(before.get("seconds", 0.0) + seconds, 1),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        "machine": {
            "platform": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "threads": threads,
            "device": device,
        },
    }


def model_facts(model: Model) -> dict[str, str]:
    """What the provenance says of a pretrained network, also where the model is an untrained twin of it."""
    return {
        "name": model.name,
        "fingerprint": model.pretrained_fingerprint,
        "source": without_secrets(model.source),
        "initialisation": model.initialisation,
    }


def _task(task: Task) -> dict[str, Any]:
    return {
        "source": without_secrets(task.source),
        "fingerprint": task.fingerprint,
        "template": task.template,
        "label_words": list(task.label_words),
        "answer_prefix": task.answer_prefix,
    }


def model_notes(study: Study, model: Model) -> list[str]:
    """What a reader must know of a model, whichever of its states was loaded."""
    untrained = any(weights != "trained" for weights in study.weights)
    return [*model.notes, *([model.initialisation] if untrained else [])]


def notes_of(study: Study, model: Model, *, can_align: bool) -> list[str]:
    """What a reader must know of the model and the settings; `can_align`: see `measure.can_align`, of the longest."""
    notes = [*study.notes, *model_notes(study, model), *prompt_notes(model.tokenizer, study.separator)]
    if study.answer_prefix != " ":
        notes.append(f"Between text and answer stands {study.answer_prefix!r}, not a space.")
    if any(weights != "trained" for weights in study.weights):
        notes.append("Untrained weights are drawn anew for each demonstration set, with that set's seed.")
        if study.final_norm_lost:
            notes.append("Untrained networks have no final norm: a defect of the released runs, kept as asked for.")
    if needs_alignment(study, model):
        if can_align:
            notes.append(
                "Implicit update: keys are rotary, so ΔW_FT is taken with the queries of ZSL and FT where "
                "they stand in ICL, observed once more for that. All other scores are of queries where they "
                "stand without demonstrations."
            )
        else:
            notes.append(
                "Implicit update: missing. Keys are rotary, and the queries of ZSL and FT cannot be put where "
                "they stand in ICL, so ΔW_ICL and ΔW_FT would be matrices in frames rotated against each "
                "other. Its validity check is free of that."
            )
    return notes
