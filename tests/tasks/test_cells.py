"""What a cell may be: text, or what is plainly written as text; and what numbers of classes mean."""

import datetime
import json
from decimal import Decimal

import datasets
import pyarrow
import pyarrow.parquet
import pytest

from demograd.errors import UserError
from demograd.tasks import load_task

TEMPLATE, WORDS = "Review: {text} Sentiment:", {"bad": "Negative", "good": "Positive"}
N = 30


def parquet(path, text, label=None, names=None, **columns):
    rows = {"text": text, "label": label or [("bad", "good")[i % 2] for i in range(N)], **columns}
    if names is None:
        pyarrow.parquet.write_table(pyarrow.table(rows), path)
    else:
        data = datasets.Dataset.from_dict(rows).cast_column("label", datasets.ClassLabel(names=names))
        data.to_parquet(path)
    return path


def texts(task):
    return {e.fields["text"] for pool in (task.pools.training, task.pools.tuning, task.pools.queries) for e in pool}


@pytest.mark.parametrize(
    ("cells", "first"),
    [
        ([f"größer {i}".encode() for i in range(N)], "größer 0"),
        ([i + 0.5 for i in range(N)], "0.5"),
        ([float(i) for i in range(N)], "0"),
        ([datetime.date(2024, 1, 1 + i) for i in range(N)], "2024-01-01"),
        ([datetime.datetime(2024, 1, 1 + i, 7, 30) for i in range(N)], "2024-01-01T07:30:00"),
        ([Decimal(i) / 4 + Decimal("0.00") for i in range(N)], "0.00"),
    ],
)
def test_what_is_plainly_text_is_written_so(tmp_path, cells, first):
    assert first in texts(load_task(parquet(tmp_path / "a.parquet", cells), template=TEMPLATE, label_words=WORDS))


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ({"en": "film"}, r"1 row has an object in column 'text' \(data row 4\).*text\.en"),
        (["film"], r"1 row has a list in column 'text' \(data row 4\).*text\.0"),
        (b"gr\xf6\xdfer", r"1 row has bytes that are no UTF-8 in column 'text' \(data row 4\)"),
        ({"bytes": "iVBORw0KGgo=", "path": None}, r"an object in column 'text'"),
        (None, r"1 row has nothing in column 'text' \(data row 4\)"),
        (float("nan"), r"1 row has nothing in column 'text' \(data row 4\)"),
    ],
)
def test_what_is_no_text_is_refused_with_its_column_and_row(tmp_path, cell, message):
    cells = [f"film {i}".encode() for i in range(N)] if isinstance(cell, bytes) else [1.0] * N
    if isinstance(cell, dict | list) or cell is None:
        path = tmp_path / "a.jsonl"
        rows = [{"text": f"film {i}", "label": ("bad", "good")[i % 2]} for i in range(N)]
        rows[3]["text"] = cell
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        cells[3] = cell
        path = parquet(tmp_path / "a.parquet", cells)
    with pytest.raises(UserError, match=message):
        load_task(path, template=TEMPLATE, label_words=WORDS)


def test_a_dotted_column_is_what_is_nested(tmp_path):
    nested = [{"en": f"film {i}", "de": [f"Film {i}", "x"]} for i in range(N)]
    path = parquet(tmp_path / "a.parquet", nested)
    task = load_task(path, template="{text.en} or {text.de.0}:", label_words=WORDS)
    number = task.queries(1)[0].fields["text.en"].split()[1]
    assert task.text(task.queries(1)[0]) == f"film {number} or Film {number}:"
    for template in ("{text.fr}:", "{text.en.x}:"):
        with pytest.raises(UserError, match="has no column"):
            load_task(path, template=template, label_words=WORDS)


FILMS = [f"film {i}" for i in range(N)]
NUMBERS = [i % 2 for i in range(N)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"good": "Positive", "bad": "Negative"}, ("Positive", "Negative")),
        ({1: "Positive", 0: "Negative"}, ("Positive", "Negative")),
        (["Negative", "Positive"], ("Negative", "Positive")),
    ],
)
def test_class_names_in_a_parquet_file_say_what_its_numbers_mean(tmp_path, words, expected):
    task = load_task(
        parquet(tmp_path / "a.parquet", FILMS, NUMBERS, ["bad", "good"]), template=TEMPLATE, label_words=words
    )
    assert task.label_words == expected
    for query in task.pools.queries:
        odd = int(query.fields["text"].split()[1]) % 2
        assert task.label_words[query.label] == ("Negative", "Positive")[odd]
    assert any("0 (bad) is Negative, 1 (good) is Positive" in note for note in task.notes)


