"""Scores of two runs beside each other: the difference, its interval and its test, paired where both have the same
demonstration sets and queries."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf, nan
from typing import Any, Literal

import pandas as pd
import torch
from torch import Tensor

from demograd.metrics import METRICS
from demograd.report.compare.by_query import OF_VARIANT, QueryScores
from demograd.report.compare.counterparts import counterparts, other_draws
from demograd.report.networks import DEFINITIONS
from demograd.report.run import ReportedRun
from demograd.report.subject import Variant, variant
from demograd.statistics import (
    SEEDS_FOR_SPECIFICITY,
    ClaimDecision,
    PairedTest,
    Verdict,
    decide_all,
    paired_by_query,
    paired_by_set,
    paired_specificities,
    unpaired,
    unpaired_specificities,
)
from demograd.statistics.number import Number, estimate, number_of
from demograd.statistics.two_runs import IDENTICAL
from demograd.words import Control, Reading, Setting

_NO_WORDS = {"model": "", "weights": "", "dtype": "", "record_at": "", "selection": "all"}
Paired = Literal["by set and query", "by set", "no"]
_NOT_DECIDED = ClaimDecision(Verdict.UNDECIDED, "not decided yet", nan, nan, 0)


@dataclass(frozen=True)
class Score:
    """What a number is of, beside its variant."""

    metric: str
    setting: str
    versus: str | None = None
    """The control that a specificity is against."""

    @property
    def title(self) -> str:
        """`SimAOU`."""
        definition = METRICS.get(self.metric) or DEFINITIONS.get(self.metric)
        return definition.title if definition else self.metric

    @property
    def words(self) -> str:
        """`specificity vs other sets`, `FT, mismatched`, `ICL`."""
        if self.versus:
            reordered = f"{Setting.ICL_REORDERED.words}: " * (self.setting == Setting.ICL_REORDERED)
            return f"{reordered}specificity vs {Control(self.versus).words}"
        return "mismatched" if self.setting == Setting.FT_OTHER_SETS else Setting(self.setting).words


@dataclass(frozen=True)
class ScoreDifference:
    """One score of two runs."""

    variants: tuple[Variant, Variant]
    score: Score
    numbers: tuple[Number, Number]
    """As each run has them."""
    test: PairedTest
    """Of the second minus the first."""
    paired: Paired
    why_unpaired: tuple[str, ...]
    """What the two do not share of what sets and queries depend on; empty where they share all."""
    decision: ClaimDecision = _NOT_DECIDED
    """On "the second is higher", corrected for all differences of this metric, of all runs that are compared."""

    @property
    def number(self) -> Number:
        """The difference with its interval."""
        interval = self.test.interval
        return estimate(self.test.difference, *((interval.low, interval.high) if interval else ()))

    @property
    def outcome(self) -> str:
        """`higher`, `lower`, `identical`, or `open`."""
        if self.test.reason == IDENTICAL:
            return "identical"
        return {Verdict.SUPPORTED: "higher", Verdict.CONTRADICTED: "lower"}.get(self.decision.verdict, "open")


class _SetScores:
    """The numbers of a run, over all demonstration sets, set by set, and query by query."""

    def __init__(self, run: ReportedRun) -> None:
        self.run, self.queries = run, QueryScores(run)
        # of a small network there is no selection of queries, and of a reference no network
        results = run.results.fillna(_NO_WORDS)
        whole = (results["selection"] == "all") & (results["reading"] == Reading.PLAIN) & results["task"].notna()
        whole &= results[["layer", "head", "step", "at"]].isna().all(axis=1)
        if run.is_synthetic:
            whole &= results["k"].isna() | (results["k"] == run.study["context"])
        overall = results["seed"].isna()
        self.numbers = {_key(row): number_of(row) for row in results[whole & overall].to_dict("records")}
        self._values: dict[tuple[Variant, Score], dict[int, float]] = {}
        for row in results[whole & ~overall].to_dict("records"):
            self._values.setdefault(_key(row), {})[int(row["seed"])] = _value(row)

    @property
    def variants(self) -> list[Variant]:
        return list(dict.fromkeys(owner for owner, _ in self.numbers))

    def scores(self, owner: Variant) -> list[Score]:
        """In the order of the results."""
        return [score for subject, score in self.numbers if subject == owner]

    def by_set(self, owner: Variant, score: Score) -> dict[int, float]:
        """Seed → value; NaN where missing, infinite where it diverged."""
        return self._values.get((owner, score), {})

    def by_query(self, owner: Variant, score: Score) -> Tensor | None:
        """[sets, queries], in the order of `by_set`; None where they are not known of every query."""
        if score.versus:
            return None
        return self.queries.values(owner, score.metric, score.setting, self.by_set(owner, score))

    def matrix(self, owner: Variant, score: Score) -> Tensor | None:
        """ICL on each set (rows) against FT on each, [sets, sets, 1]; None where there is none."""
        about = replace(owner, initialisation=owner.initialisation or 0)
        rows = self._matrices.get((score.metric, score.setting, *(getattr(about, name) for name in OF_VARIANT)))
        if rows is None:
            return None
        square = rows.pivot(index="icl_seed", columns="ft_seed", values="value")
        return torch.tensor(square.to_numpy(dtype=float, na_value=nan))[..., None]

    @cached_property
    def _matrices(self) -> dict[tuple[Any, ...], pd.DataFrame]:
        if self.run.matching is None:
            return {}
        table = self.run.matching
        matrices: dict[tuple[Any, ...], pd.DataFrame] = {}
        for group, rows in table[table["step"].isna()].groupby(
            ["metric", "setting", *OF_VARIANT], dropna=False, sort=False
        ):
            about: tuple[Any, ...] = group
            matrices[tuple(None if pd.isna(value) else value for value in about)] = rows
        return matrices


def score_differences(first: ReportedRun, others: Sequence[ReportedRun]) -> list[list[ScoreDifference]]:
    """For each of the others, every score that it shares with the first run, of each pair of counterparts.

    The differences of one metric, of all runs together, are one family (Holm). Without a part in it, and undecided, are
    those that were not tested, and specificities on fewer than `SEEDS_FOR_SPECIFICITY` sets.
    """
    scores = _SetScores(first)
    by_run = [_differences(scores, _SetScores(other)) for other in others]
    together = [difference for differences in by_run for difference in differences]
    decisions: dict[int, ClaimDecision] = {}
    for metric in dict.fromkeys(difference.score.metric for difference in together):
        family = {
            str(place): _decidable(difference)
            for place, difference in enumerate(together)
            if difference.score.metric == metric
        }
        decisions |= {int(place): decision for place, decision in decide_all(family).items()}
    decided = (replace(difference, decision=decisions[place]) for place, difference in enumerate(together))
    return [[next(decided) for _ in differences] for differences in by_run]


def why_unpaired(differences: Iterable[ScoreDifference]) -> list[str]:
    """A sentence for each reason why differences are not paired: `12 are not paired, for the runs are not known to
    share: seeds, query seed.`"""
    counts = Counter(difference.why_unpaired for difference in differences if difference.why_unpaired)
    return [
        f"{count} {'is' if count == 1 else 'are'} not paired, for the runs are not known to share: {', '.join(why)}."
        for why, count in counts.items()
    ]


def _differences(lefts: _SetScores, rights: _SetScores) -> list[ScoreDifference]:
    """Of two runs, not yet decided."""
    differences = []
    for variants in counterparts(lefts.variants, rights.variants):
        unshared = tuple(other_draws(lefts.run, rights.run, variants))
        for score in lefts.scores(variants[0]):
            if (variants[1], score) in rights.numbers:
                numbers = lefts.numbers[variants[0], score], rights.numbers[variants[1], score]
                test, paired = _test(lefts, rights, variants, score, is_paired=not unshared)
                differences.append(ScoreDifference(variants, score, numbers, test, paired, unshared))
    return differences


def _decidable(difference: ScoreDifference) -> PairedTest:
    """The test, or none where it is of a specificity on too few sets."""
    test = difference.test
    if difference.score.versus is None or test.reason or test.n_seeds >= SEEDS_FOR_SPECIFICITY:
        return test
    why = f"{test.n_seeds} demonstration sets, and a specificity takes {SEEDS_FOR_SPECIFICITY}"
    return replace(test, p_value=nan, reason=why)


def _test(
    lefts: _SetScores, rights: _SetScores, variants: tuple[Variant, Variant], score: Score, is_paired: bool
) -> tuple[PairedTest, Paired]:
    own, other = variants
    for number in (lefts.numbers[own, score], rights.numbers[other, score]):
        if number.value is None:
            return _untested(number.text), "no"
    if score.versus == Control.OTHER_SETS:
        matrix, other_matrix = lefts.matrix(own, score), rights.matrix(other, score)
        if matrix is None or other_matrix is None:
            return _untested("the matrices of matching are not in both folders"), "no"
        if is_paired and matrix.shape == other_matrix.shape:
            return paired_specificities(matrix, other_matrix), "by set"
        return unpaired_specificities(matrix, other_matrix), "no"
    values, other_values = lefts.by_set(own, score), rights.by_set(other, score)
    if not values or not other_values:
        return _untested("one value for all demonstration sets"), "no"
    if is_paired and values.keys() == other_values.keys():
        by_query, others_by_query = lefts.by_query(own, score), rights.by_query(other, score)
        if by_query is not None and others_by_query is not None and by_query.shape == others_by_query.shape:
            return paired_by_query(by_query, others_by_query), "by set and query"
        return paired_by_set([*values.values()], [other_values[seed] for seed in values]), "by set"
    return unpaired([*values.values()], [*other_values.values()]), "no"


def _untested(why: str) -> PairedTest:
    return PairedTest(nan, None, nan, nan, 0, 0, why)


def _key(row: Mapping[Any, Any]) -> tuple[Variant, Score]:
    versus = None if pd.isna(row["versus"]) else str(row["versus"])
    return variant(row), Score(row["metric"], row["setting"], versus)


def _value(row: Mapping[Any, Any]) -> float:
    if str(row["status"]).startswith("diverged"):
        return inf
    return nan if pd.isna(row["value"]) else float(row["value"])
