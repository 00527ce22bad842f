"""The page of a synthetic run is whole, safe and honest."""

import re
from pathlib import Path

import pytest
from tests.report.synthetic.rows import everything, reference, row, write_synthetic_run
from tests.report.test_page import ACTIVE, EVIL, Parsed

from demograd.cli.tables import print_claims, print_scores
from demograd.errors import UserError
from demograd.files import read_json, write_json, write_yaml
from demograd.metrics import METRICS
from demograd.report import network_table, read_run, write_report


def page(folder: Path) -> str:
    return write_report(folder).read_text(encoding="utf-8")


def test_sections_come_in_the_order_in_which_they_are_to_be_read(tmp_path: Path) -> None:
    order = re.findall(r'<section id="([^"]+)"', page(write_synthetic_run(tmp_path)))
    assert order == [
        "finding",
        "claims",
        "notes",
        "constructions",
        "losses",
        "comparison",
        "training",
        "input-scale",
        "depth",
        "context",
        "position",
        "interpolation",
        "weights",
        "order-sensitivity",
        "sparsity",
        "performance",
        "missing",
        "method",
    ]


def test_the_page_speaks_of_worlds_examples_and_training_seeds_not_of_demonstrations(tmp_path: Path) -> None:
    text = Parsed(page(write_synthetic_run(tmp_path, rows=[row("loss", 1.0), row("loss", 1.0, seed=3)]))).text
    assert "Small transformers in isotropic" in text
    assert "1 training seed (3)" in text
    assert "demonstration" not in text.split("Columns:")[0]


def test_nothing_reads_as_nan_and_what_diverged_is_named(tmp_path: Path) -> None:
    text = Parsed(page(write_synthetic_run(tmp_path))).text
    assert not re.search(r"\b(nan|NaN|None|null|inf)\b", text)
    assert "nothing can be said of “relu, 1 layer”: diverged at step 120" in text
    missing = text[text.index("What is missing") :]
    assert "relu, 1 layer" in missing and "diverged at step 120" in missing


def test_a_missing_reference_is_listed_without_weights(tmp_path: Path) -> None:
    rows = [row("loss", 1.0), reference("loss", None, "kernel regression")]
    text = Parsed(page(write_synthetic_run(tmp_path, rows=rows))).text
    missing = text[text.index("What is missing") : text.index("How it was measured")]
    assert "kernel regression" in missing
    assert not re.search(r"\b(nan|None)\b", missing)


def test_untrusted_names_are_text_and_nothing_else(tmp_path: Path) -> None:
    evil = {"isotropic": EVIL, "linear, 1 layer": EVIL, "GD, 1 step": EVIL}
    rows = [{column: evil.get(value, value) for column, value in row.items()} for row in everything()]
    folder = write_synthetic_run(
        tmp_path,
        rows=rows,
        about=EVIL,
        worlds={EVIL: {"kind": "linear"}} | {"orthogonal system": {"kind": "system", "dimension": 3}},
    )
    matrices = read_json(folder / "matrices.json")
    renamed = [
        record | {"world": EVIL, "network": EVIL, "what": EVIL, "theories": {EVIL: record["trained"]}}
        for record in matrices
    ]
    write_json(folder / "matrices.json", renamed)
    write_json(folder / "provenance.json", {"notes": [EVIL], EVIL: [EVIL]})
    parsed = Parsed(page(folder))
    assert not ACTIVE & set(parsed.tags)
    assert not [name for name, _ in parsed.attributes if name.startswith("on") or name == "src"]
    assert all(value.startswith("#") for name, value in parsed.attributes if name == "href")
    assert parsed.text.count(EVIL) > 10


def test_ids_are_unique_and_references_lead_somewhere(tmp_path: Path) -> None:
    text = page(write_synthetic_run(tmp_path))
    ids = [value for name, value in Parsed(text).attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(ids)


def test_every_metric_of_the_run_is_defined(tmp_path: Path) -> None:
    folder = write_synthetic_run(tmp_path)
    definitions = Parsed(page(folder)).text.split("Definitions")[1]
    for words in ("(1 − mix) × trained", "over the root mean square prediction", METRICS["sparsity_ratio"].definition):
        assert words in definitions


def test_a_run_has_a_page_without_matrices_and_one_with_broken_ones_is_refused(tmp_path: Path) -> None:
    folder = write_synthetic_run(tmp_path)
    write_json(folder / "matrices.json", [{"world": "isotropic"}])
    with pytest.raises(UserError, match=r"matrices\.json cannot be read"):
        read_run(folder)
    (folder / "matrices.json").unlink()
    assert read_run(folder).matrices == ()
    assert 'id="weights"' not in page(folder)


def test_a_synthetic_study_says_its_worlds_and_its_context(tmp_path: Path) -> None:
    folder = write_synthetic_run(tmp_path)
    write_yaml(folder / "study.yaml", {"kind": "synthetic"})
    with pytest.raises(UserError, match="a synthetic study without context and worlds"):
        read_run(folder)


def test_a_terminal_shows_networks_beside_their_references(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    folder = write_synthetic_run(tmp_path)
    print_scores(folder)
    printed = capsys.readouterr().out
    assert "In isotropic:" in printed
    assert re.search(r"linear, 1 layer +GD, 1 step +1\.934 ± 0\.010 +1\.002 +0\.998", printed)
    run = read_run(folder)
    assert run.finding.sentence[:60] in printed
    assert network_table(run)["loss ratio"][0] == "1.002 [0.998, 1.006]"


def test_a_terminal_shows_a_run_of_constructions_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = row("construction_error", 1e-15, setting="construction", model=None, task=None, method="GD")
    folder = write_synthetic_run(tmp_path, rows=[error])
    sentence = "Undecided: no network was held against anything.\n"
    print_scores(folder)
    assert capsys.readouterr().out == sentence
    print_claims(read_run(folder))
    assert capsys.readouterr().out.startswith(f"{sentence}Cannot be decided here")
