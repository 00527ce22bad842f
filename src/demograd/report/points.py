"""Numbers of the results as points of charts."""

from collections.abc import Mapping

import pandas as pd

from demograd.report.scores import plain
from demograd.report.variant import Variant, variant


def points(results: pd.DataFrame, metric: str, setting: str = "FT") -> pd.DataFrame:
    """A metric over all demonstration sets and queries, in all detail: columns variant, layer, at, value, low, high,
    conditional."""
    rows = plain(results)
    rows = rows[
        (rows["metric"] == metric)
        & (rows["setting"] == setting)
        & rows[["seed", "head", "step"]].isna().all(axis=1)
        & (rows["selection"] == "all")
        & rows["task"].notna()
    ]
    return pd.DataFrame(
        {
            "variant": [variant(row) for row in rows.to_dict("records")],
            "layer": rows["layer"].to_numpy(),
            "at": rows["at"].to_numpy(),
            "value": rows["value"].to_numpy(dtype=float, na_value=float("nan")),
            "low": rows["ci_low"].to_numpy(dtype=float, na_value=float("nan")),
            "high": rows["ci_high"].to_numpy(dtype=float, na_value=float("nan")),
            "conditional": (rows["interval"] == "conditional").to_numpy(),
        }
    )


def of_variants(found: pd.DataFrame, labels: Mapping[Variant, str]) -> pd.DataFrame:
    """The points of these variants only, with their labels."""
    chosen = found[found["variant"].isin(list(labels))]
    return chosen.assign(label=[labels[each] for each in chosen["variant"]])


def short_labels(variants: list[Variant]) -> dict[Variant, str]:
    """`GD`, and weights and learning rate only where they tell two of these apart."""
    several_weights = len({each.weights for each in variants}) > 1
    rates = {each: len({other.learning_rate for other in variants if _same(each, other)}) > 1 for each in variants}
    return {
        each: ", ".join(
            [
                each.method or "ICL",
                *([each.weights] if several_weights else []),
                *([f"rate {each.texts['learning_rate']}"] if rates[each] else []),
            ]
        )
        for each in variants
    }


def _same(one: Variant, other: Variant) -> bool:
    return (one.method, one.weights, one.task, one.k, one.model) == (
        other.method,
        other.weights,
        other.task,
        other.k,
        other.model,
    )
