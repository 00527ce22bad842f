"""Notes about a study's data stand in its provenance and on its page."""

import html
import json
from pathlib import Path

import pytest
from tests.cli.test_mistakes import call
from tests.study.conftest import small_settings

from demograd.errors import UserError
from demograd.report import write_report
from demograd.study import make_study, run_study
from demograd.study.language_model.demonstration_sets import DemonstrationSets
from demograd.study.language_model.load_tasks import load_tasks
from demograd.study.language_model.prompts import reader_of


def settings(model: Path, path: Path, **changes: object) -> dict[str, object]:
    task = {"template": "Review: {text} Sentiment:", "label_words": {"0": "dull", "1": "unputdownable"}}
    return small_settings(
        model,
        tasks=[str(path)],
        weights=["trained"],
        seeds=[0],
        methods=["GD"],
        learning_rates={"GD": 0.01},
        controls=[],
        queries=4,
        **{**task, **changes},
    )


def write(path: Path, long: int) -> Path:
    """Write sixty film reviews in Latin-1, `long` of them as long as a novel; one comes again in capitals."""
    texts = [f"größer {i}" + " and more" * (400 * (i < long)) for i in range(60)]
    lines = [f"{text};{i % 2}" for i, text in enumerate([*texts, "GRÖSSER 41"])]
    path.write_bytes("\n".join(["text;label", *lines]).encode("latin-1"))
    return path


def test_a_run_says_what_it_left_out_and_counted(small_model: Path, tmp_path: Path) -> None:
    study = make_study(settings(small_model, write(tmp_path / "films.csv", 2), encoding="latin-1"))
    run = run_study(study, tmp_path / "run")
    notes = run.folder.read_json("provenance.json")["notes"]
    (left_out,) = (note for note in notes if "half of the context window of 512 tokens" in note)
    counts = [int(word) for word in left_out.replace(",", "").split() if word.isdecimal()]
    assert sum(counts[:3]) == 2
    assert any("1 repeat another" in note for note in notes)
    assert any("differ in their number of tokens (dull" in note for note in notes)
    page = html.unescape(Path(str(write_report(run.folder.path))).read_text(encoding="utf-8"))
    assert all(note in page for note in notes)


def test_what_is_left_out_does_not_depend_on_seeds_or_the_order_of_models(small_model: Path, tmp_path: Path) -> None:
    path, pools = write(tmp_path / "films.csv", 3), []
    for seeds in ([0], [5, 6]):
        study = make_study(settings(small_model, path, encoding="latin-1") | {"seeds": seeds})
        study, tasks = load_tasks(study, lambda sentence: None)
        sets = DemonstrationSets(study, tasks, reader_of(study, str(small_model)))
        pools.append(sets.tasks[str(path)].pools)
        assert sum(map(len, (pools[-1].training, pools[-1].tuning, pools[-1].queries))) == 58
    assert pools[0] == pools[1]


def test_the_command_line_takes_splits_and_an_encoding(
    small_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for split in ("a_train", "b_dev", "c_test"):
        rows = [{"text": f"{split} {i}", "label": i % 2} for i in range(40)]
        Path("films").mkdir(exist_ok=True)
        Path(f"films/{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    arguments = ["--task", "films", "--model", str(small_model), "--template", "{text}:", "--label-words", "dull,good"]
    assert call("run", *arguments, "--split", "tset") == 2
    assert "no split 'tset'" in capsys.readouterr().err
    assert call("run", *arguments, "--encoding", "klingon") == 2
    assert "encoding 'klingon'" in capsys.readouterr().err
    settings = [
        "split=test",
        "validation_split=train",
        "template={text}:",
        "label_words=[dull, good]",
        "k=2",
        "queries=4",
        "seeds=0,",
    ]
    planned = [argument for setting in settings for argument in ("--set", setting)] + ["--learning-rate", "0.01"]
    assert call("plan", "--task", "films", "--model", str(small_model), *planned) == 0


@pytest.mark.parametrize("words", [{False: "dull", True: "good"}, {0: "dull", 1: "good"}])
def test_labels_in_a_study_file_need_no_quotes(small_model: Path, tmp_path: Path, words: dict[object, str]) -> None:
    study = make_study(settings(small_model, write(tmp_path / "a.csv", 0), encoding="latin-1", label_words=words))
    _, tasks = load_tasks(study, lambda sentence: None)
    assert next(iter(tasks.values())).label_words == ("dull", "good")


def test_a_file_that_is_not_in_utf_8_says_how_to_name_its_encoding(small_model: Path, tmp_path: Path) -> None:
    study = make_study(settings(small_model, write(tmp_path / "films.csv", 0)))
    with pytest.raises(UserError, match=r"films\.csv is not in UTF-8.*encoding: latin-1"):
        run_study(study, tmp_path / "run")
    assert not (tmp_path / "run").exists()
