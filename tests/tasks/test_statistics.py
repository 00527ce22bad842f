"""Sizes and token counts of tasks, as the tokenizer of the default model counts."""

import math
import random
import statistics

import pytest

from demograd.tasks import Example, Task, task_statistics
from demograd.tasks.pools import Pools
from demograd.tasks.statistics import DRAWS, Fitting


def small_task():
    """Words of one token each, so that lengths can be counted by eye: "a a:" and " Yes" are 3 + 1 tokens."""

    def pool(lengths, labels):
        texts = [" ".join(["a"] * n) for n in lengths]
        return tuple(Example({"text": text}, label) for text, label in zip(texts, labels, strict=True))

    pools = Pools(training=pool([2, 2, 4], [0, 1, 1]), tuning=pool([8], [1]), queries=pool([3, 6], [0, 1]))
    return Task("small", "{text}:", ("Yes", "No"), "here", pools)


def test_tokens_are_those_of_text_and_answer(tokenizer):
    task = small_task()
    assert len(tokenizer("a a: Yes", add_special_tokens=False)["input_ids"]) == 4
    statistics = task_statistics(task, tokenizer)
    assert (statistics.training, statistics.tuning, statistics.queries) == (3, 1, 2)
    assert math.isclose(statistics.class_shares[0], 1 / 3) and math.isclose(sum(statistics.class_shares), 1)
    # 4 4 6 | 10 | 5 8
    assert (statistics.tokens.examples, statistics.tokens.max, statistics.tokens.median) == (6, 10, 5.5)
    assert math.isclose(statistics.tokens.mean, 37 / 6) and math.isclose(statistics.tokens.percentile_95, 9.5)
    assert statistics.fitting is None


@pytest.mark.parametrize(("window", "fewest"), [(25, 2), (26, 3), (20, 1), (18, 1), (15, 0)])
def test_what_fits_is_counted_with_bos_separators_and_the_longest_query(tokenizer, window, fewest):
    # BOS 1, the longest query 7 and an answer 1; demonstrations take 5, 5 and 7 tokens with their separators
    statistics = task_statistics(small_task(), tokenizer, window)
    assert statistics.fitting is not None and statistics.fitting.fewest == fewest


def test_a_study_fits_as_many_as_the_statistics_say(tokenizer):
    rng = random.Random(0)
    lengths = [[rng.randint(2, 12) for _ in range(30)] for _ in range(2)]
    training, queries = (tuple(Example({"text": " ".join("a" * n)}, n % 2) for n in sizes) for sizes in lengths)
    task = Task("small", "{text}:", ("Yes", "No"), "here", Pools(training, (), queries))
    fitting = [
        len(task.fitting_demonstrations(tokenizer, queries, task.demonstrations(30, seed=seed), 100))
        for seed in range(DRAWS)
    ]
    assert 1 < min(fitting) < max(fitting) < 30
    assert task_statistics(task, tokenizer, 100).fitting == Fitting(min(fitting), statistics.median(fitting))
