"""What differs between runs, from their `study.yaml` and provenance."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from demograd.report.run import ReportedRun

_NOT_SETTINGS = ("about", "notes")
"""Words in a study file that no number depends on."""
_PROVENANCE = ("demograd", "versions", "machine", "models", "tasks", "computed_on")
ABSENT = "–"


@dataclass(frozen=True)
class DifferingSetting:
    """One setting that two runs do not share."""

    name: str
    """`learning_rates.GD.trec`: where it stands in its file."""
    texts: tuple[str, ...]
    """Of each run; `–` where it has none."""
    is_provenance: bool


def differing_settings(runs: Sequence[ReportedRun]) -> list[DifferingSetting]:
    """The settings of which the runs have several values, then what their provenance has several values of."""
    studies = [dict(_leaves(run.study, without=_NOT_SETTINGS)) for run in runs]
    provenances = [
        dict(_leaves({name: run.provenance[name] for name in _PROVENANCE if name in run.provenance})) for run in runs
    ]
    return [*_differing(studies, is_provenance=False), *_differing(provenances, is_provenance=True)]


def _differing(records: Sequence[Mapping[str, str]], is_provenance: bool) -> Iterator[DifferingSetting]:
    for name in dict.fromkeys(name for record in records for name in record):
        texts = tuple(record.get(name, ABSENT) for record in records)
        if len(set(texts)) > 1:
            yield DifferingSetting(name, texts, is_provenance)


def _leaves(value: Any, path: str = "", without: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """Every value of nested mappings by its path; a list is one value."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            if name not in without:
                yield from _leaves(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        yield path, ", ".join(map(str, value)) or ABSENT
    else:
        yield path, ABSENT if value is None or value == {} else str(value)
