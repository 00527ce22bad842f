"""Another task as a control, and what the released runs did with demonstrations."""

from itertools import combinations

import pytest

from demograd.errors import UserError
from demograd.tasks import Example, load_task, other_task, released_orders, released_queries, task_names
from demograd.tasks.sources.built_in import built_in_tasks
from demograd.tasks.task import DEFAULTS


def test_another_task_is_the_next_that_shares_no_label_word(benchmark):
    study = {name: benchmark(name) for name in ("sst2", "mr", "subj", "trec")}
    assert {name: other_task(name, study) for name in study} == {
        "sst2": "subj",  # mr has the same words
        "mr": "subj",
        "subj": "trec",
        "trec": "sst2",
    }


def test_a_study_without_such_a_task_borrows_one(benchmark, tmp_path):
    assert other_task("mr", {"sst2": benchmark("sst2"), "mr": benchmark("mr")}) == "agnews"
    assert other_task("agnews", {"agnews": benchmark("agnews")}) == "subj"
    path = tmp_path / "news.csv"
    path.write_text("text,label\n" + "".join(f"t{i},{i % 2}\n" for i in range(30)))
    news = load_task(path, template="{text}:", label_words=["Sports", "Other"])
    assert other_task("news.csv", {"news.csv": news}) == "subj"


def test_what_is_borrowed_shares_no_word_with_any_other_built_in_task():
    assert all(built_in_tasks()[name].staicc for name in DEFAULTS)
    for default in DEFAULTS:
        for name in set(task_names()) - {default}:
            assert not set(built_in_tasks()[default].label_words) & set(built_in_tasks()[name].label_words)


def test_released_runs_showed_and_trained_permutations_in_different_orders(mr):
    shown = mr.demonstrations(8, seed=5)
    assert released_orders(shown, seed=5, permutation=0) == (shown, shown)
    by_permutation = {permutation: released_orders(shown, seed=5, permutation=permutation) for permutation in (1, 2)}
    orders = [order for pair in by_permutation.values() for order in pair]
    texts = [tuple(example.fields["text"] for example in order) for order in orders]
    assert all(sorted(order) == sorted(texts[0]) for order in texts)
    assert all(order != another for order, another in combinations(texts, 2))
    with pytest.raises(UserError, match="0 to 4"):
        released_orders(shown, seed=5, permutation=5)


def test_a_released_order_is_numpys_legacy_permutation():
    # after numpy.random.seed(3), the second of five permutations of four is 1 2 0 3, and that of the next five 2 1 3 0
    orders = released_orders([Example({"text": letter}, 0) for letter in "abcd"], seed=3, permutation=1)
    assert ["".join(example.fields["text"] for example in order) for order in orders] == ["bcad", "cbda"]


def test_released_runs_asked_as_many_queries_as_their_validation_data_had():
    counts = {name: released_queries(name) for name in task_names()}
    assert counts == {
        "sst2": 872,
        "sst5": 1101,
        "mr": 1066,
        "subj": 2000,
        "agnews": 2000,
        "cb": 56,
        "trec": None,
        "rte": None,
    }
    assert released_queries("cb=my.jsonl") == 56 and released_queries("my.jsonl") is None
