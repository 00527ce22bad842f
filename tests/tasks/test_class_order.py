"""A wrong class order would be a silent error of science: real rows whose class nobody doubts decide it."""

from functools import cache

import pytest

from demograd.tasks.sources.built_in import built_in_tasks
from demograd.tasks.sources.staicc import read_staicc

read = cache(read_staicc)

# Per task: the label word that an unmistakable row must have.
UNMISTAKABLE = {
    "sst2": {
        "terrible": "Negative",
        "awful": "Negative",
        "a complete waste of time": "Negative",
        "wonderful": "Positive",
        "brilliant": "Positive",
        "the best film": "Positive",
    },
    "sst5": {
        "truly terrible .": "terrible",
        "it 's still terrible !": "terrible",
        "the worst film of the year .": "terrible",
        "a complete waste of time .": "bad",
        "it plods along methodically , somehow under the assumption": "bad",
        "a respectable venture on its own terms , lacking the broader vision": "neutral",
        "many of the effective horror elements are dampened through familiarity": "neutral",
        "malcolm mcdowell is cool .": "good",
        "a modest masterpiece .": "good",
        "it 's a masterpiece .": "great",
        "adaptation is simply brilliant .": "great",
        "a stirring tribute to the bravery and dedication": "great",
    },
    "mr": {
        "truly terrible .": "Negative",
        "the worst film of the year .": "Negative",
        "a loud , witless mess that has none of the charm": "Negative",
        "it's a masterpiece .": "Positive",
        "adaptation is simply brilliant .": "Positive",
        "invincible is a wonderful movie .": "Positive",
    },
    "subj": {
        "one day , lilja falls in love with andrej .": "objective",
        "keith discovers a new man and a new attitude .": "objective",
        "in the bank vault the young man discovers his name , jason bourne .": "objective",
        "the vistas are sweeping and the acting is far from painful .": "subjective",
        "a film full of vivid characters , quiet beauty and gentle grace .": "subjective",
        "the story and characters are nowhere near gripping enough .": "subjective",
    },
    "agnews": {
        "Car Bombs Kill Five Troops in Iraq": "World",
        "Sharon Says Rejected U.S. Bid for Talks with Syria": "World",
        "GERMAN COURTS: NY-based rights group pushes war crimes probe": "World",
        "Sharapova triumphs at Korea Open": "Sports",
        "Phelps Wins Second Gold Medal, in 200 Fly": "Sports",
        "Former Predators Center Zholtok Dies": "Sports",
        "Colgate-Palmolive Washed Away The consumer products firm issues a profit warning": "Business",
        "Marsh, Aon Trail on Board Independence": "Business",
        "Calif. insurance commish sues MetLife, Pru": "Business",
        "Electronic Nose NASA researchers": "Technology",
        "AMD launches Sempron for low power notebooks": "Technology",
        "GNOME: We have feature parity with Windows": "Technology",
    },
    "trec": {
        "What does NAFTA stand for ?": "Expression",
        "What does MSG stand for ?": "Expression",
        "What does the abbreviation SOS mean ?": "Expression",
        "What was the species of Winnie the Pooh ?": "Entity",
        "What color tennis balls are used at Wimbledon ?": "Entity",
        "What is a film starring Jude Law ?": "Entity",
        "What are solar cells ?": "Description",
        "Why was the zipper invented ?": "Description",
        "What is an obtuse angle ?": "Description",
        "Who is the president of Stanford University ?": "Person",
        "Who invented the toothbrush ?": "Person",
        "Who killed John F. Kennedy ?": "Person",
        "Where is the Danube ?": "Location",
        "What are the world 's four oceans ?": "Location",
        "What state was named the Green Mountain state ?": "Location",
        "How many bones are there in the human hand ?": "Number",
        "When did Charles Lindbergh die ?": "Number",
        "How many lakes are there on the Earth ?": "Number",
    },
}


@pytest.mark.parametrize("name", UNMISTAKABLE)
def test_rows_whose_class_nobody_doubts_have_the_right_word(name):
    task = built_in_tasks()[name]
    table = read(task.staicc)
    rows = list(zip(table.columns["text"], table.columns["label"], strict=True))
    for start, word in UNMISTAKABLE[name].items():
        whole = [label for text, label in rows if text.strip() == start]
        labels = whole or [label for text, label in rows if text.startswith(start)]
        assert {task.label_words[label] for label in labels} == {word}, start


@pytest.mark.parametrize("name", UNMISTAKABLE)
def test_every_class_of_a_package_task_was_looked_at(name):
    assert set(UNMISTAKABLE[name].values()) == set(built_in_tasks()[name].label_words)
    assert set(read(built_in_tasks()[name].staicc).columns["label"]) == set(
        range(len(built_in_tasks()[name].label_words))
    )


def test_every_package_task_is_checked_here():
    assert set(UNMISTAKABLE) == {name for name, task in built_in_tasks().items() if task.staicc}


def test_grades_of_sst5_rise_with_the_share_of_praise():
    table = read("sst5")
    praise = ("best", "great", "wonderful", "brilliant", "moving", "delightful")
    blame = ("worst", "bad", "dull", "awful", "boring", "mess")

    def balance(grade: int) -> float:
        texts = [t for t, label in zip(table.columns["text"], table.columns["label"], strict=True) if label == grade]
        words = [word for text in texts for word in text.split()]
        return sum(w in praise for w in words) / (1 + sum(w in praise or w in blame for w in words))

    shares = [balance(grade) for grade in range(5)]
    assert shares == sorted(shares) and shares[0] < 0.35 and shares[4] > 0.9
