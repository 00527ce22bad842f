"""A table of seeds × queries whose means over queries are a statistic of each seed: each query's part of it.

A mean is its own table. What is no mean over queries alone (a mean with missing values, a ratio of means) is replaced
by one to first order, as surveys do.

**Source:** Särndal, Swensson & Wretman 1992, "Model assisted survey sampling", §5.5.
"""

from math import prod

import numpy as np
from jaxtyping import Float
from torch import Tensor


def parts_of_mean(values: Float[Tensor, "seeds queries *layers"]) -> Float[np.ndarray, "seeds_left queries_left"]:
    """Of the mean over queries, then layers; of the seeds, and the queries, that have a value. None may be infinite.

    With no value missing, the mean over layers. Where values are (NaN), a query that is there moves a layer's mean of n
    queries by (x − mean) / n, and one that is missing by nothing; a query's part differs from the mean by how far it
    moves it, times the number of queries. The parts of few are widened by √(n / (n − 1)), as their variance asks.
    """
    x = by_layer(values).double().numpy()
    present = ~np.isnan(x)
    has_value = np.ix_(present.any(axis=(1, 2)), present.any(axis=(0, 2)))
    x, present = x[has_value], present[has_value]
    if present.all():
        return x.mean(axis=2) if x.size else np.empty(x.shape[:2])
    n_queries, n = x.shape[1], present.sum(axis=1, keepdims=True)
    means = np.where(present, x, 0.0).sum(axis=1, keepdims=True) / np.maximum(n, 1)
    widening = np.sqrt(n / np.maximum(n - 1, 1) * (n_queries - 1) / n_queries)
    moves = np.where(present, x - means, 0.0) / np.maximum(n, 1)
    return (means + n_queries * widening * moves).sum(axis=2) / (n > 0).sum(axis=2)


def parts_of_ratio(
    above: Float[np.ndarray, "seeds queries"], below: Float[np.ndarray, " queries"]
) -> Float[np.ndarray, "seeds queries"]:
    """Of each seed's mean `above` over the mean `below` on the same queries."""
    ratios = above.mean(axis=1, keepdims=True) / below.mean()
    return ratios + (above - ratios * below) / below.mean()


def by_layer(values: Float[Tensor, "seeds queries *layers"]) -> Float[Tensor, "seeds queries flat"]:
    """With one dimension of layers, whatever they are; also where there is no value."""
    return values.reshape(*values.shape[:2], prod(values.shape[2:]))
