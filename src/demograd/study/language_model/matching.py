"""Matching: ICL on each demonstration set against FT on each, and what the matrices of a run folder say."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from demograd.files import write_table
from demograd.metrics import METRICS
from demograd.statistics import (
    Interval,
    MatchingTest,
    double_difference,
    match,
    match_layers,
    share_of,
)
from demograd.study.language_model.groups import CellGroup, WorldGroup, untuned_groups
from demograd.study.language_model.measures import matched_metrics
from demograd.study.language_model.scores import size_curve
from demograd.study.language_model.spec import Study
from demograd.study.rows import bounds_of, number, shown
from demograd.study.spec.methods import options_json
from demograd.study.store.folder import RunFolder
from demograd.words import Control, Reading, Row, Setting

FILE = "matching.parquet"
"""The matrices of a run: one value a row, of ICL on one demonstration set against FT on one."""


def matrix_of(group: CellGroup, metric: str, setting: Setting = Setting.FT, step: int | None = None) -> Tensor | None:
    """Scores [ICL's sets, FT's sets, queries, layers]; None where they were not measured, or FT on any set diverged."""
    if any(status != "ok" for status in group.status(setting, step)):
        return None
    return group.matrix(setting, metric, step)


def ceiling_of(untuned: WorldGroup, metric: str, margin: float) -> MatchingTest | None:
    """The same with ICL on the reordered demonstrations in FT's place; None where the study does not reorder."""
    values = untuned.matrix(Setting.ICL_REORDERED, metric)
    return None if values is None else match(values, margin=margin)


def read_matrix(
    curve: Sequence[CellGroup],
    metric: str,
    read: Callable[[Tensor, Tensor], Tensor],
    setting: Setting = Setting.FT,
) -> Tensor | None:
    """What `read` makes of a method's matrices at its learning rates, as of `scores.read_curve`: FT on each set is read
    along the sizes of its own updates. None as for `matrix_of`, at all rates."""
    matrices = [matrix_of(group, metric, setting) for group in curve]
    shape = next((matrix for matrix in matrices if matrix is not None), None)
    if shape is None:
        return None
    whole = [torch.full_like(shape, torch.nan) if matrix is None else matrix for matrix in matrices]
    by_ft = torch.stack([matrix.transpose(0, 1).double() for matrix in whole])
    return read(size_curve([*curve]), by_ft).transpose(0, 1)


def specificity_rows(study: Study, group: CellGroup, tuned: Row) -> Iterator[Row]:
    """Specificity of every matched metric, over all layers and layer by layer, and what else its matrix says."""
    about = replace(tuned, setting=Setting.FT, versus=Control.OTHER_SETS)
    for metric in matched_metrics(study):
        values = matrix_of(group, metric)
        if values is None:
            continue
        score = replace(about, metric=metric)
        test = match(values, margin=study.specificity_margin)
        yield from _rows_of_test(score, test)
        for layer, layer_test in enumerate(match_layers(values, margin=study.specificity_margin)):
            if METRICS[metric].has_layers:
                yield replace(score, layer=layer) | _specificity(score, layer_test)
        yield from _beside(study, group, score, values)


def specificity_row(score: Row, values: Tensor, margin: float) -> Row:
    """One row of the specificity of a matrix."""
    return score | _specificity(score, match(values, margin=margin))


def _rows_of_test(score: Row, test: MatchingTest) -> Iterator[Row]:
    yield score | _specificity(score, test)
    share = replace(score, reading=Reading.SPECIFIC_SHARE)
    yield share | _counted(test) | _valued(test.share, test.share_interval, share)
    yield replace(score, reading=Reading.IDENTIFIED, value=number(test.identified)) | _counted(test)


def _beside(study: Study, group: CellGroup, score: Row, values: Tensor) -> Iterator[Row]:
    """The share of the ceiling, and what depends on the labels alone."""
    metric = str(score.metric)
    ceiling = group.untuned.matrix(Setting.ICL_REORDERED, metric)
    if ceiling is not None:
        test, of_order = match_where_both_are_whole(values, ceiling)
        share, of_ceiling = share_of(test, of_order), replace(score, reading=Reading.SHARE_OF_CEILING)
        yield of_ceiling | _counted(test) | _valued(share.value, share.interval, of_ceiling)
    has_labels = Control.PERMUTED_LABELS in study.controls
    flipped = matrix_of(group, metric, Setting.FT_PERMUTED_LABELS) if has_labels else None
    if flipped is not None:
        of_labels = replace(score, reading=Reading.DOUBLE_DIFFERENCE)
        yield of_labels | _specificity(of_labels, double_difference(values, flipped))


