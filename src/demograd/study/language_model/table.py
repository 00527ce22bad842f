"""From finished cells and observations to the rows of the results table (docs/run-folder.md)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import isnan

from torch import Tensor

from demograd.metrics import METRICS, noise_ceiling, selected, specificity
from demograd.statistics import aggregate
from demograd.study.language_model.curves import curve_rows
from demograd.study.language_model.equal_learning import learning_rows
from demograd.study.language_model.groups import CellGroup, WorldGroup, by_task_and_k, failed_groups, untuned_groups
from demograd.study.language_model.keys import read_inputs
from demograd.study.language_model.matching import ceiling_rows, matrix_of, specificity_row, specificity_rows
from demograd.study.language_model.measures import (
    NETWORK_MEASURES,
    is_asked,
    is_measured,
    matched_metrics,
    metrics_of_demonstrations,
    metrics_of_fine_tuning,
)
from demograd.study.language_model.over_tasks import ScoresOverTasks
from demograd.study.language_model.scores import tuned_scores, untuned_scores
from demograd.study.language_model.spec import Study
from demograd.study.language_model.units import NetworkMeasurement, units_of
from demograd.study.rows import number, performance, performance_metrics, performance_over, similarity
from demograd.study.spec.methods import options_json
from demograd.study.store.failures import load_or_failed
from demograd.study.store.folder import RunFolder
from demograd.words import Control, Reading, Row, Setting, Weights


def rows_of(study: Study, folder: RunFolder) -> Iterator[Row]:
    """All rows of a study of language models, from the cells and observations of a folder."""
    yield from _network_rows(study, folder)
    over_tasks = ScoresOverTasks(study)
    for untuned in untuned_groups(study, folder):
        yield from (_completed(study, untuned, row) for row in _untuned(study, untuned))
        for group in untuned.groups:
            yield from (_completed(study, untuned, row) for row in _fine_tuning(study, group))
            over_tasks.add(group)
        yield from (_completed(study, untuned, row) for row in learning_rows(study, untuned))
    for untuned in failed_groups(study, folder):
        yield from (_completed(study, untuned, row) for row in _not_observed(study, untuned))
        for group in untuned.groups:
            over_tasks.add(group, next(status for status in untuned.failed if status != "ok"))
    yield from over_tasks.rows()
    for same_world in by_task_and_k(study, folder):
        observed = [untuned for untuned in same_world if untuned.is_observed]
        yield from (_completed(study, untuned, row) for untuned, row in curve_rows(study, observed))


def _completed(study: Study, untuned: WorldGroup, row: Row) -> Row:
    """With what all rows of these worlds share, and why a metric has no value on their task; an order, like a count, is
    that of one demonstration set."""
    world, seed, used = untuned.world, row.seed, untuned.k_used
    whole = next(iter(used.values())) if len(set(used.values())) == 1 else None
    undefined = untuned.why_undefined(row.metric or "") if row.value is None and untuned.is_observed else ""
    return replace(
        row,
        status=row.status or undefined or None,
        model=world.model,
        weights=world.weights,
        initialisation=None if world.weights == Weights.TRAINED else world.initialisation,
        task=world.task,
        labels=world.labels,
        k=world.k,
        record_at=study.record_at,
        dtype=study.dtype,
        k_used=whole if seed is None else used[seed],
        permutation=None if seed is None else study.permutation_of(world.task, seed),
    )


def _untuned(study: Study, untuned: WorldGroup) -> Iterator[Row]:
    shared = all(zsl is untuned.zsl[0] for zsl in untuned.zsl)  # trained weights: no demonstration matters
    for row in performance_over(untuned.zsl[:1]) if shared else performance(untuned.seeds, untuned.zsl):
        yield replace(row, setting=Setting.ZSL)
    for row in performance(untuned.seeds, untuned.icl):
        yield replace(row, setting=Setting.ICL)
    yield from ceiling_rows(study, untuned)
    for setting in (Setting.ICL, Setting.ICL_REORDERED):
        for name, metric in METRICS.items():
            if is_measured(study, name):
                scores, score = untuned_scores(untuned, setting, name), Row(setting=setting, metric=name)
                if scores is not None:
                    yield from similarity(untuned.seeds, score, scores)
                if setting == Setting.ICL_REORDERED and metric.has_ceiling and scores is not None:
                    ceiling = replace(score, reading=Reading.NOISE_CEILING)
                    yield from similarity(untuned.seeds, ceiling, list(map(noise_ceiling, scores)))


def _not_observed(study: Study, untuned: WorldGroup) -> Iterator[Row]:
    """A world that failed has no cells: their rows have its failure for their status."""
    untuned_settings = [Row(setting=Setting.ZSL), Row(setting=Setting.ICL)]
    for row in (*untuned_settings, *(_method_of(study, group) for group in untuned.groups)):
        metrics = metrics_of_fine_tuning(study) if row.setting == Setting.FT else []
        yield from _without_numbers(row, untuned.seeds, untuned.failed, [*metrics, *performance_metrics()])


def _fine_tuning(study: Study, group: CellGroup) -> Iterator[Row]:
    tuned = _method_of(study, group)
    for control in (None, *(control for control in Control if control in study.controls)):
        yield from _tuned_rows(study, group, replace(tuned, setting=control.setting if control else Setting.FT))
        if control is not None:
            yield from _specificities(study, group, replace(tuned, versus=control))
    if study.matching:
        for metric in matched_metrics(study):
            if (scores := tuned_scores(group, Setting.FT_OTHER_SETS, metric)) is not None:
                mismatched = replace(tuned, setting=Setting.FT_OTHER_SETS, metric=metric)
                yield from similarity(group.untuned.seeds, mismatched, scores)
        yield from specificity_rows(study, group, tuned)
    for step in group.steps:
        yield from _along(study, group, replace(tuned, step=step))


def _method_of(study: Study, group: CellGroup) -> Row:
    name, rate = group.cell.method, group.cell.learning_rate
    options = options_json(study.method(name, rate))
    return Row(setting=Setting.FT, method=name, method_options=options, learning_rate=rate)


def _tuned_rows(study: Study, group: CellGroup, tuned: Row) -> Iterator[Row]:
    """Rows of FT, or of FT on a control."""
    setting = tuned.setting
    assert setting is not None
    metrics, seeds, statuses = metrics_of_fine_tuning(study), group.untuned.seeds, group.status(setting)
    if any(status != "ok" for status in statuses):
        absent = [name for name in METRICS if name in metrics or (setting == Setting.FT and _only_of_ft(study, name))]
        yield from _without_numbers(tuned, seeds, statuses, [*absent, *performance_metrics()])
        return
    yield from (tuned | row for row in performance(seeds, group.predicted(setting)))
    for name in METRICS:
        if (scores := tuned_scores(group, setting, name)) is not None:
            yield from similarity(seeds, replace(tuned, metric=name), scores)
    if setting == Setting.FT and set(order_statuses := group.order_status()) != {"ok"}:
        yield from _without_numbers(tuned, seeds, order_statuses, ["order_sensitivity"])
    yield from (tuned | row for row in _steps(group, setting))
    if "corrected" in study.selections:
        yield from _corrected(group, tuned, metrics)


def _along(study: Study, group: CellGroup, tuned: Row) -> Iterator[Row]:
    """What FT has learned, and its scores, after a step before its last: over all demonstration sets and layers."""
    statuses = group.status(Setting.FT, tuned.step)
    if any(status != "ok" for status in statuses):
        yield from _without_numbers(tuned, group.untuned.seeds, statuses, metrics_of_fine_tuning(study))
        return
    yield from (tuned | row for row in performance_over(group.predicted(Setting.FT, tuned.step)))
    for metric in metrics_of_fine_tuning(study):
        if (scores := tuned_scores(group, Setting.FT, metric, tuned.step)) is not None:
            over_all = similarity(group.untuned.seeds, replace(tuned, metric=metric), scores)
            yield from (row for row in over_all if row.layer is None and row.seed is None)
        if (values := matrix_of(group, metric, step=tuned.step)) is not None:
            score = replace(tuned, metric=metric, versus=Control.OTHER_SETS)
            yield specificity_row(score, values, study.specificity_margin)


def _specificities(study: Study, group: CellGroup, tuned: Row) -> Iterator[Row]:
    """The scores of FT minus those of FT on the control that `tuned` is read against, where both have any."""
    assert tuned.versus is not None
    if any(status != "ok" for setting in (Setting.FT, tuned.versus.setting) for status in group.status(setting)):
        return
    metrics = metrics_of_fine_tuning(study)
    for metric in (name for name in metrics if METRICS[name].group == "similarity" and METRICS[name].has_layers):
        same, control = group.scores(Setting.FT, metric), group.scores(tuned.versus.setting, metric)
        assert same is not None and control is not None
        differences = [specificity(*scores) for scores in zip(same, control, strict=True)]
        yield from similarity(group.untuned.seeds, replace(tuned, metric=metric), differences)


def _only_of_ft(study: Study, metric: str) -> bool:
    """Whether the study asks for a metric that FT has and its controls have not."""
    return metric in metrics_of_demonstrations(study) or (metric == "order_sensitivity" and is_asked(study, metric))


def _corrected(group: CellGroup, tuned: Row, metrics: Sequence[str]) -> Iterator[Row]:
    """Scores over the queries that are wrong in ZSL and right in ICL and FT, over all layers."""
    untuned, setting = group.untuned, tuned.setting
    assert setting is not None
    three = zip(untuned.zsl, untuned.icl, group.predicted(setting), strict=True)
    masks = [selected(zsl, icl, ft, "corrected") for zsl, icl, ft in three]
    for metric in metrics:
        scores = group.scores(setting, metric)
        assert scores is not None
        score = replace(tuned, metric=metric, selection="corrected")
        yield from similarity(untuned.seeds, score, scores, selections=masks)


def _without_numbers(about: Row, seeds: Sequence[int], statuses: list[str], metrics: Sequence[str]) -> Iterator[Row]:
    """What diverged or failed on any demonstration set has no score: the sets where it did not are no fair sample."""
    without = [status for status in statuses if status != "ok"]
    over_all = f"{without[0]} ({len(without)} of {len(statuses)} demonstration sets)"
    for metric in metrics:
        yield replace(about, metric=metric, status=over_all, n_seeds=len(statuses))
        for seed, status in zip(seeds, statuses, strict=True):
            if status != "ok":
                yield replace(about, metric=metric, seed=seed, status=status, n_seeds=1)


def _steps(group: CellGroup, setting: Setting) -> Iterator[Row]:
    """Loss and gradient norms, step by step, of each demonstration set."""
    for seed, record in zip(group.untuned.seeds, group.records, strict=True):
        facts = record.facts["settings"][setting]
        row = Row(seed=seed, n=1, n_missing=0, n_seeds=1)
        for step, loss in enumerate(facts["losses"]):
            yield replace(row, metric="loss", step=step, value=loss)
        for layer, norms in enumerate(facts["gradient_norms"]):
            if not norms or isnan(norms[0]):  # no step was taken, or nothing of this layer is trained
                continue
            for step, norm in enumerate(norms):
                yield replace(row, metric="gradient_norm", layer=layer, step=step, value=norm)


def _network_rows(study: Study, folder: RunFolder) -> Iterator[Row]:
    """What was measured on networks alone: per layer and over all; nothing is sampled, so there is no interval."""
    for unit in units_of(study, read_inputs(folder)):
        if not isinstance(unit, NetworkMeasurement):
            continue
        model, weights, initialisation = unit.network
        score = Row(
            model=model,
            weights=weights,
            dtype=study.dtype,
            initialisation=None if weights == Weights.TRAINED else initialisation,
            metric=NETWORK_MEASURES[unit.measure],
        )
        record = load_or_failed(folder, unit.key)
        if "failed" in record.facts:
            yield replace(score, status=record.facts["failed"])
            continue
        thresholds = record.facts.get("thresholds", [None])
        values = record.tensors[NETWORK_MEASURES[unit.measure]].reshape(-1, len(thresholds))
        for at, column in zip(thresholds, values.T, strict=True):
            yield from (replace(score, at=at) | row for row in _by_layer(column))


def _by_layer(values: Tensor) -> Iterator[Row]:
    mean = aggregate(values[None])
    yield Row(value=number(mean.value), n=mean.n, n_missing=mean.n_missing)
    for layer, value in enumerate(values.tolist()):
        yield Row(layer=layer, value=number(value), n=1, n_missing=0)
