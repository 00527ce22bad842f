"""Which examples are shown, tuned on and asked about, and the controls."""

from collections import Counter

import pytest

from demograd.errors import UserError
from demograd.tasks import Example, permute_labels
from demograd.tasks.pools import split


def texts(examples):
    return [example.fields["text"] for example in examples]


@pytest.mark.parametrize("name", ["sst2", "sst5", "mr", "subj", "trec", "agnews"])
def test_no_text_is_in_two_pools(benchmark, name):
    pools = benchmark(name).pools
    training, tuning, queries = set(texts(pools.training)), set(texts(pools.tuning)), set(texts(pools.queries))
    assert not training & tuning and not training & queries and not tuning & queries
    assert len(pools.queries) == (1984 if name == "trec" else 2000)
    assert len(pools.tuning) == 500


def test_a_repeated_text_stays_out_of_the_demonstrations():
    rows = [Example({"text": f"t{i % 10}"}, i % 2) for i in range(60)]
    pools = split(rows)
    assert len(pools.queries) == 20
    assert not set(texts(pools.training)) & set(texts(pools.queries))


def test_a_source_with_its_own_validation_split_is_asked_about_that():
    training = [Example({"text": f"t{i}"}, i % 2) for i in range(60)] + [Example({"text": "v3"}, 0)]
    validation = [Example({"text": f"v{i}"}, i % 2) for i in range(3000)]
    pools = split(training, validation)
    assert len(pools.queries) == 2000 and set(texts(pools.queries)) <= set(texts(validation))
    assert len(pools.tuning) == 6
    is_query = "v3" in texts(pools.queries)
    assert ("v3" in texts(pools.training) + texts(pools.tuning)) is not is_query


def test_the_split_and_the_draws_never_change(mr):
    # A published seed must mean the same examples on every machine and in every later version.
    assert mr.fingerprint == "df32612f80d7e432ee23f1338ae61be9b387956b85c52498b94c02e722844a49"
    first, second = texts(mr.demonstrations(k=2, seed=0))
    assert first == "it's a solid movie about people whose lives are anything but ."
    assert second == "indifferently implausible popcorn programmer of a movie ."
    assert texts(mr.queries(n=1))[0].startswith("while cherish doesn't completely survive its tonal")


def test_queries_are_the_same_whatever_is_demonstrated(mr):
    before = mr.queries(n=50)
    mr.demonstrations(k=8, seed=5)
    assert mr.queries(n=50) == before
    assert mr.queries(n=20) == before[:20]
    assert mr.queries(n=50, seed=2) != before
    assert not set(texts(mr.queries(n=2000))) & set(texts(mr.tuning_queries(n=500)))


def test_seeds_give_different_demonstrations_and_more_of_them_begin_with_the_same(mr):
    assert mr.demonstrations(16, seed=0) != mr.demonstrations(16, seed=1)
    assert mr.demonstrations(32, seed=0)[:16] == mr.demonstrations(16, seed=0)


def test_draws_are_uniform_over_the_pool(mr):
    counts = Counter(text for seed in range(60) for text in texts(mr.demonstrations(1000, seed)))
    # 6,030 examples, each expected 60 · 1000 / 6030 = 9.95 times, standard deviation 2.9
    assert len(counts) == 6030 and max(counts.values()) < 25


@pytest.mark.parametrize("k", [1, 7, 12, 16])
def test_a_balanced_draw_shows_every_class_as_often_as_any_other(benchmark, k):
    trec = benchmark("trec")
    counts = Counter(example.label for example in trec.demonstrations(k, seed=3, balanced=True))
    assert sum(counts.values()) == k
    assert max(counts.values()) - min(counts[label] for label in range(6)) <= 1


def test_every_order_has_the_same_demonstrations_and_no_two_orders_are_equal(mr):
    orders = [mr.demonstrations(4, seed=0, permutation=number) for number in range(24)]
    assert len({tuple(texts(order)) for order in orders}) == 24
    assert {frozenset(texts(order)) for order in orders} == {frozenset(texts(orders[0]))}
    with pytest.raises(UserError, match="no more orders"):
        mr.demonstrations(4, seed=0, permutation=24)
    with pytest.raises(UserError, match="Order number -1"):
        mr.demonstrations(2000, seed=0, permutation=-1)
    with pytest.raises(UserError, match="a number below 10,000"):
        mr.demonstrations(16, seed=0, permutation=50_000_000)


@pytest.mark.parametrize(
    "counts", [(15, 15), (10, 10, 10), (5,) * 6, (4, 3, 1), (2, 2, 3, 1), (4, 1, 1, 2), (1, 1), (0, 3, 3)]
)
def test_permuted_labels_are_all_wrong_and_keep_the_counts_of_the_classes(counts):
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    shown = [Example({"text": str(i)}, label) for i, label in enumerate(labels)]
    for seed in range(20):
        wrong = permute_labels(shown, len(counts), seed)
        assert texts(wrong) == texts(shown)
        assert all(a.label != b.label for a, b in zip(shown, wrong, strict=True))
        assert Counter(example.label for example in wrong) == Counter(labels)
        if len({count for count in counts if count}) == 1:  # each class is called by one other name
            assert len({(a.label, b.label) for a, b in zip(shown, wrong, strict=True)}) == len(set(labels))


@pytest.mark.parametrize(
    ("counts", "permuted"),
    [((5, 3), (3, 5)), ((4, 0), (0, 4)), ((5, 1, 1), (2, 2, 3)), ((6, 0, 0), (0, 3, 3)), ((0, 7, 1), (4, 1, 3))],
)
def test_where_one_class_has_more_than_half_wrong_labels_come_as_near_as_they_can(counts, permuted):
    """The class of the most loses what it must, no more, and the others share that evenly."""
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    shown = [Example({"text": str(i)}, label) for i, label in enumerate(labels)]
    for seed in range(20):
        wrong = permute_labels(shown, len(counts), seed)
        assert all(a.label != b.label for a, b in zip(shown, wrong, strict=True))
        wrong_counts = Counter(example.label for example in wrong)
        assert wrong_counts[labels[0] if counts[0] > 1 else 1] == permuted[labels[0] if counts[0] > 1 else 1]
        assert sorted(wrong_counts.values()) == sorted(count for count in permuted if count)


def test_permuted_labels_do_not_depend_on_the_order_of_the_demonstrations():
    shown = [Example({"text": str(i)}, label) for i, label in enumerate((0, 0, 1, 1, 2, 2, 2, 3))]
    by_text = {example.fields["text"]: example.label for example in permute_labels(shown, 4, 5)}
    assert {example.fields["text"]: example.label for example in permute_labels(shown[::-1], 4, 5)} == by_text


def test_impossible_counts_name_what_there_is(mr):
    for ask in (lambda: mr.demonstrations(6031), lambda: mr.demonstrations(9000, balanced=True)):
        with pytest.raises(UserError, match="6030"):
            ask()
    with pytest.raises(UserError, match="2000"):
        mr.queries(2001)
    with pytest.raises(UserError, match="500"):
        mr.tuning_queries(501)
    for ask in (lambda: mr.demonstrations(0), lambda: mr.queries(0), lambda: mr.demonstrations(-1)):
        with pytest.raises(UserError, match="at least 1"):
            ask()
    with pytest.raises(UserError, match="Seed -1"):
        mr.queries(3, seed=-1)
    with pytest.raises(UserError, match="class 0"):
        mr.demonstrations(6029, balanced=True)
    with pytest.raises(UserError, match="at least two"):
        permute_labels(mr.demonstrations(2), 1, seed=0)
