"""The section that ranks methods by specific share, on comparisons made by hand."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.report.conftest import Fake, write_run
from tests.report.matched import claims_record, comparison
from tests.report.rows import row, write_results

from demograd.files import write_json
from demograd.report import ReportedRun, read_run, write_report
from demograd.report.section import Table
from demograd.report.sections.claims import p_entry
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


NOT_SHOWN = "the similarity is not shown to be above zero"


def _unbounded(name: str, own: float, other: float, why: str = NOT_SHOWN) -> dict[str, Any]:
    """Specific, without an interval of the share."""
    specific = comparison(name, own, other, verdict="supported")
    specific["matching"] |= {"share_ci_low": None, "share_ci_high": None, "why_no_interval": why}
    return specific


def test_a_share_without_an_interval_is_neither_nearest_nor_beside_it(tmp_path: Path) -> None:
    supported = {"verdict": "supported"}
    tiny = _unbounded("tiny", 0.04, 0.001)
    of_no_share = _unbounded("negative", -0.01, -0.1, "the similarity is not above zero")
    of_no_share["matching"]["specific_share"] = None
    same = "in 1 of 2 tasks all sets differ by the same amount"
    alike = _unbounded("all alike", 0.2, 0.04, same)
    near, far = comparison("near", 0.2, 0.1, **supported), comparison("far", 0.2, 0.19, **supported)
    run = _run(tmp_path / "run", [tiny, near, far, of_no_share, alike])
    lead = str(getattr(ranking_section(run), "lead", ""))
    nearest = "the nearest of those shown to be specific that can be compared; "
    assert f"near (50.0 [49.0, 51.0] % of a similarity of 0.200) is {nearest}" in lead
    assert "is nearest" not in lead and "not told apart" not in lead
    for words in (
        f"tiny (a similarity of 0.0400) cannot be compared: {NOT_SHOWN}, so that the share has no bounds",
        "negative (a similarity of −0.0100) cannot be compared: the similarity is not above zero",
        f"all alike (a similarity of 0.200) cannot be compared: {same}",
    ):
        assert words in lead
    (group,) = _table(run).groups
    names = [line.name for line in group.rows]
    assert names == ["ICL, reordered", "near", "far", "tiny", "all alike", "negative"]
    entries = {line.name: str(line.entries) for line in group.rows}
    assert f"no bounds: {NOT_SHOWN}" in entries["tiny"] and f"no bounds: {same}" in entries["all alike"]


def test_a_run_that_does_not_say_why_a_share_has_no_interval_can_be_read(tmp_path: Path) -> None:
    """Where the difference has an interval there is one reason alone; else none is said."""
    of_older = [_unbounded("tiny", 0.04, 0.001), _unbounded("open", 0.2, 0.04) | {"ci_low": None, "ci_high": None}]
    for specific in of_older:
        del specific["matching"]["why_no_interval"]
    lead = str(getattr(ranking_section(_run(tmp_path / "run", [*of_older, comparison()])), "lead", ""))
    assert f"tiny (a similarity of 0.0400) cannot be compared: {NOT_SHOWN}, so that the share" in lead
    assert "open (a similarity of 0.200) cannot be compared: the share has no bounds" in lead


def test_without_any_bounded_share_none_is_nearest(tmp_path: Path) -> None:
    run = _run(tmp_path / "run", [_unbounded("tiny", 0.04, 0.001), *_three()])
    lead = str(getattr(ranking_section(run), "lead", ""))
    assert "no method can be called nearest; tiny (" in lead and "No method is shown" not in lead


def test_every_method_has_the_p_of_its_pairing(tmp_path: Path) -> None:
    """Whether its gate is shut, and whatever decided."""
    p_values = {"GD": 0.041, "LCGD": 0.042, "Adam": 0.043}
    comparisons = [
        comparison("GD", p_value=p_values["GD"], p_corrected=1.0, p_equal_corrected=1e-9),
        comparison("LCGD", p_value=p_values["LCGD"], p_corrected=0.3, verdict="undecided"),
        comparison("Adam", p_value=p_values["Adam"], **NOTHING_LEARNED),
    ]
    table = _table(_run(tmp_path / "run", comparisons))
    (group,), place = table.groups, [head.text for head in table.heads].index("p") - 1
    assert {line.name: str(line.entries[place]) for line in group.rows if line.name in p_values} == {
        name: str(p_entry(value)) for name, value in p_values.items()
    }


def test_a_gate_that_one_measure_opened_is_said_to_be(tmp_path: Path) -> None:
    run = _run(tmp_path / "run", _three())
    by_one = [replace(check, better=["likelihood among the label words"]) for check in run.validity]
    section = ranking_section(replace(run, validity=by_one))
    sentence = "in-context learning counts as shown by likelihood among the label words alone."
    assert section is not None and sentence in section.notes[0]
    by_two = [replace(check, better=["AUC", *check.better]) for check in by_one]
    section = ranking_section(replace(run, validity=by_two))
    assert section is not None and sentence not in " ".join(section.notes)


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