def match_where_both_are_whole(values: Tensor, ceiling: Tensor) -> tuple[MatchingTest, MatchingTest]:
    """Both over the queries and layers at which both have a value for every pair: a method may leave layers as they
    are."""
    is_missing = (values.isnan() | ceiling.isnan()).any(dim=0).any(dim=0)
    test, of_ceiling = (
        match(torch.where(is_missing & ~scores.isinf(), torch.nan, scores)) for scores in (values, ceiling)
    )
    return test, of_ceiling


def ceiling_rows(study: Study, untuned: WorldGroup) -> Iterator[Row]:
    """Specificity of ICL on reordered demonstrations in FT's place."""
    for metric in matched_metrics(study):
        test = ceiling_of(untuned, metric, study.specificity_margin) if untuned.has_orders else None
        if test is not None:
            score = Row(setting=Setting.ICL_REORDERED, versus=Control.OTHER_SETS, metric=metric)
            yield from _rows_of_test(score, test)


def _specificity(score: Row, test: MatchingTest) -> Row:
    row = _counted(test) | _valued(test.specificity, test.interval, score)
    # else it is missing, as any value that no query has
    diverged = test.reason if test.reason.startswith("diverged") else None
    return replace(row, p_value=number(test.p_two_sided), status=diverged)


def _valued(value: float, interval: Interval | None, score: Row) -> Row:
    return replace(shown(interval, bounds_of(score)), value=number(value))


def _counted(test: MatchingTest) -> Row:
    return Row(n=n_values(test), n_missing=test.n_missing, n_seeds=test.n_sets)


def n_values(test: MatchingTest) -> int:
    """How many values entered: one for each pair of sets and query."""
    return sum(pairs.n_sets**2 * pairs.n_queries for pairs in test.pairs)


def write_matrices(study: Study, folder: RunFolder) -> None:
    """Write `matching.parquet`, where the study matches."""
    if study.matching:
        tables = [table for untuned in untuned_groups(study, folder) for table in _matrices(study, untuned)]
        empty = pd.DataFrame({column: [] for column in MATRIX_COLUMNS})
        write_table(folder.path / FILE, pd.concat(tables or [empty], ignore_index=True))


MATRIX_COLUMNS = (
    "model",
    "weights",
    "initialisation",
    "task",
    "labels",
    "k",
    "setting",
    "method",
    "method_options",
    "learning_rate",
    "step",
    "metric",
    "icl_seed",
    "ft_seed",
    "value",
)


def _matrices(study: Study, untuned: WorldGroup) -> Iterator[pd.DataFrame]:
    """Every matrix of these worlds: of FT, after each step, and of FT on permuted labels; and of reordered ICL."""
    settings = [Setting.FT, *(control.setting for control in study.controls)]
    for metric in matched_metrics(study):
        values = untuned.matrix(Setting.ICL_REORDERED, metric) if untuned.has_orders else None
        if values is not None:
            yield _matrix_table(untuned, values, setting=Setting.ICL_REORDERED, metric=metric)
        for group, setting in product(untuned.groups, settings):
            for step in (None, *(group.steps if setting == Setting.FT else ())):
                values = matrix_of(group, metric, setting, step)
                if values is not None:
                    name, rate = group.cell.method, group.cell.learning_rate
                    yield _matrix_table(
                        untuned,
                        values,
                        setting=setting,
                        metric=metric,
                        method=name,
                        method_options=options_json(study.method(name, rate)),
                        learning_rate=rate,
                        step=step,
                    )


def _matrix_table(untuned: WorldGroup, values: Tensor, **columns: Any) -> pd.DataFrame:
    """A row for each pair of sets."""
    world = untuned.world
    shared = {name: getattr(world, name) for name in ("model", "weights", "initialisation", "task", "labels", "k")}
    rows = [
        {"icl_seed": icl, "ft_seed": ft, "value": number(value)}
        for icl, of_icl in zip(untuned.seeds, _means(values).tolist(), strict=True)
        for ft, value in zip(untuned.seeds, of_icl, strict=True)
    ]
    table = pd.DataFrame(rows).assign(**{name: None for name in MATRIX_COLUMNS if name not in rows[0]})
    for name, value in (shared | columns).items():
        table[name] = str(value) if isinstance(value, str) else value
    return table[list(MATRIX_COLUMNS)].astype({"learning_rate": "float64", "step": "Int64"})


def _means(values: Tensor) -> Tensor:
    """Over queries, then layers, of what is present, [sets, sets]; infinite where a value is: it diverged."""
    means = values.double().nanmean(dim=2).nanmean(dim=-1)
    return torch.where(values.isinf().flatten(2).any(dim=-1), torch.inf, means)
