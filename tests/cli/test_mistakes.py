"""A user's mistake is one message that says what was given, what was expected and what to do, and exit code 2."""

import json
import sys
from pathlib import Path

import pytest
from tests.study.conftest import small_model as small_model  # the fixture

from demograd import study
from demograd.cli import main
from demograd.cli.options import label_words_from, seeds_from


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def call(*arguments: str) -> int:
    """The exit code of `demograd ARGUMENTS`."""
    before, sys.argv = sys.argv, ["demograd", *arguments]
    try:
        main()
    except SystemExit as exit_:
        return int(exit_.code or 0)
    finally:
        sys.argv = before
    return 0


def write_reviews(rows: list[dict[str, object]]) -> str:
    Path("reviews.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return "reviews.jsonl"


REVIEWS = [{"text": f"film number {i}", "label": ("bad", "good")[i % 2]} for i in range(60)]
FILE = [
    "--task",
    "reviews.jsonl",
    "--template",
    "Review: {text} Sentiment:",
    "--label-words",
    "bad=Negative,good=Positive",
]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "quickstrat"], ["quickstrat", "Did you mean quickstart"]),
        (["run", "--model", "smollm2-135"], ["smollm2-135", "Did you mean smollm2-135m"]),
        (["run", "--task", "ss2"], ["ss2", "Did you mean sst2"]),
        (["run", "--method", "LGCD"], ["LGCD", "Did you mean LCGD"]),
        (["run", "--weights", "untrained"], ["untrained", "Did you mean trained"]),
        (["run", "--dtype", "float8"], ["dtype", "float32"]),
        (["run", "--device", "cuda:99"], ["cuda:99", "--device auto"]),
        (["run", "--learning-rate", "fast"], ["fast", "GD=0.001"]),
        (["run", "--learning-rate", "XGD=0.1"], ["XGD", "LCGD, GD"]),
        (["run", "--seeds", "0"], ["--seeds 0", "at least one"]),
        (["run", "--seeds", "9999999999"], ["--seeds 9999999999", "at most 10,000"]),
        (["run", "--seeds", "99999999999999999999,"], ["seeds = 99999999999999999999", "less than 4294967296"]),
        (["run", "--set", "k=true"], ["k = True", "a number"]),
        (["run", "--seeds", "a,b"], ["--seeds a,b", "0,3,7"]),
        (["run", "--seeds", ","], ["--seeds ,", "--seeds 3,"]),
        (["run", "--label-words", "neg=N,Pos"], ["neg=N,Pos", "label=word for every label"]),
        (["run", "--label-words", "neg=N,neg=P"], ["neg=N,neg=P", "each label once"]),
        (["run", "--task", "sst2", "--label-words", "N,N"], ["['N', 'N']", "different words"]),
        (["run", "-k", "0"], ["k = 0", "greater than 0"]),
        (["run", "-k", "4;8"], ["-k 4;8", "by commas"]),
        (["run", "--as-released"], ["--as-released", "quickstart"]),
        (["run", "--measure", "alhpa"], ["alhpa", "Did you mean alpha"]),
        (["run", "--queries", "100000"], ["100000 queries", "(queries)", "at most 1984", "a third is held out"]),
        (["run", "-k", "1000000"], ["1000000 demonstrations", "(k)", "at most 3419"]),
        (["run", "missing.yaml"], ["missing.yaml", "Check the path"]),
        (["run", "--task", "missing.csv"], ["missing.csv"]),
        (["list", "papers"], ["papers", "metrics"]),
        (["list", "models", "--statistics"], ["list models", "list tasks --statistics"]),
        (["list", "tasks", "--task", "mr"], ["--task", "list tasks --statistics"]),
        (["list", "tasks", "--statistics", "--task", "rm"], ["rm", "Did you mean"]),
        (["report", "nowhere"], ["nowhere", "run folder"]),
        (["check", "nowhere.gguf"], ["nowhere.gguf", "Check the path"]),
        (["run", "--out", ""], ["'', which names no folder", "leave it off"]),
        (["run", "--out", "ftp://127.0.0.1:1/run"], ["ftp://127.0.0.1:1/run cannot be reached", "Connection refused"]),
        (["run", "--out", "http://127.0.0.1:1/run"], ["http://127.0.0.1:1/run cannot be written", "only be read"]),
        (["run", "--out", "zip://runs.zip"], ["zip://runs.zip cannot be reached", "Correct the URL"]),
        (["run", "--out", "github://me:mine@main/run"], ["github://me:mine@main/run cannot be", "Correct"]),
        (["claims", "reference://here"], ["reference://here cannot be reached"]),
        (["report", "ftp://127.0.0.1:1/run"], ["ftp://127.0.0.1:1/run cannot be reached", "Connection refused"]),
    ],
)
def test_a_mistake_is_one_message_and_nothing_is_written(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*arguments) == 2
    message = capsys.readouterr().err
    assert all(word in message for word in words), message
    assert message.count("demograd:") == 1 and "Traceback" not in message
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("rows", "extra", "words"),
    [
        ([{"txt": "a", "label": "bad"}], [], ["'text'", "'txt'"]),
        ([{"text": "a", "sentiment": "bad"}], [], ["'label'", "'sentiment'"]),
        ([*REVIEWS, {"text": "b", "label": "ugly"}], [], ["ugly"]),
        (REVIEWS, ["-k", "50"], ["50", "at most"]),
        ([], [], ["File reviews.jsonl is empty"]),
        (REVIEWS, ["--queries", "21"], ["21 queries", "at most 20", "Lower queries"]),
    ],
)
def test_a_file_that_does_not_fit_is_refused_and_nothing_is_written(
    rows: list[dict[str, object]],
    extra: list[str],
    words: list[str],
    small_model: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_reviews(rows)
    model = ["--model", str(small_model), "--learning-rate", "0.01"]
    assert call("run", *FILE, *model, "--queries", "5", *extra) == 2
    message = capsys.readouterr().err
    assert all(word in message for word in words), message
    assert [path.name for path in Path().iterdir()] == ["reviews.jsonl"]


def test_a_file_runs_to_a_report(small_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_reviews(REVIEWS)
    arguments = [
        "--model",
        str(small_model),
        "--learning-rate",
        "0.01",
        "--queries",
        "5",
        "-k",
        "2",
        "--seeds",
        "2",
        "--weights",
        "trained",
        "--method",
        "GD",
        "--out",
        "out",
    ]
    assert call("run", *FILE, *arguments) == 0
    printed = capsys.readouterr()
    assert str(Path("out/report.html").resolve()) in printed.out.replace("\n", "")
    assert "mismatched" in printed.out and "specificity" in printed.out
    assert "Negative" in Path("out/study.yaml").read_text()


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("~/x", ""),
        ("a:b", ""),
        ("~nobody-has-this-name/x", "~nobody-has-this-name/x, the home of nobody here"),
        ("reviews.jsonl", "reviews.jsonl cannot be written (Not a directory)"),
        ("reviews.jsonl/below", "reviews.jsonl/below cannot be written (Not a directory)"),
        ("x" * 300, "x cannot be written (File name too long)"),
        ("/dev/null", "/dev/null cannot be written (Not a directory)"),
    ],
)
def test_a_run_is_whole_in_the_folder_that_was_named_or_nowhere(
    out: str, message: str, small_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_reviews(REVIEWS)
    monkeypatch.setenv("HOME", str(Path("home").absolute()))
    arguments = [
        "--model",
        str(small_model),
        "--learning-rate",
        "0.01",
        "--queries",
        "2",
        "-k",
        "2",
        "--seeds",
        "1",
        "--weights",
        "trained",
        "--method",
        "GD",
        "--set",
        "controls=[]",
        f"--out={out}",
    ]
    assert call("run", *FILE, *arguments) == (2 if message else 0)
    stderr, folder = capsys.readouterr().err, Path(out.replace("~/", "home/"))
    written = {file for file in Path().rglob("*") if file.is_file()} - {Path("reviews.jsonl")}
    if message:
        assert message in stderr and "Traceback" not in stderr and written == set()
    else:
        assert folder / "results.parquet" in written and all(file.is_relative_to(folder) for file in written)


@pytest.mark.parametrize(("text", "seeds"), [("3", [0, 1, 2]), ("3,", [3]), ("0,3,7", [0, 3, 7])])
def test_a_comma_tells_seeds_from_a_count_of_them(text: str, seeds: list[int]) -> None:
    assert seeds_from(text) == seeds


def test_label_words_are_a_list_or_a_mapping() -> None:
    assert label_words_from("Bad, Good") == ["Bad", "Good"]
    assert label_words_from("neg=Not good, pos = a=b") == {"neg": "Not good", "pos": "a=b"}


@pytest.mark.parametrize("value", ["nan", "-1", "inf", str(10**11), "1e400"])
@pytest.mark.parametrize("option", ["--gpus", "--memory", "--threads", "--workers"])
@pytest.mark.parametrize("executor", ["in-process", "processes", "ray"])
def test_numbers_that_no_machine_has_are_refused_before_anything(
    option: str, value: str, executor: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("run", "--executor", executor, f"{option}={value}") == 2
    message = capsys.readouterr().err
    assert option in message and "Traceback" not in message
    assert list(Path().iterdir()) == []


def test_the_self_checks_pass_on_a_sound_model(small_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("check", str(small_model)) == 0
    printed = capsys.readouterr().out
    assert "the tokenizer's ids" in printed
    assert printed.count("passed") == 6 and "FAILED" not in printed


@pytest.mark.parametrize("kind", ["tasks", "models", "methods", "metrics", "presets", "sections"])
def test_every_list_names_what_it_should(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("list", kind) == 0
    names = {
        "tasks": "agnews",
        "models": "smollm2-135m",
        "methods": "LCGD",
        "metrics": "sim_am_delta",
        "presets": "quickstart",
        "sections": "Layer by layer",
    }
    assert names[kind] in capsys.readouterr().out


def test_statistics_are_of_the_tasks_that_are_here_with_the_models_own_tokenizer(
    small_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert call("list", "tasks", "--statistics", "--model", str(small_model)) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines["trec"].split()[1:4] == ["3419", "500", "1984"] and "Expression 2%" in lines["trec"]
    assert "aps/super_glue (cb) is not on this machine" in lines["cb"]
    assert "512 tokens" in lines["fit:"]


def test_published_sizes_stand_beside_those_of_the_data_that_are_here(
    small_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    options = ["--statistics", "--published", "--model", str(small_model)]
    assert call("list", "tasks", *options, "--task", "subj", "--task", "cb") == 0
    printed = capsys.readouterr().out
    lines = {line.split()[0]: line for line in printed.splitlines() if line.strip()}
    assert "8,000" in lines["subj"] and "129.23" in lines["subj"] and "StaICC" in lines["subj"]
    assert "250" in lines["cb"] and "is not on this machine" in lines["cb"]
    assert "without splits: the package's one table" in printed
    assert "Not tokens, but characters of a string of token ids." in printed
    assert call("list", "tasks", *options, "--task", "trec") == 2


def test_statistics_of_a_file_count_its_examples(
    small_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    Path("mine.jsonl").write_text(
        "\n".join(json.dumps(row | {"label": ("neg", "pos")[i % 2]}) for i, row in enumerate(REVIEWS))
    )
    assert call("list", "tasks", "--statistics", "--model", str(small_model), "--task", "mr=mine.jsonl") == 0
    assert "mr=mine.jsonl  34              6       20       Negative 50%, Positive 50%" in capsys.readouterr().out


def test_ctrl_c_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "run_study", interrupted)
    assert call("run") == 130
    assert "the same command goes on" in capsys.readouterr().err
