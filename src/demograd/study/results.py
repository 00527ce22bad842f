"""From finished cells to one tidy table (docs/run-folder.md)."""

from collections.abc import Iterator, Sequence
from itertools import islice
from math import isnan

import numpy as np
import pandas as pd
from torch import Tensor

from demograd.columns import COLUMNS, CONTROLS, NOISE_CEILING
from demograd.files import write_table
from demograd.metrics import METRICS, noise_ceiling, selected, specificity
from demograd.statistics import aggregate
from demograd.study.curves import curve_rows
from demograd.study.language_model.groups import Gathered, Untuned, by_task_and_k, failed_groups, untuned_groups
from demograd.study.language_model.inputs import read_inputs
from demograd.study.language_model.units import NetworkMeasurement, units_of
from demograd.study.measures import (
    NETWORK_MEASURES,
    is_asked,
    is_measured,
    metrics_of_demonstrations,
    metrics_of_fine_tuning,
)
from demograd.study.rows import Row, number, performance, performance_metrics, performance_over, similarity
from demograd.study.schema import Study
from demograd.study.scores import tuned_scores, untuned_scores
from demograd.study.spec.methods import options_json
from demograd.study.store.failures import load_or_failed
from demograd.study.store.folder import RunFolder

INTEGERS = ["seed", "permutation", "k", "k_used", "layer", "head", "step", "n", "n_missing", "n_seeds"]
NUMBERS = ["learning_rate", "at", "value", "std", "ci_low", "ci_high"]
_TYPES = {name: "Int64" if name in INTEGERS else "float64" if name in NUMBERS else "object" for name in COLUMNS}
MEASURED = ["value", "std", "ci_low", "ci_high"]
REORDERED = "ICL_reordered"
ROWS = 5_000
"""That are made into a table at once."""


def write_results(folder: RunFolder, rows: Iterator[Row]) -> pd.DataFrame:
    """Write `results.parquet`, and return it."""
    tables = list[pd.DataFrame]()
    # a part at a time: as dictionaries, all rows of a large study would not fit into memory
    while part := list(islice(rows, ROWS)):
        tables.append(as_table(part))
    table = pd.concat(tables, ignore_index=True) if tables else as_table([])
    write_table(folder.path / "results.parquet", table)
    return table


def rows_of(study: Study, folder: RunFolder) -> Iterator[Row]:
    """All rows of a study of language models, from the cells and observations of a folder."""
    yield from _of_networks(study, folder)
    for untuned in untuned_groups(study, folder):
        yield from (_completed(study, untuned, row) for row in _untuned(study, untuned))
        for group in untuned.groups:
            yield from (_completed(study, untuned, row) for row in _fine_tuning(study, group))
    for untuned in failed_groups(study, folder):
        yield from (_completed(study, untuned, row) for row in _not_observed(study, untuned))
    for same_world in by_task_and_k(study, folder):
        observed = [untuned for untuned in same_world if untuned.is_observed]
        yield from (_completed(study, untuned, row) for untuned, row in curve_rows(study, observed))


def as_table(rows: list[Row]) -> pd.DataFrame:
    """Rows as `results.parquet` has them: whole numbers whole, no number infinite, and every value with a status."""
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(_TYPES)
    diverged = np.isinf(table.value)
    table["status"] = table.status.where(~diverged | table.status.notna(), "diverged")
    table[MEASURED] = table[MEASURED].where(np.isfinite(table[MEASURED]))
    table["selection"] = table.selection.where(table.selection.notna(), "all")
    status = table.value.isna().map({True: "missing", False: "ok"})
    table["status"] = table.status.where(table.status.notna(), status)
    return table


def _completed(study: Study, untuned: Untuned, row: Row) -> Row:
    """With what all rows of these worlds share; an order, like a count, is that of one demonstration set."""
    world, seed, used = untuned.world, row.get("seed"), untuned.k_used
    whole = next(iter(used.values())) if len(set(used.values())) == 1 else None
    return {
        "model": world.model,
        "weights": world.weights,
        "task": world.task,
        "k": world.k,
        "record_at": study.record_at,
        "dtype": study.dtype,
        **row,
        "k_used": whole if seed is None else used[seed],
        "permutation": None if seed is None else study.permutation_of(world.task, seed),
    }


def _untuned(study: Study, untuned: Untuned) -> Iterator[Row]:
    shared = all(zsl is untuned.zsl[0] for zsl in untuned.zsl)  # trained weights: no demonstration matters
    for row in performance_over(untuned.zsl[:1]) if shared else performance(untuned.seeds, untuned.zsl):
        yield {"setting": "ZSL", **row}
    for row in performance(untuned.seeds, untuned.icl):
        yield {"setting": "ICL", **row}
    for setting in ("ICL", REORDERED):
        for name, metric in METRICS.items():
            if is_measured(study, name):
                scores = untuned_scores(untuned, setting, name)
                for row in similarity(untuned.seeds, name, scores) if scores is not None else ():
                    yield {"setting": setting, **row}
                if setting == REORDERED and metric.has_ceiling and scores is not None:
                    for row in similarity(untuned.seeds, name + NOISE_CEILING, list(map(noise_ceiling, scores))):
                        yield {"setting": setting, **row}


def _not_observed(study: Study, untuned: Untuned) -> Iterator[Row]:
    """A world that failed has no cells: what would be told of them has that for its status."""
    settings: list[Row] = [{"setting": "ZSL"}, {"setting": "ICL"}]
    settings += [{**_method_of(study, group), "setting": "FT"} for group in untuned.groups]
    for of_setting in settings:
        metrics = metrics_of_fine_tuning(study) if of_setting["setting"] == "FT" else []
        for row in _without_numbers(untuned.seeds, untuned.failed, [*metrics, *performance_metrics()]):
            yield {**of_setting, **row}