def test_words_that_are_the_class_names_in_another_order_are_not_guessed_at(tmp_path):
    path = parquet(tmp_path / "a.parquet", FILMS, NUMBERS, ["bad", "good"])
    with pytest.raises(UserError, match=r"could mean either.*'bad': 'Good'|another order.*mapping"):
        load_task(path, template=TEMPLATE, label_words=["Good", "Bad"])


@pytest.mark.parametrize("words", [WORDS, ["Negative", "Positive"]])
def test_a_second_file_that_numbers_its_classes_otherwise_is_read_by_their_names(tmp_path, words):
    path = parquet(tmp_path / "a.parquet", FILMS, NUMBERS, ["bad", "good"])
    queries = parquet(tmp_path / "b.parquet", [f"asked {i}" for i in range(N)], NUMBERS, ["good", "bad"])
    task = load_task(path, validation_path=queries, template=TEMPLATE, label_words=words)
    assert all(e.label == 1 - int(e.fields["text"].split()[1]) % 2 for e in task.pools.queries)
    assert all(e.label == int(e.fields["text"].split()[1]) % 2 for e in task.pools.training)


def test_rows_without_a_gold_label_are_left_out_and_counted(tmp_path):
    numbers = [-1 if i in (3, 4) else i % 2 for i in range(N)]
    films = ["" if i == 3 else text for i, text in enumerate(FILMS)]
    by_name = load_task(
        parquet(tmp_path / "a.parquet", films, numbers, ["bad", "good"]), template=TEMPLATE, label_words=WORDS
    )
    assert len(texts(by_name)) == N - 2
    assert any("2 of 30 rows" in note and "no gold label" in note for note in by_name.notes)
    with pytest.raises(UserError, match=r"'-1' \(2 rows\); data row 4, 5"):
        load_task(
            parquet(tmp_path / "b.parquet", FILMS, numbers), template=TEMPLATE, label_words=["Negative", "Positive"]
        )


@pytest.mark.parametrize(
    "words", [["Negative", "Positive"], {0: "Negative", 1: "Positive"}, {True: "Positive", False: "Negative"}]
)
@pytest.mark.parametrize("label", [bool, float, int, str, lambda y: str(bool(y)), lambda y: f"{y}.00"])
def test_a_label_is_the_same_however_it_is_typed(tmp_path, words, label):
    path = parquet(tmp_path / "a.parquet", FILMS, [label(y) for y in NUMBERS])
    task = load_task(path, template=TEMPLATE, label_words=words)
    for query in task.pools.queries:
        odd = int(query.fields["text"].split()[1]) % 2
        assert task.label_words[query.label] == ("Negative", "Positive")[odd]


def csv(path, rows):
    path.write_text("text,label\n" + "".join(f"{t},{y}\n" for t, y in rows))
    return path


def test_repeated_and_contradictory_texts_are_counted(tmp_path):
    rows = [(f"film {i}", ("bad", "good")[i % 2]) for i in range(40)]
    assert load_task(csv(tmp_path / "a.csv", rows), template=TEMPLATE, label_words=WORDS).notes == ()
    rows += [("Film 3!", "good"), ("FILM  4", "good"), ("film 5", "good")]
    (note,) = load_task(csv(tmp_path / "a.csv", rows), template=TEMPLATE, label_words=WORDS).notes
    assert "Of the 43 examples of a" in note and "3 repeat another" in note
    assert "2 have a text that comes with different labels" in note  # film 4 and its copy


def test_queries_that_may_be_demonstrated_but_for_punctuation_are_counted(tmp_path):
    rows = [(f"film {i}", ("bad", "good")[i % 2]) for i in range(40)]
    queries = [("Film 1.", "good"), ("film 2", "bad"), ("another", "good")]
    task = load_task(
        csv(tmp_path / "a.csv", rows),
        validation_path=csv(tmp_path / "b.csv", queries),
        template=TEMPLATE,
        label_words=WORDS,
    )
    (note,) = task.notes
    assert "1 of the queries have a text that may also be demonstrated" in note and "1 are left out" in note
    with pytest.raises(UserError, match=r"All 40 texts of file .*a\.csv are also in file .*a\.csv"):
        load_task(tmp_path / "a.csv", validation_path=tmp_path / "a.csv", template=TEMPLATE, label_words=WORDS)
