"""Any data file gives a task whose prompts can be made, or one message, and nothing is written."""

import csv
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.cli.test_mistakes import call
from tests.searches import examples

from demograd import UserError, load_task
from demograd.errors import LONGEST_MESSAGE
from demograd.models.load import load_tokenizer

QUICK = settings(
    max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
TEMPLATE, WORDS = "Review: {text} Sentiment:", {"bad": "Negative", "good": "Positive"}
NASTY = [
    "=HYPERLINK(1)",
    "+1",
    "@SUM(A1)",
    "-1",
    "\x00",
    "\x1b[31m",
    "\u202eabc",
    "a" * 3000,
    "{text}",
    "{0.__class__}",
    "<|im_end|>",
    "\ud800",
    "NaN",
    "nan",
    "None",
    "",
    " ",
    "\n",
    '"',
    "é",
    "🙂",
    "\ufeff",
    "</script>",
]
CELLS = st.one_of(st.sampled_from(NASTY), st.text(max_size=8))
LABELS = st.one_of(st.sampled_from(["bad", "good", "bad", "good", "ugly", "", "0"]), CELLS)
COLUMNS = st.sampled_from(["text", "label", "Text", "text ", "x", "", "label"])


def is_task_or_message(path: Path, tokenizer: Any) -> bool:
    """Whether the file is a task; otherwise its message must be readable."""
    try:
        task = load_task(path, template=TEMPLATE, label_words=WORDS)
        demonstrations, queries = task.demonstrations(2, 0), task.queries(1)
        prompts = task.prompts(tokenizer, queries, demonstrations)
        assert prompts.queries and task.training_sequences(tokenizer, demonstrations)
    except UserError as error:
        assert 0 < len(str(error)) <= LONGEST_MESSAGE and str(error).encode(), str(error)
        return False
    return True


@pytest.fixture(scope="module")
def tokenizer(small_model: Path) -> Any:
    return load_tokenizer(str(small_model))[0]


def of_file(name: str, content: bytes, tokenizer: Any) -> bool:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        result = is_task_or_message(path, tokenizer)
        assert [file.name for file in Path(folder).iterdir()] == [name]
        return result


@QUICK
@given(content=st.binary(max_size=200), suffix=st.sampled_from([".csv", ".jsonl", ".parquet"]))
def test_any_bytes(content: bytes, suffix: str, tokenizer: Any) -> None:
    assert not of_file(f"mine{suffix}", content, tokenizer)


@QUICK
@given(
    rows=st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=8),
    header=st.lists(COLUMNS, max_size=4),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
)
def test_any_rows_of_a_csv_file(rows: list[list[str]], header: list[str], encoding: str, tokenizer: Any) -> None:
    written = io.StringIO()
    csv.writer(written).writerows([header, *rows])
    of_file("mine.csv", written.getvalue().encode(encoding, errors="replace"), tokenizer)


@QUICK
@example(rows=[{"text": "a" * 3000, "label": "a" * 3000 + str(number)} for number in range(12)])
@example(rows=[{"text": "film", "label": "a" * 3000}] * 2)
@given(rows=st.lists(st.fixed_dictionaries({"text": CELLS | st.none() | st.integers(), "label": LABELS}), max_size=60))
def test_any_texts_and_labels_of_a_jsonl_file(rows: list[dict[str, Any]], tokenizer: Any) -> None:
    of_file("mine.jsonl", "\n".join(map(json.dumps, rows)).encode(), tokenizer)


@QUICK
@given(texts=st.lists(CELLS, min_size=40, max_size=60, unique=True))
def test_texts_of_any_kind_with_labels_that_fit(texts: list[str], tokenizer: Any) -> None:
    rows = [{"text": text, "label": ("bad", "good")[number % 2]} for number, text in enumerate(texts)]
    of_file("mine.jsonl", "\n".join(map(json.dumps, rows)).encode(), tokenizer)


