"""How often are intervals right, and tests wrong, in worlds that are known?

    python benchmarks/coverage.py [--repetitions 2000] [--seed 0]

Part 1, means over demonstration sets and queries: the share of 95 % intervals that cover, their width beside that of an
interval that knew the variance, and how often p ≤ 0.001 though there is no difference; crossed mean squares beside the
crossed percentile bootstrap that is stretched for few sets. Part 2, matching: how often a test of a matrix finds
specificity where there is none (its size) and where there is some (its power), and how often jackknife intervals cover.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.stats import norm, ttest_1samp

from demograd.statistics import match, mean_of_parts, statistic_interval

Matrix = Float[np.ndarray, "sets sets"]

QUERIES = 100
TAIL = 0.001
CORRELATION = 0.1
"""Between what ICL on a set and FT on the same set do, beyond what they do on every set."""
DIMENSIONS = 128
"""In how many independent directions sets differ; two of them have a correlation of ± 1/√128 by chance."""
MAIN_EFFECTS = 0.95
"""Their share of a matrix's variance, as in real data."""

# standard deviations of the effects of set, query and both; of the mean, those of "all alike" account for a third each
REGIMES = {
    "sets": lambda n_sets: (1.0, 0.0, 0.0),
    "sets and noise": lambda n_sets: (0.2, 0.0, 1.0),
    "queries": lambda n_sets: (0.0, 1.0, 0.0),
    "interaction": lambda n_sets: (0.0, 0.0, 1.0),
    "all alike": lambda n_sets: (QUERIES**-0.5, n_sets**-0.5, 1.0),
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--repetitions", type=int, default=2000)
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()
    started = time.perf_counter()
    for part in (means, matrices, intervals_of_matrices):
        print("\n".join(part(options.repetitions, np.random.default_rng(options.seed))), end="\n\n")
    print(f"{options.repetitions:,} repetitions, {time.perf_counter() - started:.0f} s")


def means(repetitions: int, random: np.random.Generator) -> Iterator[str]:
    """Part 1. Tails are of ten times as many tables; the bootstrap, which takes the time, of half as many."""
    yield f"| what varies | sets | crossed: coverage | width | p ≤ {TAIL:g} | bootstrap: coverage | width |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name, deviations in REGIMES.items():
        for n_sets in (5, 8, 10):
            of_sets, of_queries, of_both = deviations(n_sets)
            standard_error = (of_sets**2 / n_sets + of_queries**2 / QUERIES + of_both**2 / (n_sets * QUERIES)) ** 0.5
            draw = partial(table, random, n_sets, of_sets, of_queries, of_both)
            crossed = np.array([crossed_interval(draw()) for _ in range(10 * repetitions)])
            resampled = np.array([bootstrap_interval(draw()) for _ in range(max(repetitions // 2, 1))])
            columns = [
                f"{covered(crossed):.3f}",
                f"{width(crossed, standard_error):.2f}",
                f"{np.mean(crossed[:, 2] <= TAIL):.4f}",
            ]
            columns += [f"{covered(resampled):.3f}", f"{width(resampled, standard_error):.2f}"]
            yield f"| {name} | {n_sets} | {' | '.join(columns)} |"


def table(
    random: np.random.Generator, n_sets: int, of_sets: float, of_queries: float, of_both: float
) -> Float[np.ndarray, "sets queries"]:
    """A crossed table around zero."""
    effects = (of_sets, (n_sets, 1)), (of_queries, (1, QUERIES)), (of_both, (n_sets, QUERIES))
    return sum(deviation * random.standard_normal(shape) for deviation, shape in effects)


def crossed_interval(scores: Float[np.ndarray, "sets queries"]) -> tuple[float, float, float]:
    """The interval, and the p-value of a mean of zero."""
    mean = mean_of_parts(scores, "demonstrations")
    interval = mean.interval(0.95)
    return interval.low, interval.high, mean.p_outside(0.0, 0.0)


def bootstrap_interval(scores: Float[np.ndarray, "sets queries"]) -> tuple[float, float]:
    def of_set(place: int, queries: Int[np.ndarray, "resamples queries"]) -> Float[np.ndarray, " resamples"]:
        return scores[place][queries].mean(axis=1)

    interval = statistic_interval(of_set, *scores.shape, resamples=1000)
    return interval.low, interval.high


def covered(intervals: Float[np.ndarray, "repetitions bounds"], truth: float = 0.0) -> float:
    return float(np.mean((intervals[:, 0] <= truth) & (truth <= intervals[:, 1])))


def width(intervals: Float[np.ndarray, "repetitions bounds"], standard_error: float) -> float:
    """The median width, beside that of an interval that knew the standard error."""
    return float(np.median(intervals[:, 1] - intervals[:, 0]) / (2 * norm.ppf(0.975) * standard_error))


def matrices(repetitions: int, random: np.random.Generator) -> Iterator[str]:
    """Part 2: size and power of one-sided tests at 0.05."""
    yield "| matrix | sets | matching | and trait check | identified | FT on one other set |"
    yield "| --- | --- | --- | --- | --- | --- |"
    worlds: dict[str, Callable[[np.random.Generator, int], Matrix]] = {
        "nothing specific": partial(matrix, correlation=0.0),
        "nothing specific, a trait is half of main effects": partial(matrix, correlation=0.0, of_trait=0.5),
        "nothing specific, a trait is all of main effects": partial(matrix, correlation=0.0, of_trait=1.0),
        f"correlation {CORRELATION:g}": partial(matrix, correlation=CORRELATION),
        f"correlation {CORRELATION:g}, a trait is half of main effects": partial(
            matrix, correlation=CORRELATION, of_trait=0.5
        ),
    }
    for name, world in worlds.items():
        for n_sets in (5, 7, 10):
            rows = []
            for _ in range(repetitions):
                scores = world(random, n_sets)
                test = match(torch.from_numpy(scores[:, :, None]))
                both = max(test.p_value, test.trait_p_value)
                rows.append((test.p_value <= 0.05, both <= 0.05, test.identified, other_set(random, scores) <= 0.05))
            detected, also_traits, identified, old = np.mean(rows, axis=0)
            yield f"| {name} | {n_sets} | {detected:.3f} | {also_traits:.3f} | {identified:.2f} | {old:.3f} |"


def matrix(random: np.random.Generator, n_sets: int, *, correlation: float, of_trait: float = 0.0) -> Matrix:
    """Scores of ICL on set i against FT on set j: main effects, and the correlation of what each does on its set.

    A trait of the sets (their length, say) may make the scores of both sides larger: a share `of_trait` of the variance
    of main effects, and, as both scale the score, the product of the two.
    """
    icl, noise = random.standard_normal((2, n_sets, DIMENSIONS))
    ft = correlation * icl + (1 - correlation**2) ** 0.5 * noise
    interaction = icl @ ft.T / DIMENSIONS
    deviation = (MAIN_EFFECTS / (1 - MAIN_EFFECTS) / DIMENSIONS / 2) ** 0.5
    trait = random.standard_normal(n_sets)
    rows, columns = (
        deviation * (of_trait**0.5 * trait + (1 - of_trait) ** 0.5 * random.standard_normal(n_sets)) for _ in range(2)
    )
    mean = 2.0  # of which the main effects are a seventh, as 0.155 ± 0.02 in real data
    return mean * np.outer(1 + rows / mean, 1 + columns / mean) + interaction


def other_set(random: np.random.Generator, scores: Matrix) -> float:
    """The p-value of the control that matching replaces: the same set against one other, by a paired t test."""
    n_sets = len(scores)
    others = (np.arange(n_sets) + random.integers(1, n_sets, n_sets)) % n_sets
    return float(ttest_1samp(scores.diagonal() - scores[np.arange(n_sets), others], 0, alternative="greater").pvalue)


def intervals_of_matrices(repetitions: int, random: np.random.Generator) -> Iterator[str]:
    """Part 2: coverage of jackknife intervals of the specificity, and of its share of what is matched."""
    yield "| what of specificity varies | sets | specificity: coverage | width | share: coverage | equal by mistake |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, deviations in {
        "pairs": (0.05, 0.0, 0.0, 0.01),
        "what is specific, by set": (0.01, 0.05, 0.0, 0.01),
        "what is specific, by query": (0.01, 0.0, 0.3, 0.1),
        "pairs on single queries": (0.0, 0.0, 0.0, 0.5),
        "all": (0.03, 0.03, 0.2, 0.2),
    }.items():
        for n_sets in (5, 8, 10):
            rows, widths, estimates = [], [], []
            for _ in range(repetitions):
                scores = matched_scores(random, n_sets, 0.1, *deviations)
                test = match(torch.from_numpy(scores), margin=0.1)
                share = test.share_interval
                rows.append(
                    (
                        test.interval.low <= 0.1 <= test.interval.high,
                        share is None or share.low <= 0.1 <= share.high,
                        test.p_equal <= 0.05,
                    )
                )
                widths.append(test.interval.high - test.interval.low)
                estimates.append(test.specificity)
            of_specificity, of_share, mistaken = np.mean(rows, axis=0)
            relative = np.median(widths) / (2 * norm.ppf(0.975) * np.std(estimates))
            yield f"| {name} | {n_sets} | {of_specificity:.3f} | {relative:.2f} | {of_share:.3f} | {mistaken:.3f} |"


def matched_scores(
    random: np.random.Generator,
    n_sets: int,
    specific: float,
    of_pairs: float,
    of_sets: float,
    of_queries: float,
    of_all: float,
    n_queries: int = 50,
) -> Float[np.ndarray, "sets sets queries"]:
    """Scores with a mean of one on the diagonal, of which `specific` is specific: more of it by set, and by query."""
    draw = random.standard_normal
    main = 0.1 * (draw((n_sets, 1, 1)) + draw((1, n_sets, 1))) + 0.2 * draw((1, 1, n_queries))
    more = specific + of_sets * draw((n_sets, 1, 1)) + of_queries * draw((1, 1, n_queries))
    rest = of_pairs * draw((n_sets, n_sets, 1)) + of_all * draw((n_sets, n_sets, n_queries))
    return 1 - specific + main + rest + np.eye(n_sets)[:, :, None] * more


if __name__ == "__main__":
    main()
