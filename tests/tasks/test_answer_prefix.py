"""What stands between text and answer: in Chinese nothing, behind a line break nothing, else a space."""

from pathlib import Path
from typing import Any

import pytest

from demograd.errors import UserError
from demograd.study import make_study
from demograd.study.language_model.load_tasks import load_tasks
from demograd.tasks import Task, load_task

WORDS = {"0": "差", "1": "好"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.csv"
    path.write_text("text,label\n" + "".join(f"第{number}部电影,{number % 2}\n" for number in range(40)), "utf-8")
    return path


def texts(task: Task, tokenizer: Any) -> tuple[str, str]:
    """A whole prompt with its first candidate, and a training sequence, both without BOS."""
    demonstrations = task.demonstrations(2)
    prompts = task.prompts(tokenizer, task.queries(1), demonstrations)
    (sequence, _) = task.training_sequences(tokenizer, demonstrations)
    whole = [*prompts.context[1:], *prompts.queries[0], *prompts.candidates[0]]
    return tokenizer.decode(whole), tokenizer.decode(sequence.tokens[1:])


@pytest.mark.parametrize(
    ("template", "prefix"),
    [("评论：{text}情感：", ""), ("Review: {text}\nAnswer:\n", ""), ("{text} =", "\n"), ("{text} =", " ")],
)
def test_it_stands_in_prompts_and_training_sequences(template: str, prefix: str, file: Path, tokenizer: Any) -> None:
    task = load_task(file, template=template, label_words=WORDS, answer_prefix=prefix)
    prompt, sequence = texts(task, tokenizer)
    first = task.demonstrations(2)[0]
    assert sequence == task.text(first) + prefix + task.label_words[first.label]
    assert prompt.startswith(sequence + "\n")
    assert prompt.endswith(task.text(task.queries(1)[0]) + prefix + "差")


def test_it_is_part_of_what_a_task_is(file: Path) -> None:
    tasks = [
        load_task(file, template="{text} =", label_words=WORDS, answer_prefix=prefix) for prefix in (" ", "", "\n")
    ]
    assert len({task.fingerprint for task in tasks}) == 3
    assert tasks[0].fingerprint == load_task(file, template="{text} =", label_words=WORDS).fingerprint


@pytest.mark.parametrize("template", ["{text} ", "{text}\n"])
def test_white_space_on_both_sides_is_refused(template: str, file: Path) -> None:
    with pytest.raises(UserError, match="answer_prefix"):
        load_task(file, template=template, label_words=WORDS)
    with pytest.raises(UserError, match="answer_prefix"):
        load_task(file, template=template, label_words=WORDS, answer_prefix="\n")


def test_a_study_sets_it_for_its_tasks(file: Path) -> None:
    file.write_text(
        "text,label\n" + "".join(f"film {number},{'neg' if number % 2 else 'pos'}\n" for number in range(40))
    )
    study = make_study(
        {
            "tasks": [f"mr={file}", "subj"],
            "label_words": ["差", "好"],
            "answer_prefix": "",
            "methods": [],
            "measures": ["sparsity"],
        }
    )
    _, tasks = load_tasks(study, print)
    assert {task.answer(0) for task in tasks.values()} == {"差"}


def test_answers_that_melt_into_the_text_are_refused_as_ever(file: Path, tokenizer: Any) -> None:
    """Without a space a word may join the text's last token."""
    task = load_task(file, template="{text} th", label_words={"0": "e", "1": "is"}, answer_prefix="")
    with pytest.raises(UserError, match="cleanly"):
        task.prompts(tokenizer, task.queries(1))