@QUICK
@given(cut=st.integers(0, 1500), at=st.integers(0, 1499), byte=st.integers(0, 255))
def test_a_damaged_parquet_file(cut: int, at: int, byte: int, tokenizer: Any) -> None:
    written = io.BytesIO()
    labels = ["bad", "good"] * 30
    pyarrow.parquet.write_table(pa.table({"text": [f"film {n}" for n in range(60)], "label": labels}), written)
    content = bytearray(written.getvalue())
    content[at % len(content)] = byte
    of_file("mine.parquet", bytes(content[: len(content) - cut % len(content)]), tokenizer)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (pa.array([[1]] * 60), []),
        (pa.array([b"\xff\xfe"] * 60), []),
        (pa.array([{"a": 1}] * 60), []),
        (pa.array([1.5] * 60), []),
        (pa.array([None] * 60), ["nothing in column 'text'"]),
    ],
)
def test_parquet_columns_of_other_types(column: pa.Array, words: list[str], tokenizer: Any, tmp_path: Path) -> None:
    pyarrow.parquet.write_table(pa.table({"text": column, "label": ["bad", "good"] * 30}), tmp_path / "mine.parquet")
    try:
        load_task(tmp_path / "mine.parquet", template=TEMPLATE, label_words=WORDS)
    except UserError as error:
        assert all(word in str(error) for word in words), str(error)
    else:
        assert not words


ROWS = [{"text": f"film {number}", "label": ("bad", "good")[number % 2]} for number in range(60)]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("mine.csv", b"", ["is empty"]),
        ("mine.csv", b"text,label\n", ["is empty"]),
        ("mine.csv", b"text,text\na,b\n", ["same name"]),
        ("mine.csv", b"txt,label\na,bad\nb,good\n", ["'text'", "'txt'"]),
        ("mine.csv", b"text,label\na\n", ["line 2", "1 cells"]),
        ("mine.csv", b'text,label\n"' + b"x" * 200_000 + b'"x,bad\n', ["cannot be read as CSV"]),
        ("mine.csv", "text,label\ngrößer,bad\n".encode("latin-1"), ["UTF-8"]),
        ("mine.csv", b"text,label\nfilm,ugly\nfilm2,bad\n", ["'ugly'", "label_words"]),
        ("mine.csv", b"text,label\n=1+1,bad\n", ["every row has the label 'bad'"]),
        ("mine.jsonl", b"[" * 100_000, ["JSONL"]),
        ("mine.jsonl", b"[1, 2]", ["line 1 is not an object"]),
        ("mine.jsonl", b'{"text": NaN, "label": "bad"}\n{"text": "a", "label": "good"}', ["nothing in column 'text'"]),
        ("mine.jsonl", b'{"text": "\\ud800", "label": "bad"}\n{"text": "a", "label": "good"}', ["half a character"]),
        ("mine.parquet", b"PAR1", ["PARQUET"]),
        ("mine.txt", b"text", ["'.txt'", ".csv"]),
    ],
)
@pytest.mark.parametrize("command", ["run", "plan"])
def test_the_command_line_says_it_once_and_ends_with_2(
    name: str,
    content: bytes,
    words: list[str],
    command: str,
    small_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(content)
    arguments = ["--set", f"template={TEMPLATE}", "--set", "label_words={bad: Negative, good: Positive}"]
    assert call(command, "--task", name, "--model", str(small_model), *arguments) == 2
    message = capsys.readouterr().err
    assert all(word in message for word in words), message
    assert message.count("demograd:") == 1 and "Traceback" not in message and len(message) < 3000
    assert [file.name for file in Path().iterdir()] == [name]


@pytest.mark.parametrize("name", ["m" * 300, "m" * 300 + ".csv", "a/" * 1900 + "b.csv", "nul\0l.csv", "~nobody/x.csv"])
def test_a_path_that_no_system_takes(name: str) -> None:
    with pytest.raises(UserError):
        load_task(name, template=TEMPLATE, label_words=WORDS)
