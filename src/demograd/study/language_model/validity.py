"""The checks that come before any score, for each world, method and rate."""

from typing import Any

from demograd.metrics import (
    METRICS,
    Learning,
    LearningCheck,
    check_fine_tuning,
    check_in_context_learning,
    check_resolution,
    check_seeds,
    check_update_size,
)
from demograd.study.language_model.groups import CellGroup, WorldGroup, untuned_groups
from demograd.study.language_model.measures import metrics_of_fine_tuning
from demograd.study.language_model.spec import Study
from demograd.study.store.folder import RunFolder
from demograd.words import Setting, Weights, task_label

ALWAYS_SHOWN = ("sim_aou", "sim_am_delta")
"""Scores whose share of missing values is told even where it is small."""


def check_validity(study: Study, folder: RunFolder) -> list[dict[str, Any]]:
    """Write `validity.json` and return it: claims, the finding, page, terminal and provenance read the gates there."""
    rows: list[dict[str, Any]] = []
    for untuned in untuned_groups(study, folder):
        world = untuned.world
        about = {
            "model": world.model,
            "weights": world.weights,
            "initialisation": world.initialisation,
            "task": world.task,
            "labels": world.labels,
            "k": world.k,
            "method": None,
        }
        rows += [{**about, **row} for row in _of_observations(untuned)]
        for group in untuned.groups:
            rows += [{**about, **row} for row in _of_updates(study, group)]
    folder.write_json("validity.json", rows)
    return rows


def gates_in_words(rows: list[dict[str, Any]]) -> list[str]:
    """`smollm2-135m, trained, sst2, k 6, GD 0.001: fine-tuning learned nothing here, …`: what each gate said."""
    return [
        f"{row['model']}, {_weights(row)}, {task_label(row['task'], row['labels'])}, k {row['k']}"
        f"{', ' * bool(row['method'])}"
        f"{row['method'] or ''}: {row['message']}"
        for row in rows
        if row["check"] in ("in_context_learning", "fine_tuning")
    ]


def _weights(row: dict[str, Any]) -> str:
    """`norms_only 1`: untrained weights with their initialisation."""
    return row["weights"] + f" {row['initialisation']}" * (row["weights"] != Weights.TRAINED)


def cell_label(method: str, learning_rate: float) -> str:
    """`GD 0.001`: how validity checks name a method at one rate."""
    return f"{method} {learning_rate:g}"


def _of_observations(untuned: WorldGroup) -> list[dict[str, Any]]:
    seeds = check_seeds(len(untuned.seeds))
    return [
        {"check": "in_context_learning", **_gate(check_in_context_learning(untuned.zsl, untuned.icl))},
        {"check": "seeds", "passed": seeds.passed, "message": seeds.message},
    ]


def _gate(check: LearningCheck) -> dict[str, Any]:
    undecided = check.outcome == Learning.UNDECIDED
    return {"passed": check.passed, "undecided": undecided, "better": check.better, "message": check.message}


def _of_updates(study: Study, group: CellGroup) -> list[dict[str, Any]]:
    label = cell_label(group.cell.method, group.cell.learning_rate)
    rows: list[dict[str, Any]] = []
    ratios = group.scores(Setting.FT, "update_size_ratio")
    if ratios is None:  # it diverged, which the results say
        return rows
    learned = check_fine_tuning(group.untuned.zsl, group.predicted(Setting.FT))
    rows.append({"check": "fine_tuning", "method": label, **_gate(learned)})
    size = check_update_size(ratios)
    rows.append({"check": "update_size", "method": label, "passed": size.passed, "message": size.message})
    similarities = [name for name in metrics_of_fine_tuning(study) if METRICS[name].group == "similarity"]
    for metric in (name for name in similarities if not group.untuned.why_undefined(name)):
        scores = group.scores(Setting.FT, metric)
        assert scores is not None
        check = check_resolution(scores)
        if metric in ALWAYS_SHOWN or not check.passed:
            title = f"{label}, {METRICS[metric].title}"
            rows.append({"check": "resolution", "method": title, "passed": check.passed, "message": check.message})
    return rows
