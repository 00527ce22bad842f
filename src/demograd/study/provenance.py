"""What a reader needs to trust a run and to run it again."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import torch

from demograd.errors import UserError
from demograd.models import Model
from demograd.study.folder import RunFolder
from demograd.study.schema import Study
from demograd.tasks import Task, prompt_notes

_PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "scipy", "pandas", "safetensors", "gguf")


def provenance(
    study: Study,
    tasks: dict[str, Task],
    models: dict[str, Model],
    learning_rate_source: dict[str, str],
    before: dict[str, Any] | None,
    seconds: float,
) -> dict[str, Any]:
    """Versions, machine, time, fingerprints and notes; a run that went on adds its time to what was there `before`."""
    before = before or {}
    return {
        "demograd": version("demograd"),
        "created": before.get("created", datetime.now(UTC).isoformat(timespec="seconds")),
        "seconds": round(before.get("seconds", 0.0) + seconds, 1),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        "machine": {
            "platform": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "device": str(models["trained"].anatomy.device),
        },
        "models": {**before.get("models", {}), **{weights: _model(model) for weights, model in models.items()}},
        "tasks": {name: _task(task) for name, task in tasks.items()},
        "learning_rate_source": learning_rate_source,
        "notes": _notes(study, models["trained"]),
    }


def data_changed(folder: RunFolder, tasks: dict[str, Task], model: Model) -> None:
    """Refuse to go on with data or a model that are not those of the cells already there.

    Raises:
        UserError: a fingerprint differs from the one that the folder recorded when it was made.
    """
    now = {"model": model.fingerprint, **{f"task {name}": task.fingerprint for name, task in tasks.items()}}
    before = folder.read_json("fingerprints.json")
    if before is None:
        folder.write_json("fingerprints.json", now)
        return
    for name, fingerprint in now.items():
        if before.get(name) != fingerprint:
            raise UserError(f"The {name} is not the one that {folder.path} was begun with",
                            f"fingerprint {before.get(name)}", "Choose another folder with --out")  # fmt: skip


def _model(model: Model) -> dict[str, str]:
    return {"name": model.name, "fingerprint": model.fingerprint, "source": model.source}


def _task(task: Task) -> dict[str, Any]:
    return {"source": task.source, "fingerprint": task.fingerprint, "template": task.template,
            "label_words": list(task.label_words)}  # fmt: skip


def _notes(study: Study, model: Model) -> list[str]:
    notes = [*model.notes, *prompt_notes(model.tokenizer, study.separator)]
    if any(weights != "trained" for weights in study.weights):
        notes.append("Untrained weights are drawn anew for each demonstration set, with that set's seed.")
    if "sst2" in study.tasks:
        notes.append("SST2's training split holds phrases of its sentences: a query can be part of a demonstration.")
    return notes
