"""Reading a run folder (docs/run-folder.md), and refusing what is not one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from typing import Any

import pandas as pd
import pyarrow as pa

from demograd.errors import UserError
from demograd.files import Place, check_holds, read_json, read_table, read_yaml
from demograd.report.networks import SETTINGS, of_context, synthetic_rows
from demograd.report.scores import Scores, overall, overall_means
from demograd.statistics.verdict import Finding, Verdict
from demograd.words import ALL_TASKS, COLUMNS, NO_VERDICTS, WRITE_VERDICTS


@dataclass(frozen=True)
class Check:
    """One validity check of one combination of weights and task."""

    weights: str
    task: str
    check: str
    """`in_context_learning`, `fine_tuning`, `update_size`, `resolution` or `seeds`."""
    method: str | None
    """The label of the fine-tuning method, or None for a check of no method, or of all."""
    passed: bool
    message: str
    undecided: bool = False
    """Whether there were too few demonstration sets to say."""
    model: str | None = None
    k: int | None = None
    labels: str | None = None
    initialisation: int | None = None
    """The seed of untrained weights; trained ones have none, or zero."""
    better: Sequence[str] = ()
    """Of the gates: the measures that are shown to be better than zero-shot."""


@dataclass(frozen=True)
class Matrices:
    """A product of a trained layer's matrices beside those of theory, scaled alike (`matrices.json`)."""

    world: str
    network: str
    seed: int
    layer: int
    product: str
    """`KᵀQ` or `PV`."""
    trained: list[list[float]]
    theories: dict[str, list[list[float]]]
    """By name; empty if theory says nothing of this layer."""
    in_use: list[list[bool]]
    """Which entries can change a prediction."""


_WHY = f"{NO_VERDICTS}; {WRITE_VERDICTS}"
_NOT_JUDGED = Finding("", "", Verdict.UNDECIDED, _WHY, f"Undecided: {_WHY}.")


@dataclass(frozen=True)
class ReportedRun:
    """The files of a run folder that a report reads."""

    path: Place
    study: dict[str, Any]
    results: pd.DataFrame
    """One number a row, with at least `COLUMNS`."""
    validity: tuple[Check, ...]
    """Empty if the folder has none."""
    provenance: dict[str, Any]
    """Empty if the folder has none."""
    claims: dict[str, Any]
    """The verdicts: `finding`, the `findings` that it sums up, `correction`, and `claims` with their `comparisons`."""
    matrices: tuple[Matrices, ...] = ()
    """The weights of a synthetic run's networks; empty if the folder has none."""
    matching: pd.DataFrame | None = None
    """The matrices of ICL on each demonstration set against FT on each (`matching.parquet`); None if there are none."""
    queries: pd.DataFrame | None = None
    """What was predicted for each query (`queries.parquet`); None if the folder has none."""
    attention: pd.DataFrame | None = None
    """What the last token of the first queries attends to (`attention.parquet`); None if the folder has none."""
    over_tasks: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(COLUMNS)))
    """The rows of `results.parquet` that are means over the tasks of the study; `results` is without them."""
    n_on_page: int = 1
    """How many runs the page is of: they share its size."""

    @property
    def is_synthetic(self) -> bool:
        """Whether it is of small transformers in synthetic worlds, and not of a language model."""
        return self.study.get("kind") == "synthetic"

    @property
    def finding(self) -> Finding:
        """The one sentence of the run."""
        record = self.claims.get("finding")
        return _finding(record) if record else _NOT_JUDGED

    @property
    def findings(self) -> list[Finding]:
        """The findings that the one sentence sums up."""
        return [_finding(record) for record in self.claims.get("findings", [])]

    @cached_property
    def scores(self) -> Scores:
        """The language model's numbers over all demonstration sets, layers, heads and steps."""
        return overall(self.results[~self.results["setting"].isin(SETTINGS)])

    @cached_property
    def means_over_tasks(self) -> Scores:
        """The language model's numbers over all its tasks, demonstration sets and layers."""
        return overall_means(self.over_tasks)

    @cached_property
    def networks(self) -> pd.DataFrame:
        """The rows of small transformers, constructions and references over all training seeds."""
        return synthetic_rows(self.results)

    @cached_property
    def networks_at_context(self) -> pd.DataFrame:
        """The rows of `networks` with as many examples as the networks were trained on."""
        return of_context(self.networks, self.study.get("context"))


