"""Which rows of two runs stand for each other, and whether they are of the same demonstration sets and queries."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from demograd.report.run import ReportedRun
from demograd.report.subject import Variant, in_order

_AXES = (
    "labels",
    "k",
    "model",
    "weights",
    "initialisation",
    "method",
    "learning_rate",
    "method_options",
    "dtype",
    "record_at",
)
"""Of the fields of a variant, those in which two runs may differ, in the order in which they are matched: a learning
rate belongs to a method."""
_DRAWS = (
    "label_seed",
    "seeds",
    "permutations",
    "balanced",
    "queries",
    "query_seed",
    "split",
    "validation_split",
    "validation_path",
    "label_column",
    "encoding",
)
"""Settings of a language model's study on which its demonstration sets and queries depend, beside task, labels and
k."""
_SYNTHETIC_DRAWS = ("context", "seeds", "test_sequences")
"""The same of a synthetic study, whose sets are training seeds."""


def counterparts(left: Iterable[Variant], right: Iterable[Variant]) -> list[tuple[Variant, Variant]]:
    """Pairs of variants of one task that agree in every field of which either run has several values there.

    A field of which each run has one value need not agree: that the model is another is why they are compared.
    """
    lefts, rights = _by_subject(in_order(left)), _by_subject(in_order(right))
    return [pair for subject in lefts if subject in rights for pair in _matched(lefts[subject], rights[subject], _AXES)]


def _by_subject(variants: list[Variant]) -> dict[tuple[str, bool], list[Variant]]:
    """By task, and apart what was fine-tuned and what was not: neither stands for the other."""
    subjects: dict[tuple[str, bool], list[Variant]] = {}
    for variant in variants:
        subjects.setdefault((variant.task, variant.method is not None), []).append(variant)
    return subjects


def _matched(left: list[Variant], right: list[Variant], axes: Sequence[str]) -> list[tuple[Variant, Variant]]:
    if not left or not right:
        return []
    if not axes:
        return [(left[0], right[0])]
    lefts, rights = _by_value(left, axes[0]), _by_value(right, axes[0])
    if len(lefts) == len(rights) == 1:
        return _matched(left, right, axes[1:])
    return [pair for value in lefts if value in rights for pair in _matched(lefts[value], rights[value], axes[1:])]


def _by_value(variants: list[Variant], axis: str) -> dict[Any, list[Variant]]:
    values: dict[Any, list[Variant]] = {}
    for variant in variants:
        values.setdefault(getattr(variant, axis), []).append(variant)
    return values


def other_draws(left: ReportedRun, right: ReportedRun, variants: tuple[Variant, Variant]) -> list[str]:
    """What two variants do not share, or are not known to, of what demonstration sets and queries depend on, in words;
    nothing where both have the same ones."""
    own, other = variants
    names = _SYNTHETIC_DRAWS if left.is_synthetic else _DRAWS
    differing = [name for name in ("labels", "k") if getattr(own, name) != getattr(other, name)]
    differing += [
        name.replace("_", " ")
        for name in names
        if _of_task(left.study, name, own.task) != _of_task(right.study, name, own.task)
    ]
    data, other_data = _data(left, own.task), _data(right, own.task)
    if data is None or other_data is None:
        differing.append("the data (not recorded)")
    elif data != other_data:
        differing.append("the data")
    differing += ["how many demonstrations fitted"] * (_k_used(left, own) != _k_used(right, other))
    return differing


def _of_task(study: Mapping[str, Any], name: str, task: str) -> Any:
    """A setting that may be given task by task."""
    value = study.get(name)
    return value.get(task) if isinstance(value, Mapping) else value


def _data(run: ReportedRun, task: str) -> Any:
    """What tells whether the examples of a task are the same; None where it is not recorded."""
    if run.is_synthetic:
        return run.study["worlds"].get(task)
    tasks = run.provenance.get("tasks")  # of old folders: a list of names, or none
    return tasks.get(task, {}).get("fingerprint") if isinstance(tasks, Mapping) else None


def _k_used(run: ReportedRun, variant: Variant) -> list[tuple[int, int]]:
    """Of each demonstration set, by its seed."""
    columns = ["task", "labels", "k", "model", "seed", "k_used"]
    about = variant.task, variant.labels, variant.k, variant.model
    rows = run.results[columns].dropna().drop_duplicates().itertuples(index=False)
    return sorted((int(seed), int(k_used)) for *subject, seed, k_used in rows if tuple(subject) == about)
