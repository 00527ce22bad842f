"""The section that ranks methods by specific share, on comparisons made by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.report.conftest import Fake, write_run
from tests.report.matched import claims_record, comparison
from tests.report.rows import row, write_results

from demograd.files import write_json
from demograd.report import ReportedRun, read_run, write_report
from demograd.report.section import Table
from demograd.report.sections.ranking import ranking_section

NOTHING_LEARNED = {"verdict": "undecided", "reason": "fine-tuning learned nothing here"}


def _run(folder: Path, comparisons: Sequence[dict[str, Any]]) -> ReportedRun:
    write_run(folder, Fake(layers=2))
    of_gd = {"method": "GD", "versus": "other_sets", "n_seeds": 8, "reading": "share_of_ceiling"}
    reordered = {"versus": "other_sets", "n_seeds": 8, "reading": "specific_share"}
    shares = [
        row("sim_aou", "FT", 0.25, **of_gd),
        row("sim_aou", "FT", 0.75, **of_gd, weights="no_training"),
        row("sim_aou", "ICL_reordered", 0.6, **reordered),
    ]
    write_results(folder, shares, keep=True)
    write_json(folder / "claims.json", claims_record([], comparisons))
    return read_run(folder)


def _table(run: ReportedRun) -> Table:
    section = ranking_section(run)
    assert section is not None
    (table,) = [part for part in section.parts if isinstance(part, Table)]
    return table


def _three(name: str = "LCGD") -> list[dict[str, Any]]:
    return [comparison("GD", 0.2, 0.19), comparison(name, 0.2, 0.1), comparison("Adam", 0.2, 0.18, **NOTHING_LEARNED)]


def test_methods_stand_in_order_of_their_specific_share(tmp_path: Path) -> None:
    (group,) = _table(_run(tmp_path / "run", _three())).groups
    assert [line.name for line in group.rows] == ["ICL, reordered", "LCGD", "Adam", "GD"]
    assert "60" in str(group.rows[0].entries[0]), "the ceiling's own share"


def test_none_is_nearest_unless_it_is_specific(tmp_path: Path) -> None:
    section = ranking_section(_run(tmp_path / "run", _three()))
    assert section is not None and "No method is shown" in str(section.lead)


def test_the_nearest_is_named_with_those_that_cannot_be_told_from_it(tmp_path: Path) -> None:
    supported = {"verdict": "supported"}
    comparisons = [
        comparison("far", 0.2, 0.19, **supported),
        comparison("near", 0.2, 0.1, **supported),
        comparison("as near", 0.2, 0.102, **supported),
        comparison("open", 0.2, 0.05, **NOTHING_LEARNED),
    ]
    section = ranking_section(_run(tmp_path / "run", comparisons))
    assert section is not None
    (sentence,) = [text for text in str(section.lead).split(". ") if "nearest" in text]
    assert "near (50.0 [" in sentence and "of a similarity of 0.2" in sentence
    assert "not told apart from as near (49.0 [" in sentence and "far" not in sentence and "open" not in sentence


def test_the_share_of_the_ceiling_is_that_of_trained_weights(tmp_path: Path) -> None:
    (group,) = _table(_run(tmp_path / "run", _three())).groups
    of_ceiling = {line.name: str(line.entries[-1]) for line in group.rows}
    assert "25" in of_ceiling["GD"] and "75" not in of_ceiling["GD"]


def test_a_method_that_learned_nothing_is_said_to(tmp_path: Path) -> None:
    (group,) = _table(_run(tmp_path / "run", _three())).groups
    (adam,) = [line for line in group.rows if line.name == "Adam"]
    assert NOTHING_LEARNED["reason"] in str(adam.entries)


def test_one_method_is_not_ranked(tmp_path: Path) -> None:
    assert ranking_section(_run(tmp_path / "run", [comparison("GD")])) is None


def test_hostile_names_are_escaped(tmp_path: Path) -> None:
    _run(tmp_path / "run", _three("<img src=x onerror=alert(1)>"))
    write_report(tmp_path / "run")
    pages = "".join(path.read_text() for path in (tmp_path / "run").glob("*.html"))
    assert "&lt;img src=x" in pages and "<img src=x" not in pages