def _finding(record: Mapping[str, Any]) -> Finding:
    return Finding(**{**record, "verdict": Verdict(record["verdict"])})


def read_run(folder: Place) -> ReportedRun:
    """Study, results, validity checks and provenance of a run.

    **Raises:** UserError if the folder lacks `study.yaml` or `results.parquet`, one of its files cannot be read, or the
    results lack a column or have no rows.
    """
    for name in ("study.yaml", "results.parquet"):
        check_holds(folder, name)
    study = _readable(folder / "study.yaml", read_yaml)
    provenance = _readable(folder / "provenance.json", read_json, missing={})
    checks = _readable(
        folder / "validity.json", lambda path: tuple(Check(**check) for check in read_json(path)), missing=()
    )
    matrices = _readable(folder / "matrices.json", lambda path: tuple(map(read_matrices, read_json(path))), missing=())
    claims = _readable(folder / "claims.json", read_json, missing={"correction": "", "claims": []})
    matching, queries, attention = (
        _readable(folder / name, read_table) if (folder / name).is_file() else None
        for name in ("matching.parquet", "queries.parquet", "attention.parquet")
    )
    for name, content in (("study.yaml", study), ("provenance.json", provenance), ("claims.json", claims)):
        if not isinstance(content, dict):
            raise _unreadable(folder / name, "not a mapping")
    results = _results(folder / "results.parquet")
    is_mean = results["task"] == ALL_TASKS
    run = ReportedRun(
        folder,
        study,
        results[~is_mean],
        checks,
        provenance,
        claims,
        matrices,
        matching,
        queries,
        attention,
        results[is_mean],
    )
    absent = [setting for setting in ("context", "worlds") if run.is_synthetic and setting not in study]
    if absent:
        raise _unreadable(folder / "study.yaml", f"a synthetic study without {' and '.join(absent)}")
    return run


def read_matrices(record: dict[str, Any]) -> Matrices:
    """The matrices of one record of `matrices.json`, where `product` is called `what`."""
    return Matrices(**{"product" if name == "what" else name: value for name, value in record.items()})


def _results(path: Place) -> pd.DataFrame:
    results: pd.DataFrame = _readable(path, read_table)
    absent = [column for column in COLUMNS if column not in results]
    if absent:
        raise UserError(
            f"{path} lacks the columns {', '.join(absent)}",
            f"the columns {', '.join(COLUMNS)}",
            "Run the study there again with this version of demograd; what did not change is kept",
        )
    if results.empty:
        raise UserError(
            f"{path} has no rows",
            "at least one finished cell",
            "Run the same `demograd run` command again to go on",
        )
    return _without_infinities(results)


def _without_infinities(results: pd.DataFrame) -> pd.DataFrame:
    """The results with infinite values as diverged, which older versions did not say."""
    diverged = results["value"].isin([inf, -inf])
    if not diverged.any():
        return results
    status = results["status"].where(~diverged | (results["status"] != "ok"), "diverged")
    return results.assign(value=results["value"].where(~diverged), status=status)


def _readable(path: Place, read: Any, missing: Any = None) -> Any:
    """`read(path)`, or `missing`, unless it is None, if there is no such file."""
    if missing is not None and not path.is_file():
        return missing
    try:
        return read(path)
    except (OSError, ValueError, TypeError, pa.ArrowException) as error:
        raise _unreadable(path, str(error)) from error


def _unreadable(path: Place, why: str) -> UserError:
    # the study is what a folder is known by, so no run can write it anew
    run_again = "Run the same `demograd run` command again, which writes it anew"
    do = "Run the study in another folder" if path.name == "study.yaml" else run_again
    return UserError(f"{path} cannot be read ({why})", "a file that `demograd run` wrote", do)
