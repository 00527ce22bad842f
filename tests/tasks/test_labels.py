"""Gold, abstract and random labels part what ICL recognises from what it learns."""

from collections import Counter
from dataclasses import replace

import pytest

from demograd.errors import UserError
from demograd.tasks import Task, load_task, task_names
from demograd.tasks.sources.built_in import built_in_tasks
from demograd.words import Labels

PACKAGED = [name for name in task_names() if built_in_tasks()[name].staicc]


@pytest.fixture
def fruit(tmp_path):
    path = tmp_path / "fruit.csv"
    path.write_text("text,label\n" + "".join(f"fruit {i},{('pear', 'plum', 'fig')[i % 3]}\n" for i in range(90)))
    return load_task(path, template="Pear, or what is {text}?", label_words=["pear", "plum", "fig"])


@pytest.mark.parametrize("name", PACKAGED)
def test_abstract_labels_are_the_first_letters_behind_the_same_texts_and_classes(benchmark, tokenizer, name):
    gold = benchmark(name)
    abstract = gold.with_labels("abstract", seed=1)
    assert sorted(abstract.label_words) == list("ABCDEF"[: len(gold.label_words)])
    assert abstract.demonstrations(8, 2) == gold.demonstrations(8, 2)
    assert abstract.queries(8) == gold.queries(8)
    prompts = abstract.prompts(tokenizer, abstract.queries(20), abstract.demonstrations(8))
    assert [len(candidate) for candidate in prompts.candidates] == [1] * len(gold.label_words)


@pytest.mark.parametrize("name", task_names())
def test_abstract_templates_of_built_in_tasks_name_no_class(name):
    row = built_in_tasks()[name]
    template = (row.abstract_template or row.template).lower()
    assert not [word for word in row.label_words if word.lower() in template]


def test_letters_are_dealt_by_the_seed_alone(benchmark):
    trec = benchmark("trec")
    deals = [trec.with_labels("abstract", seed).label_words for seed in range(60)]
    assert deals == [trec.with_labels(Labels.ABSTRACT, seed).label_words for seed in range(60)]
    # each of six letters goes to class 0 in 10 of 60 deals, standard deviation 2.9
    assert set(Counter(deal[0] for deal in deals)) == set("ABCDEF")
    assert max(Counter(deal[0] for deal in deals).values()) < 25


def test_abstract_labels_take_out_an_instruction_that_names_the_classes(benchmark):
    news = benchmark("agnews").with_labels("abstract")
    assert news.template == "Article: {text} Answer:"
    assert "'Article: {text} Answer:', which does not name the classes" in news.notes[-1]
    assert all(
        f"{word} is {letter}" in news.notes[-1]
        for word, letter in zip(benchmark("agnews").label_words, news.label_words, strict=True)
    )


def test_a_template_of_the_users_own_is_kept_and_a_note_says_so(fruit, benchmark):
    abstract = fruit.with_labels("abstract")
    assert abstract.template == fruit.template
    assert "the template is kept, though it names pear" in abstract.notes[-1]
    assert "the template is kept." in benchmark("trec").with_labels("abstract").notes[-1]
    own = load_task("agnews", template="World? {text} Answer:").with_labels("abstract")
    assert own.template == "World? {text} Answer:" and "though it names World" in own.notes[-1]


def test_random_labels_are_drawn_for_demonstrations_and_never_for_queries(benchmark):
    gold = benchmark("trec")
    randomised = gold.with_labels("random")
    assert randomised.queries(50) == gold.queries(50) and randomised.tuning_queries(50) == gold.tuning_queries(50)
    assert randomised.label_words == gold.label_words and randomised.template == gold.template
    demonstrations = randomised.demonstrations(600, 3)
    before = gold.demonstrations(600, 3)
    assert [example.fields for example in demonstrations] == [example.fields for example in before]
    # a sixth of 600 labels is right by chance: 100, standard deviation 9; and 100 labels of each class
    right = sum(a.label == b.label for a, b in zip(demonstrations, before, strict=True))
    assert 60 < right < 140
    assert all(60 < count < 140 for count in Counter(example.label for example in demonstrations).values())
    assert "are random" in randomised.notes[-1]


def test_random_labels_belong_to_the_set_and_stay_with_their_texts(benchmark):
    randomised = benchmark("trec").with_labels("random")
    first = randomised.demonstrations(30, 0)
    assert randomised.demonstrations(30, 0) == first
    other_order = randomised.demonstrations(30, 0, permutation=1)
    assert other_order != first and {id_of(e): e.label for e in other_order} == {id_of(e): e.label for e in first}
    labels = [[e.label for e in set_] for set_ in (first, randomised.demonstrations(30, 1))]
    assert labels[0] != labels[1]
    reseeded = benchmark("trec").with_labels("random", seed=1).demonstrations(30, 0)
    assert [e.label for e in reseeded] != labels[0]
    sets = randomised.demonstration_sets(12, [4, 5])
    assert sets[0] == randomised.demonstrations(12, 4, balanced=True)


def id_of(example):
    return example.fields["text"]


def test_labels_are_part_of_the_fingerprint(benchmark):
    trec = benchmark("trec")
    tasks: list[Task] = [trec] + [
        trec.with_labels(labels, seed) for labels in ("abstract", "random") for seed in (0, 1)
    ]
    tasks += [replace(task, answer_prefix="") for task in tasks]
    assert len({task.fingerprint for task in tasks}) == len(tasks)
    assert trec.with_labels("gold") is trec


def test_labels_that_cannot_be_are_refused(fruit, tmp_path):
    with pytest.raises(UserError, match="Unknown labels 'flipped'"):
        fruit.with_labels("flipped")
    with pytest.raises(UserError, match="with abstract labels"):
        fruit.with_labels("abstract").with_labels("gold")
    with pytest.raises(UserError, match="Seed -1"):
        fruit.with_labels("abstract", seed=-1)
    path = tmp_path / "many.csv"
    path.write_text("text,label\n" + "".join(f"t{i},{i % 27}\n" for i in range(100)))
    many = load_task(path, template="{text}:", label_words=[f"word{i}" for i in range(27)])
    with pytest.raises(UserError, match="at most 26 classes"):
        many.with_labels("abstract")
    assert many.with_labels("random").demonstrations(3)
