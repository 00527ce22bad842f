"""Rows of a synthetic run by hand, with resamples that give their intervals."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from scipy.special import ndtri
from tests.report.synthetic.rows import row

from demograd.statistics import RangeTest, ResampledMean
from demograd.statistics.intervals import _stretch
from demograd.statistics.number import precise_number_of
from demograd.study.synthetic.claims import CLAIMED, check_claims
from demograd.study.synthetic.rows import ClaimedRow
from demograd.study.verdicts import Finding
from demograd.words import COLUMNS, Reading, Setting

_QUANTILES = ndtri((np.arange(20_000) + 0.5) / 20_000)


def mean_of(row: Mapping[str, Any]) -> ResampledMean | None:
    """Normal resamples over seeds, of which each side's 95 % interval reaches as far as the row's."""
    value, n_seeds = row["value"], row["n_seeds"]
    if value is None or n_seeds < 2 or row["interval"] != "demonstrations":
        return None
    reach = np.where(_QUANTILES < 0, value - row["ci_low"], row["ci_high"] - value)
    crossed = value + reach * _QUANTILES / (ndtri(0.975) * _stretch(n_seeds, 0.95))
    return ResampledMean(value, np.full_like(crossed, value), crossed, n_seeds, 1000, 0)


def in_range(value: float | None, low: float, high: float, *, around: float = 0.004, **about: Any) -> RangeTest:
    """A number that should lie in a range."""
    columns = row("any", value, around=around, **about)
    return RangeTest(precise_number_of(columns), mean_of(columns), low, high, "it")


def record_of(rows: Iterable[Mapping[str, Any]], context: int, worlds: Mapping[str, Any]) -> dict[str, Any]:
    """`claims.json` of these rows."""
    typed = [
        ClaimedRow(
            **{column: columns[column] for column in COLUMNS if columns[column] is not None}
            | {"setting": Setting(columns["setting"]), "reading": Reading(columns["reading"])}
            | {"at": None if columns["at"] is None else float(columns["at"])},
            mean=mean_of(columns),
        )
        for columns in rows
        if columns["metric"] in CLAIMED and columns["setting"] == "TF"
    ]
    dimensions = {name: world["dimension"] for name, world in worlds.items() if world["kind"] == "system"}
    return check_claims(typed, context, dimensions)


def findings_in(record: Mapping[str, Any]) -> list[Finding]:
    """The findings of a record."""
    return [Finding(**finding) for finding in record["findings"]]
