"""No message is longer than its bound, whatever a user gave; and what to do about it is still in it."""

import pickle
import re
from inspect import unwrap
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from tests.cli.test_mistakes import REVIEWS, call, write_reviews
from tests.study.conftest import small_model as small_model  # the fixture

import demograd
from demograd import GradientDescent, UserError, load_model, load_task
from demograd.errors import LONGEST_MESSAGE, LONGEST_PART, quoted, shortened, shortened_list, unknown_name
from demograd.metrics import METRICS
from demograd.study import Workers, read_study

HUGE = 10**5
TEMPLATE, WORDS = "Review: {text} Sentiment:", {"bad": "Negative", "good": "Positive"}
LONG_WORD, LONG_TEXT, LONG_DIGITS = "m" * HUGE, "film after film " * (HUGE // 16), "9" * HUGE


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "value",
    [
        LONG_WORD,
        LONG_TEXT,
        LONG_WORD.encode(),
        10**HUGE,
        -(10**5000),
        [1] * 10**5,
        {"a": LONG_TEXT},
        [[10**5000]],
        "\n" * 1000,
        "'\"" * 1000,
        "\ud800" * 1000,
        "🙂" * 1000,
        1e308,
        None,
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_is_quoted_in_a_bounded_length(value: Any) -> None:
    assert 0 < len(quoted(value)) <= 100 and len(quoted(value, 30)) <= 30


def test_a_short_value_is_quoted_as_python_writes_it() -> None:
    for value in ("it's", 3, -1.5, ["a", 1], {"a": None}, True, b"x", 10**29):
        assert quoted(value) == repr(value)


def test_of_a_long_value_both_ends_are_shown() -> None:
    assert quoted("begin " + LONG_TEXT + " end").startswith("'begin ") and quoted(LONG_TEXT + " end").endswith(" end'")
    assert shortened("x" * 100) == "x" * 100 and len(shortened("x" * 101)) == 100
    assert quoted(10**5000) == "a whole number of about 5,001 digits"


def test_of_many_names_as_many_as_fit_are_listed_and_the_others_counted() -> None:
    names = [f"column {number}" for number in range(HUGE)]
    assert len(shortened_list(names)) <= LONGEST_PART and shortened_list(names).endswith(" more)")
    assert shortened_list(names, 60).startswith("column 0, column 1, ") and shortened_list(names, 60).endswith(" more)")
    assert len(shortened_list(names, 60)) <= 60
    assert shortened_list(["a", "b"]) == "a, b" and shortened_list([]) == ""


@pytest.mark.parametrize(
    "long", [LONG_WORD, LONG_TEXT, repr(LONG_TEXT), "'" * HUGE, "\n" * HUGE, "a " * HUGE], ids=range(6)
)
def test_whatever_its_parts_a_message_is_bounded_and_says_what_to_do(long: str) -> None:
    error = UserError(f"The value {long} of k", f"one of {long}, or none", f"Correct {long}, or leave it off")
    assert len(str(error)) <= LONGEST_MESSAGE
    assert str(error).startswith("The value ") and str(error).endswith(", or leave it off.")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_only_the_long_words_of_a_long_part_are_shortened() -> None:
    error = UserError(f"File {LONG_WORD} has no column {LONG_TEXT!r} (named by the template)", "a column", "Rename it")
    assert error.problem.endswith("(named by the template)") and " has no column 'film after film " in error.problem


def test_the_nearest_of_a_million_names_is_said() -> None:
    error = unknown_name("column", "textt", ["text", *map(str, range(10**5))], "Rename it")
    assert len(str(error)) <= LONGEST_MESSAGE and "Did you mean text? Rename it" in str(error)
    unknown = str(unknown_name("metric", LONG_WORD, METRICS, "Choose one"))
    assert "accuracy" in unknown and unknown.endswith("Choose one.")


def message_of(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert call(*arguments) == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    return message


FILE = ["--template", TEMPLATE, "--label-words", "bad=Negative,good=Positive"]


@pytest.mark.parametrize("long", [LONG_TEXT[:20_000], "9" * 20_000], ids=["text", "digits"])
@pytest.mark.parametrize(
    ("arguments", "do"),
    [
        (["run", "{}"], "Did you mean|study file|Check the path"),
        (["{}"], "No such command"),
        (["run", "--{}"], "No such option"),
        (["run", "--queries", "x{}"], "not a valid int|should be a valid integer"),
        (["run", "--gpus", "x{}"], "not a valid float|should be a valid number"),
        (["run", "--model", "{}"], "Check the|a hub name|Shorten it"),
        (["run", "--task", "{}"], "Name a file|Check the path|Shorten it|Change"),
        (["run", "--task", "./{}.csv"], "Check the path|Shorten it"),
        (["run", "--task", "mr", "--template", "{} {{text"], "Write plain column names|Shorten it"),
        (["run", "--task", "mr", "--label-words", "{0},{0}"], "Give each class its own word|Shorten|label=word"),
        (["run", "--label-words", "a={},b"], "--label-words neg=Negative"),
        (["run", "-k", "{}"], "-k 4,8|Correct k|in quotes"),
        (["run", "--seeds", "{}"], "--seeds 5"),
        (["run", "--seeds", "{},"], "--seeds 5|Correct seeds"),
        (["run", "--method", "{}"], "Choose among|Shorten it"),
        (["run", "--weights", "{}"], "Choose among|Shorten it"),
        (["run", "--learning-rate", "{}"], "GD=0.001|Correct learning_rates"),
        (["run", "--learning-rate", "{}=0.1"], "Add --method"),
        (["run", "--measure", "{}"], "Choose among|Shorten it"),
        (["run", "--device", "{}"], "--device auto|Shorten it"),
        (["run", "--dtype", "{}"], "Choose among|Shorten it"),
        (["run", "--set", "{}"], "Try --set|Correct the name"),
        (["run", "--set", "{}=1"], "Correct the name|Try --set"),
        (["run", "--set", "methods.GD.{}=1"], "Correct|Shorten it"),
        (["run", "--set", "k=[{}"], "Mend it there"),
        (["run", "--set", "methods.GD.epochs={}"], "Correct|Mend it there|Shorten it"),
        (["run", "--out", "ftp://127.0.0.1:1/{}"], "Correct the URL"),
        (["run", "--executor", "{}"], "Choose one of these"),
        (["run", "--executor", "ray", "--address", "{}:1"], "Start one with"),
        (["run", "--executor", "ray", "--address", "127.0.0.1:{}9"], "Start one with"),
        (["plan", "--workers", "{}"], "--workers 1,8,64"),
        (["claims", "{}"], "Give the folder|Check the path|run folder"),
        (["report", "{}"], "Give the folder|Check the path|run folder"),
        (["list", "{}"], "Choose one of these"),
        (["list", "tasks", "--statistics", "--task", "{}"], "Name a file|Check the path|Change"),
        (["check", "{}.gguf"], "Check the"),
    ],
)
def test_arguments_of_any_length_have_a_bounded_message(
    arguments: list[str], do: str, long: str, capsys: pytest.CaptureFixture[str]
) -> None:
    message = message_of(*[argument.format(long) for argument in arguments], capsys=capsys)
    message = " ".join(re.sub("[╭╮╰╯─│]", "", message).split())  # the frame of typer's own messages
    assert len(message) <= LONGEST_MESSAGE + len("demograd: "), len(message)
    assert any(words in message for words in do.split("|")), message
    assert list(Path().iterdir()) == [], "nothing is written where a mistake is refused"


@pytest.mark.parametrize("address", ["127.0.0.1:port", "ray://[::1]:port"])
def test_a_ray_cluster_that_the_environment_names_is_asked_before_a_folder_is_made(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    message = message_of("run", "--executor", "ray", capsys=capsys)
    assert f"No Ray cluster at {address} (its port is no number)" in " ".join(message.split())
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("column", "label", "text"),
    [
        (LONG_WORD, "bad", "film"),
        ("text", LONG_TEXT, "film"),
        ("text", "bad", LONG_WORD),
        (LONG_TEXT, "bad", ""),
        ("text", "bad", ""),
    ],
    ids=["column", "label", "text", "column of a text", "number of columns"],
)
@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_columns_labels_and_texts_of_any_length(column: str, label: str, text: str, suffix: str) -> None:
    more = 2 if text == LONG_WORD else 200  # a gigabyte of text would say no more
    names = [column, "label", *(f"{LONG_WORD[:1000]}{number}" for number in range(more))]
    table = pa.table(
        {name: [f"{text}{number or ''}" for number in range(60)] for name in names} | {"label": [label] * 60}
    )
    path = Path(f"mine{suffix}")
    if suffix == ".parquet":
        pyarrow.parquet.write_table(table, path)
    elif suffix == ".csv":
        table.to_pandas().to_csv(path, index=False)
    else:
        table.to_pandas().to_json(path, orient="records", lines=True)
    with pytest.raises(UserError) as error:
        load_task(path, template=TEMPLATE, label_words=WORDS)
    assert len(str(error.value)) <= LONGEST_MESSAGE and error.value.do


def test_label_values_and_words_of_any_length_and_number() -> None:
    rows = [row | {"label": f"{LONG_WORD[:5000]}{number}"} for number, row in enumerate(REVIEWS)]
    for words in (None, WORDS, {LONG_WORD: LONG_TEXT, "b": LONG_TEXT}, {f"{n}": f"{n}" for n in range(10**4)}):
        with pytest.raises(UserError) as error:
            load_task(write_reviews(rows), template=TEMPLATE, label_words=words)
        assert len(str(error.value)) <= LONGEST_MESSAGE


@pytest.mark.parametrize("number", [10**5000, -(10**5000)], ids=["positive", "negative"])
def test_numbers_of_any_length(number: int) -> None:
    task = load_task(write_reviews(REVIEWS), template=TEMPLATE, label_words=WORDS)
    wrong = [
        lambda: task.demonstrations(number, 0),
        lambda: task.queries(number),
        lambda: Workers(number=number),
        lambda: task.demonstrations(4, -abs(number)),
        lambda: demograd.run("quickstart", k=number),
        lambda: demograd.run("quickstart", seeds=[number]),
        lambda: GradientDescent(learning_rate=0.1, epochs=-abs(number)),
        lambda: task.demonstrations(4, 0, permutation=number),
        lambda: unwrap(demograd.run)(number),
        lambda: read_study("quickstart", queries=number),
    ]
    # unwrapped, as the tests' own check of types would refuse a number before `run` does
    for call_it in wrong:
        with pytest.raises(UserError) as error:
            call_it()
        assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    "content",
    [
        "a: &" + LONG_WORD[:500_000],
        LONG_WORD[:500_000],
        LONG_WORD[:5000] + ": 1",
        "k: " + "9" * 500_000,
        "k: !!" + LONG_WORD[:500_000] + " 1",
        "methods: {GD: {" + LONG_WORD[:9000] + ": 1}}",
        "name: [" + "1, " * 10**5 + "1]",
        "k: {" + ", ".join(f"a{number}: 1" for number in range(10**4)) + "}",
        "- " * 1000 + "1",
    ],
    ids=range(9),
)
def test_study_files_of_any_length(content: str) -> None:
    Path("mine.yaml").write_text(content)
    with pytest.raises(UserError) as error:
        read_study("mine.yaml")
    message = str(error.value)
    assert len(message) <= LONGEST_MESSAGE
    of_the_file = "mine.yaml" in message and message.endswith("Mend it there.")
    assert of_the_file or re.search(r"Correct (the name|name|k)\.$", message)


@pytest.mark.parametrize(
    "name", ["m" * 200 + "/" + "n" * 3000, "./" + "m" * 5000, "~" + "m" * 5000, LONG_WORD], ids=range(4)
)
def test_model_names_of_any_length(name: str) -> None:
    with pytest.raises(UserError) as error:
        load_model(name)
    assert len(str(error.value)) <= LONGEST_MESSAGE
