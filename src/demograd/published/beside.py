"""Published numbers beside measured ones, like beside like."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from demograd.published.tables import caveats_of, table

OVERALL = ("deutch2024-table1", "deutch2024-table2")
"""The tables of scores over all demonstration seeds and layers."""
_SAME = ["weights", "task", "method", "metric"]
_GIVES = [
    "published",
    "published_std",
    "published_n_seeds",
    "difference",
    "published_model",
    "same_model",
    "source",
    "read_as",
    "caveats",
]


def beside(measured: pd.DataFrame) -> pd.DataFrame:
    """The measured scores that have a published counterpart, one row for each, in the order of `measured`.

    Args:
        measured: overall scores with at least the columns model, weights, task, method, metric and value (others are
            kept). Give FT's own scores only, not those of its controls.

    Returns:
        `measured`'s columns, and: `published`, `published_std`, `published_n_seeds`; `difference`, measured minus
        published; `published_model` and `same_model`; `source`, where it is printed; `read_as`, null for a number that
        is compared as its label says, else what it most probably holds ("weights = norms_only"); `caveats`, one
        sentence for each thing that is known to be wrong with it.

    Published numbers are printed to two decimals, so a difference under 0.005 is none.

    A number that is probably not what its label says stands beside both: what the label names, and what it holds.
    A task from a user's own file (`cb=my.jsonl`) stands beside the built-in task's numbers.
    """
    renamed = measured.assign(task_name=measured["task"].str.partition("=")[0], order=range(len(measured)))
    joined = renamed.merge(_published(), left_on=["weights", "task_name", "method", "metric"], right_on=_PUBLISHED_SAME)
    joined = joined.assign(
        difference=joined["value"] - joined["published"], same_model=joined["model"] == joined["published_model"]
    )
    return joined.sort_values("order", kind="stable")[[*measured.columns, *_GIVES]].reset_index(drop=True)


def published_average(tasks: Sequence[str], metric: str, method: str, weights: str) -> float | None:
    """The mean over these tasks of the numbers of Deutch 2024, Table 2: over its six, its column *Average*; None where
    it lacks one of them. A built-in task on a user's own file (`cb=my.jsonl`) counts as the built-in one."""
    numbers = table("deutch2024-table2")
    about = (numbers["metric"] == metric) & (numbers["method"] == method) & (numbers["weights"] == weights)
    means = numbers[about].set_index("task")["mean"]
    names = [task.partition("=")[0] for task in tasks]
    return float(means[names].mean()) if names and set(names) <= set(means.index) else None


def published_by_layer(tasks: Sequence[str], metric: str, method: str) -> pd.Series | None:
    """The mean over these tasks and their three seeds of the released logs of Deutch 2024, with trained weights, one
    number a layer (0 is the first); None where the logs lack the metric, the method or one of the tasks."""
    numbers = table("deutch2024-per-layer")
    rows = numbers[(numbers["metric"] == metric) & (numbers["method"] == method)]
    names = {task.partition("=")[0] for task in tasks}
    if not names or not names <= set(rows["task"]):
        return None
    of_tasks = rows[rows["task"].isin(names)].groupby(["layer", "task"])["mean"].mean()
    return of_tasks.groupby("layer").mean()


_PUBLISHED_SAME = [f"published_{column}" for column in _SAME]


def _published() -> pd.DataFrame:
    return pd.DataFrame([row for name in OVERALL for number in table(name).to_dict("records") for row in _rows(number)])


def _rows(number: Mapping[Any, Any]) -> Iterator[dict[str, Any]]:
    """A number as its label says, and, where that is probably wrong, as what it most probably holds."""
    known_caveats = caveats_of(number)
    columns = {
        "published": number["mean"],
        "published_std": number["std"],
        "published_n_seeds": number["n_seeds"],
        "published_model": number["model"],
        "source": number["source"],
        "caveats": tuple(caveat.says for caveat in known_caveats),
    }
    label = {f"published_{column}": number[column] for column in _SAME}
    yield {**label, **columns, "read_as": None}
    held = {column: value for caveat in known_caveats for column, value in caveat.read_as.items()}
    if held:
        read_as = ", ".join(f"{column} = {value}" for column, value in held.items())
        yield {
            **label,
            **{f"published_{column}": value for column, value in held.items()},
            **columns,
            "read_as": read_as,
        }
