"""The checks that come before any score (method.md, "Validity"), for each state of the weights and each task."""

from typing import Any

from demograd.metrics import METRICS, check_in_context_learning, check_resolution, check_seeds, check_update_size
from demograd.study.cells import Cell, cell_key, observation_key
from demograd.study.folder import RunFolder
from demograd.study.results import grouped
from demograd.study.schema import Study

CHECKED = ("sim_aou", "sim_am_delta")


def check_validity(study: Study, folder: RunFolder) -> list[dict[str, Any]]:
    """Write `validity.json` and return it."""
    rows: list[dict[str, Any]] = []
    seen = set()
    for group in grouped(study):
        about = {"weights": group[0].weights, "task": group[0].task, "method": None}
        if (about["weights"], about["task"]) not in seen:
            seen.add((about["weights"], about["task"]))
            rows += [{**about, **row} for row in _of_observations(study, folder, group)]
        rows += [{**about, **row} for row in _of_updates(study, folder, group)]
    folder.write_json("validity.json", rows)
    return rows


def _of_observations(study: Study, folder: RunFolder, group: list[Cell]) -> list[dict[str, Any]]:
    zsl, icl = (
        [folder.load_observation(observation_key(study, cell, setting)) for cell in group] for setting in ("ZSL", "ICL")
    )
    learning, seeds = check_in_context_learning(zsl, icl), check_seeds(len(group))
    return [
        {
            "check": "in_context_learning",
            "passed": learning.passed,
            "message": learning.message,
            "caveat": learning.caveat,
        },
        {"check": "seeds", "passed": seeds.passed, "message": seeds.message},
    ]


def _of_updates(study: Study, folder: RunFolder, group: list[Cell]) -> list[dict[str, Any]]:
    records = [folder.load_cell(cell_key(study, cell)) for cell in group]
    method = f"{group[0].method} {group[0].learning_rate:g}"
    rows = []
    for metric in CHECKED:
        scores = [record.tensors[f"FT/{metric}"] for record in records if f"FT/{metric}" in record.tensors]
        if scores:
            check = check_resolution(scores)
            label = f"{method}, {METRICS[metric].title}"
            rows.append({"check": "resolution", "method": label, "passed": check.passed, "message": check.message})
    ratios = [record.tensors["FT/update_size_ratio"] for record in records if "FT/update_size_ratio" in record.tensors]
    if ratios:
        size = check_update_size(ratios)
        rows.append({"check": "update_size", "method": method, "passed": size.passed, "message": size.message})
    return rows
