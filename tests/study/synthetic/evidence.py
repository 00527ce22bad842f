"""Rows of a synthetic run by hand, with the variances that give their intervals."""

from collections.abc import Iterable, Mapping
from typing import Any

from scipy.special import stdtrit
from tests.report.synthetic.rows import row

from demograd.statistics import EstimatedMean, RangeTest
from demograd.statistics.number import number_of
from demograd.study.synthetic.claims import CLAIMED, check_claims
from demograd.study.synthetic.rows import ClaimedRow
from demograd.study.verdicts import Finding
from demograd.words import COLUMNS, Reading, Setting


def mean_of(row: Mapping[str, Any]) -> EstimatedMean | None:
    """A mean over seeds whose 95 % interval is as wide as the row's."""
    value, n_seeds = row["value"], row["n_seeds"]
    if value is None or n_seeds < 2 or row["interval"] != "demonstrations":
        return None
    standard_error = (row["ci_high"] - row["ci_low"]) / 2 / float(stdtrit(n_seeds - 1, 0.975))
    return EstimatedMean(value, standard_error**2, float(n_seeds - 1), "demonstrations", n_seeds, 1000)


def in_range(value: float | None, low: float, high: float, *, around: float = 0.004, **about: Any) -> RangeTest:
    """A number that should lie in a range."""
    columns = row("any", value, around=around, **about)
    return RangeTest(number_of(columns), mean_of(columns), low, high, "it")


def record_of(
    rows: Iterable[Mapping[str, Any]],
    context: int,
    worlds: Mapping[str, Any],
    overfit: Mapping[tuple[str, str], str] | None = None,
) -> dict[str, Any]:
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
    return check_claims(typed, context, dimensions, overfit or {})


def findings_in(record: Mapping[str, Any]) -> list[Finding]:
    """The findings of a record."""
    return [Finding(**finding) for finding in record["findings"]]
