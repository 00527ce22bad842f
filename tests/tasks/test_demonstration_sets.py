"""Sets for matching share no text, and are otherwise what each seed draws alone."""

from collections import Counter

import pytest

from demograd.errors import UserError
from demograd.tasks import Example, Task
from demograd.tasks.pools import Pools


def texts(examples):
    return [example.fields["text"] for example in examples]


def task_of(labels, pool_texts=None):
    """A task whose training pool has these labels, each on a text of its own unless `pool_texts` are named."""
    pool_texts = pool_texts or [f"t{i}" for i in range(len(labels))]
    training = tuple(Example({"text": text}, label) for text, label in zip(pool_texts, labels, strict=True))
    words = tuple(f"w{label}" for label in range(max(labels) + 1))
    return Task("small", "{text}:", words, "here", Pools(training, (), training[:1]))


@pytest.mark.parametrize("balanced", [False, True])
def test_sets_share_no_text_and_the_first_is_what_its_seed_draws(benchmark, balanced):
    trec = benchmark("trec")
    sets = trec.demonstration_sets(32, range(5, 13), balanced)
    assert sets[0] == trec.demonstrations(32, 5, balanced)
    assert [len(set_) for set_ in sets] == [32] * 8
    assert max(Counter(text for set_ in sets for text in set(texts(set_))).values()) == 1
    # a set differs from its seed's draw only where an earlier set has the text: of 2,582 texts, few are in two draws
    for seed, set_ in zip(range(5, 13), sets, strict=True):
        assert len(set(texts(set_)) & set(texts(trec.demonstrations(32, seed)))) >= 20 or balanced


def test_later_sets_pass_over_what_earlier_ones_have():
    small = task_of([0, 1] * 10)
    first, second = small.demonstration_sets(8, [3, 4], balanced=False)
    alone = texts(small.demonstrations(20, 4))
    assert texts(second) == [text for text in alone if text not in texts(first)][:8]
    assert small.demonstration_sets(8, [3, 4], balanced=False) == [first, second]


def test_a_text_that_the_data_repeats_is_in_one_set_only():
    small = task_of([0, 1] * 12, [f"t{i // 3}" for i in range(24)])
    sets = small.demonstration_sets(2, [0, 1, 2], balanced=False)
    assert max(Counter(text for set_ in sets for text in set(texts(set_))).values()) == 1


@pytest.mark.parametrize("k", [6, 7, 16])
def test_balanced_sets_have_the_same_number_of_each_class(benchmark, k):
    trec = benchmark("trec")
    counts = [Counter(example.label for example in set_) for set_ in trec.demonstration_sets(k, range(8))]
    assert counts == [counts[0]] * 8
    assert max(counts[0].values()) - min(counts[0][label] for label in range(6)) == (k % 6 > 0)


def test_too_little_data_says_how_many_sets_fit():
    small = task_of([0] * 10 + [1] * 7)
    assert len(small.demonstration_sets(4, range(3))) == 3
    with pytest.raises(UserError, match=r"at most 3 such sets.*1 of 2 in class 1"):
        small.demonstration_sets(4, range(8))
    assert len(small.demonstration_sets(4, range(4), balanced=False)) == 4
    with pytest.raises(UserError, match=r"at most 4 such sets.*1 of 4"):
        small.demonstration_sets(4, range(5), balanced=False)
    with pytest.raises(UserError, match="finds only 7 of 8 in class 1"):
        small.demonstration_sets(16, range(2))


def test_a_seed_that_comes_twice_is_refused(mr):
    with pytest.raises(UserError, match="each seed once"):
        mr.demonstration_sets(4, [0, 1, 0])