def _fine_tuning(study: Study, group: Gathered) -> Iterator[Row]:
    same = _method_of(study, group)
    for setting in ("FT", *(setting for setting in CONTROLS if setting.removeprefix("FT_") in study.controls)):
        for row in _of_setting(study, group, setting):
            yield {**same, "setting": setting, **row}


def _method_of(study: Study, group: Gathered) -> Row:
    name, rate = group.cell.method, group.cell.learning_rate
    return {"method": name, "method_options": options_json(study.method(name, rate)), "learning_rate": rate}


def _of_setting(study: Study, group: Gathered, setting: str) -> Iterator[Row]:
    metrics, seeds, statuses = metrics_of_fine_tuning(study), group.untuned.seeds, group.status(setting)
    if any(status != "ok" for status in statuses):
        told = [name for name in METRICS if name in metrics or (setting == "FT" and _only_of_ft(study, name))]
        yield from _without_numbers(seeds, statuses, [*told, *performance_metrics()])
        return
    yield from performance(seeds, group.predicted(setting))
    for name in METRICS:
        if (scores := tuned_scores(group, setting, name)) is not None:
            yield from similarity(seeds, name, scores)
    if setting == "FT" and set(of_orders := group.order_status()) != {"ok"}:
        yield from _without_numbers(seeds, of_orders, ["order_sensitivity"])
    yield from _steps(group, setting)
    if "corrected" in study.selections:
        yield from _corrected(group, setting, metrics)
    if setting in CONTROLS and all(status == "ok" for status in group.status("FT")):
        for metric in (name for name in metrics if METRICS[name].group == "similarity" and METRICS[name].has_layers):
            same, control = group.scores("FT", metric), group.scores(setting, metric)
            assert same is not None and control is not None
            differences = [specificity(one, other) for one, other in zip(same, control, strict=True)]
            yield from similarity(seeds, f"{metric}_specificity", differences)


def _only_of_ft(study: Study, metric: str) -> bool:
    """Whether the study asks for a metric that FT has and its controls have not."""
    return metric in metrics_of_demonstrations(study) or (metric == "order_sensitivity" and is_asked(study, metric))


def _corrected(group: Gathered, setting: str, metrics: Sequence[str]) -> Iterator[Row]:
    """Scores over the queries that are wrong in ZSL and right in ICL and FT, over all layers."""
    untuned = group.untuned
    three = zip(untuned.zsl, untuned.icl, group.predicted(setting), strict=True)
    chosen = [selected(zsl, icl, ft, "corrected") for zsl, icl, ft in three]
    for metric in metrics:
        scores = group.scores(setting, metric)
        assert scores is not None
        for row in similarity(untuned.seeds, metric, scores, chosen=chosen):
            yield {**row, "selection": "corrected"}


def _without_numbers(seeds: Sequence[int], statuses: list[str], metrics: Sequence[str]) -> Iterator[Row]:
    """What diverged or failed on any demonstration set has no score: the sets where it did not are no fair sample."""
    without = [status for status in statuses if status != "ok"]
    over_all = f"{without[0]} ({len(without)} of {len(statuses)} demonstration sets)"
    for metric in metrics:
        yield {"metric": metric, "status": over_all, "n_seeds": len(statuses)}
        for seed, status in zip(seeds, statuses, strict=True):
            if status != "ok":
                yield {"metric": metric, "seed": seed, "status": status, "n_seeds": 1}


def _steps(group: Gathered, setting: str) -> Iterator[Row]:
    """Loss and gradient norms, step by step, of each demonstration set."""
    for seed, record in zip(group.untuned.seeds, group.records, strict=True):
        facts = record.facts["settings"][setting]
        one = {"seed": seed, "n": 1, "n_missing": 0, "n_seeds": 1}
        for step, loss in enumerate(facts["losses"]):
            yield {**one, "metric": "loss", "step": step, "value": loss}
        for layer, norms in enumerate(facts["gradient_norms"]):
            for step, norm in enumerate(norms) if not isnan(norms[0]) else ():  # a layer of which nothing is trained
                yield {**one, "metric": "gradient_norm", "layer": layer, "step": step, "value": norm}


def _of_networks(study: Study, folder: RunFolder) -> Iterator[Row]:
    """What was measured on networks alone: per layer and over all; nothing is sampled, so there is no interval."""
    for unit in units_of(study, read_inputs(folder)):
        if not isinstance(unit, NetworkMeasurement):
            continue
        model, weights, initialisation = unit.network
        about = {
            "model": model,
            "weights": weights,
            "dtype": study.dtype,
            "seed": None if weights == "trained" else initialisation,
        }
        metric, record = NETWORK_MEASURES[unit.measure], load_or_failed(folder, unit.key)
        if "failed" in record.facts:
            yield {**about, "metric": metric, "status": record.facts["failed"]}
            continue
        thresholds = record.facts.get("thresholds", [None])
        values = record.tensors[metric].reshape(-1, len(thresholds))
        for at, column in zip(thresholds, values.T, strict=True):
            yield from ({**about, **row, "metric": metric, "at": at} for row in _by_layer(column))


def _by_layer(values: Tensor) -> Iterator[Row]:
    whole = aggregate(values[None])
    yield {"value": number(whole.value), "n": whole.n, "n_missing": whole.n_missing}
    for layer, value in enumerate(values.tolist()):
        yield {"layer": layer, "value": number(value), "n": 1, "n_missing": 0}
