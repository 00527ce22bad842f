"""From finished cells to one tidy table (docs/run-folder.md)."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import pandas as pd

from demograd.metrics import METRICS, specificity
from demograd.study.cells import Cell, cell_key, cells, observation_key
from demograd.study.folder import CellRecord, RunFolder, written_whole
from demograd.study.prepare import CONTROLS
from demograd.study.rows import PER_QUERY, Row, performance, performance_over, similarity
from demograd.study.schema import Study

INTEGERS = ["seed", "permutation", "k", "k_used", "layer", "head", "step", "n", "n_missing", "n_seeds"]
COLUMNS = [
    "model", "weights", "task", "seed", "permutation", "k", "k_used", "setting", "method", "method_options",
    "learning_rate", "metric", "layer", "head", "step", "selection", "record_at", "value", "std", "ci_low", "ci_high",
    "interval", "n", "n_missing", "n_seeds", "status", "dtype",
]  # fmt: skip
# Similarities and sizes that look at FT, and those that look at ICL alone.
OF_FT = [name for name, metric in METRICS.items() if metric.has_layers and {"ft", "other"} & set(metric.arguments)]
OF_ICL = [name for name, metric in METRICS.items() if metric.arguments in (("zsl", "icl"), ("zsl", "other"))]


def collect(study: Study, folder: RunFolder) -> pd.DataFrame:
    """Write `results.parquet` from the cells and observations of a folder, and return it."""
    rows: list[Row] = []
    for group in grouped(study):
        begin = len(rows)
        same = {
            "model": study.model, "weights": group[0].weights, "task": group[0].task, "k": study.k,
            "selection": "all", "record_at": study.record_at,
            "dtype": study.dtype,
        }  # fmt: skip
        if group[0].method == study.methods[0] and group[0].learning_rate == first_rate(study, group[0]):
            rows += [{**same, **row} for row in _untuned(study, folder, group)]
        rows += [{**same, **row} for row in _fine_tuning(study, folder, group)]
        used = _k_used(folder, study, group)
        whole = set(used.values()).pop() if len(set(used.values())) == 1 else None
        for row in rows[begin:]:  # an order, like a count, is that of one demonstration set
            seed = row.get("seed")
            row["k_used"] = whole if seed is None else used[seed]
            row["permutation"] = None if seed is None else study.permutation
    table = pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(INTEGERS, "Int64"))
    table["status"] = table.status.where(table.status.notna(), table.value.isna().map({True: "missing", False: "ok"}))
    written_whole(folder.path / "results.parquet", lambda unfinished: table.to_parquet(unfinished, index=False))
    return table


def grouped(study: Study) -> list[list[Cell]]:
    """The cells that differ only in their seed, in the order of the seeds."""
    groups: dict[Any, list[Cell]] = {}
    for cell in cells(study):
        groups.setdefault(replace(cell, seed=0), []).append(cell)
    return list(groups.values())


def first_rate(study: Study, cell: Cell) -> float:
    """The rate of the cell that comes first among those that share its observations."""
    return next(
        one.learning_rate
        for one in cells(study)
        if (one.weights, one.task, one.method) == (cell.weights, cell.task, cell.method)
    )


def _k_used(folder: RunFolder, study: Study, group: list[Cell]) -> dict[int, int]:
    """How many demonstrations of each set were used."""
    return {cell.seed: folder.load_cell(cell_key(study, cell)).facts["k_used"] for cell in group}


def _untuned(study: Study, folder: RunFolder, group: list[Cell]) -> Iterator[Row]:
    zsl, icl = (
        [folder.load_observation(observation_key(study, cell, setting)) for cell in group] for setting in ("ZSL", "ICL")
    )
    shared = len({observation_key(study, cell, "ZSL") for cell in group}) < len(group)
    for row in performance_over(zsl[:1]) if shared else performance(study.seeds, zsl):
        yield {"setting": "ZSL", **row}
    for row in performance(study.seeds, icl):
        yield {"setting": "ICL", **row}
    for name in OF_ICL:
        function = METRICS[name].function
        scores = [
            function(before, after, **({"seed": seed} if "random" in name else {}))
            for before, after, seed in zip(zsl, icl, study.seeds, strict=True)
        ]
        for row in similarity(study.seeds, name, scores):
            yield {"setting": "ICL", "metric": name, **row}


def _fine_tuning(study: Study, folder: RunFolder, group: list[Cell]) -> Iterator[Row]:
    records = [folder.load_cell(cell_key(study, cell)) for cell in group]
    zsl = folder.load_observation(observation_key(study, group[0], "ZSL"))
    options = asdict(study.method(group[0].method, group[0].learning_rate))
    rate = options.pop("learning_rate")
    same: Row = {
        "method": group[0].method, "method_options": json.dumps(options), "learning_rate": rate,
    }  # fmt: skip
    for setting in ("FT", *CONTROLS):
        of_setting = {**same, "setting": setting}
        statuses = [record.facts["settings"][setting]["status"] for record in records]
        if any(status != "ok" for status in statuses):
            for row in _diverged(study, statuses):
                yield {**of_setting, **row}
            continue
        observed = [replace(zsl, label_log_probs=record.tensors[f"{setting}/label_log_probs"]) for record in records]
        for row in performance(study.seeds, observed):
            yield {**of_setting, **row}
        for metric in OF_FT:
            for row in similarity(study.seeds, metric, [record.tensors[f"{setting}/{metric}"] for record in records]):
                yield {**of_setting, "metric": metric, **row}
        for row in _steps(study, records, setting):
            yield {**of_setting, **row}
        if setting in CONTROLS and all(record.facts["settings"]["FT"]["status"] == "ok" for record in records):
            for metric in (name for name in OF_FT if METRICS[name].kind == "similarity"):
                differences = [
                    specificity(record.tensors[f"FT/{metric}"], record.tensors[f"{setting}/{metric}"])
                    for record in records
                ]
                name = f"{metric}_specificity"
                for row in similarity(study.seeds, name, differences):
                    yield {**of_setting, "metric": name, **row}


def _diverged(study: Study, statuses: list[str]) -> Iterator[Row]:
    """A method that diverged on any demonstration set has no score: the sets where it did not are no fair sample."""
    diverged = [status for status in statuses if status != "ok"]
    over_all = f"{diverged[0]} ({len(diverged)} of {len(statuses)} demonstration sets)"
    for metric in (*OF_FT, *PER_QUERY, "auc", "macro_f1"):
        yield {"metric": metric, "status": over_all, "n_seeds": len(statuses)}
        for seed, status in zip(study.seeds, statuses, strict=True):
            if status != "ok":
                yield {"metric": metric, "seed": seed, "status": status, "n_seeds": 1}


def _steps(study: Study, records: list[CellRecord], setting: str) -> Iterator[Row]:
    """Loss and gradient norms, step by step, of each demonstration set."""
    for seed, record in zip(study.seeds, records, strict=True):
        facts = record.facts["settings"][setting]
        one = {"seed": seed, "n": 1, "n_missing": 0, "n_seeds": 1}
        for step, loss in enumerate(facts["losses"]):
            yield {**one, "metric": "loss", "step": step, "value": loss}
        for layer, norms in enumerate(facts["gradient_norms"]):
            for step, norm in enumerate(norms):
                yield {**one, "metric": "gradient_norm", "layer": layer, "step": step, "value": norm}
