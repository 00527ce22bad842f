"""The first screen says what the verdicts say, in words for a stranger, and draws what they rest on."""

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.report.matched import claims_record, comparison, finding, write_matched_run
from tests.report.rows import row, run_of

from demograd.report import read_run, write_report
from demograd.report.answer import answer
from demograd.report.charts.drawing import COLOURS, rules_in_the_dark
from demograd.report.first_screen import first_screen
from demograd.report.leading_world import leading_world
from demograd.report.matrices import interaction
from demograd.report.page import content_security_policy
from demograd.report.panels import learning_panel, maps_panel
from demograd.report.run import Check
from demograd.report.sections.scores import scores_section
from demograd.statistics import Finding, Verdict


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with all that a first screen shows, and its page."""
    folder = write_matched_run(tmp_path_factory.mktemp("first") / "run")
    write_report(folder)
    return folder


def sentence_of(findings: Sequence[Finding], comparisons: Sequence[dict[str, Any]]) -> str:
    clauses = answer(run_of(claims=claims_record(findings, comparisons)))
    return " ".join(f"{clause.lead}: {clause.text}" for clause in clauses)


@pytest.mark.parametrize(
    ("verdict", "own", "words"),
    [
        (
            Verdict.NOT_SPECIFIC,
            0.173,
            "≈ No: what fine-tuning does is about as similar to in-context learning from other",
        ),
        (
            Verdict.SUPPORTED,
            0.3,
            "✓ Yes: what fine-tuning does is more similar to in-context learning from its own set",
        ),
        (Verdict.CONTRADICTED, 0.1, "✗ No, the other way round: what fine-tuning does is less similar"),
    ],
)
def test_a_decided_question_is_answered_with_both_similarities_and_an_interval(
    verdict: Verdict, own: float, words: str
) -> None:
    sentence = sentence_of([finding(verdict)], [comparison(own=own)])
    assert sentence.startswith(words)
    assert f"({own:.3f})" in sentence and "(0.174)" in sentence
    assert re.search(r"−?\d+(\.\d)? % \[−?[\d.]+, −?[\d.]+\] of the similarity", sentence)
    assert ("within the ±10 % that count as none" in sentence) == (verdict == Verdict.NOT_SPECIFIC)


def test_the_finding_counts_and_not_the_comparison_behind_it() -> None:
    open_finding = finding(Verdict.UNDECIDED, reason="in-context learning was not checked")
    sentence = sentence_of([open_finding], [comparison(verdict="supported")])
    assert sentence == "? Undecided: in-context learning was not checked."


def test_numbers_stand_beside_what_the_data_leave_open_and_not_behind_a_shut_gate() -> None:
    open_finding = finding(Verdict.UNDECIDED, reason="not shown")
    assert sentence_of([open_finding], [comparison(verdict="undecided")]) == "? Undecided: not shown."
    sentence = sentence_of([open_finding], [comparison(verdict="undecided", p_corrected=0.3)])
    assert sentence == "? Undecided: not shown (own set minus others: −0.0010 [−0.0030, 0.0010])."


def test_the_ceiling_of_a_verdict_beneath_it_is_a_number() -> None:
    ceiling = {"ceiling_share": 0.011, "ceiling_share_ci_low": 0.008, "ceiling_share_ci_high": 0.014}
    below = replace(finding(Verdict.NOT_SPECIFIC), caveat="this is below the ceiling")
    of_ceiling = comparison()["matching"] | ceiling
    assert sentence_of([below], [comparison(matching=of_ceiling)]).endswith("the ceiling (1.10 % [0.80, 1.40]).")
    assert sentence_of([below], [comparison()]).endswith("; this is below the ceiling.")


def test_methods_share_a_clause_where_their_verdicts_agree() -> None:
    methods = {"GD": Verdict.NOT_SPECIFIC, "LCGD": Verdict.UNDECIDED, "Adam": Verdict.NOT_SPECIFIC}
    findings = [finding(verdict, method, reason="why" * (method == "LCGD")) for method, verdict in methods.items()]
    sentence = sentence_of(findings, [comparison(method) for method in methods])
    assert sentence.startswith("≈ No for GD and Adam: ") and "? Undecided for LCGD: why" in sentence


def test_many_findings_are_counted_and_their_intervals_spanned() -> None:
    tasks = ["a", "b", "c", "d", "e"]
    findings = [finding(Verdict.NOT_SPECIFIC, task=task) for task in tasks]
    sentence = sentence_of(findings, [comparison(task=task) for task in tasks])
    assert "No for all 5 cases" in sentence and "from −1.6 to 0.4 % of the similarity" in sentence


def test_a_bound_of_many_shares_reads_as_zero_only_where_it_is_and_cases_without_one_are_counted() -> None:
    tasks = ["a", "b", "c", "d", "e"]
    shares = {"specific_share": 0.005, "share_ci_low": 0.0003, "share_ci_high": 0.0092, "identified": 0.5}
    bounded = [comparison(task=task, matching=shares) for task in tasks]
    findings = [finding(Verdict.SUPPORTED, task=task) for task in tasks]
    assert "is from 0.03 to 0.9 % of the similarity (all 95 % intervals)." in sentence_of(findings, bounded)
    boundless = comparison(task="e", matching=shares | {"share_ci_low": None, "share_ci_high": None})
    assert "(all 95 % intervals; 1 of 5 cases have none)." in sentence_of(findings, [*bounded[:4], boundless])


def test_a_caveat_of_a_verdict_is_never_left_out() -> None:
    caveat = "but the same holds of no_training weights"
    assert f"; {caveat}." in sentence_of([finding(Verdict.SUPPORTED, caveat=caveat)], [comparison(own=0.3)])


def test_a_finding_without_its_comparison_leaves_the_runs_own_sentence_alone() -> None:
    assert answer(run_of(claims=claims_record([finding(Verdict.SUPPORTED)], []))) == ()


def test_the_diagonal_of_an_interaction_is_the_specificity_whatever_the_sets_are_like() -> None:
    cells = [(x, y, 0.3 * x - 0.2 * y + 0.08 * (x == y)) for x in range(4) for y in range(4)]
    centred = interaction(pd.DataFrame(cells, columns=["x", "y", "value"]))
    diagonal = centred["value"][centred["x"] == centred["y"]]
    assert diagonal.tolist() == pytest.approx([0.08 * 3 / 4] * 4)


def test_a_set_that_misses_a_pair_leaks_no_main_effect_into_the_others() -> None:
    cells = [(x, y, 0.3 * x - 0.2 * y) for x in range(5) for y in range(5)]
    matrix = pd.DataFrame(cells, columns=["x", "y", "value"])
    assert len(interaction(matrix)) == 25
    holes = matrix.assign(value=matrix["value"].where(matrix["x"] != 1))
    centred = interaction(holes)
    assert {*centred["x"]} == {*centred["y"]} == {0, 2, 3, 4}
    assert centred["value"].abs().max() < 1e-12
    assert interaction(holes[(holes["x"] < 3) & (holes["y"] < 3)]).empty, "two sets are left"


def test_without_a_ceiling_noise_does_not_fill_the_colours(folder: Path) -> None:
    run = read_run(folder)
    assert run.matching is not None
    tuned = run.matching[run.matching["setting"] == "FT"]
    panel = maps_panel(replace(run, matching=tuned), leading_world(run))
    assert panel is not None and [word for word, _ in panel.words] == ["demonstration set"]
    scale = panel.charts[0].drawing.to_dict()["layer"][0]["encoding"]["color"]["scale"]
    assert scale["domain"][1] == pytest.approx(0.1 * 0.2, rel=0.02), "the margin's share of the matched similarity"
    two = tuned[(tuned["icl_seed"] < 2) & (tuned["ft_seed"] < 2)]
    assert maps_panel(replace(run, matching=two), leading_world(run)) is None


def test_a_reader_sees_maps_dots_and_bars_and_the_words_that_they_use(folder: Path) -> None:
    screen = first_screen(read_run(folder))
    maps, similarities, learning = screen.panels
    assert [chart.title for chart in maps.charts] == ["FT by GD", "the ceiling: ICL, reordered"]
    (dots,) = similarities.charts
    for series in ("own set (matched)", "other sets (mismatched)", "own set, labels permuted", "own set, untrained"):
        assert f">{series}<" in dots.svg
    (bars,) = learning.charts
    assert "✓ ICL" in bars.svg and "chance" in bars.svg and "FT by LCGD" in bars.svg
    words = [word for word, _ in screen.words]
    assert {"in-context learning (ICL)", "fine-tuning (FT)", "ZSL", "SimAOU", "specificity", "AUC"} <= set(words)


def test_a_tick_without_the_drawn_measure_is_in_brackets(folder: Path) -> None:
    run = read_run(folder)
    by_likelihood = [replace(check, better=["likelihood among the label words"]) for check in run.validity]
    panel = learning_panel(replace(run, validity=tuple(by_likelihood)), leading_world(run))
    assert panel is not None and "(✓) ICL" in panel.charts[0].svg
    assert "by AUC; (✓): by likelihood among the label words alone" in panel.lead
    is_icl = [check.check == "in_context_learning" for check in run.validity]
    by_both = [
        check if by_one else replace(check, better=["AUC", *check.better])
        for check, by_one in zip(by_likelihood, is_icl, strict=True)
    ]
    panel = learning_panel(replace(run, validity=tuple(by_both)), leading_world(run))
    assert panel is not None and "(✓) ICL" in panel.charts[0].svg and "(✓) FT" not in panel.charts[0].svg
    by_auc = [replace(check, better=["AUC"]) for check in run.validity]
    panel = learning_panel(replace(run, validity=tuple(by_auc)), leading_world(run))
    assert panel is not None and "✓ ICL" in panel.charts[0].svg and "(✓)" not in panel.lead


@pytest.mark.parametrize(
    ("conditional", "words"),
    [
        ((None, False), "95 % interval over demonstration sets and queries"),
        ((None, True), "95 % interval conditional on these demonstrations: over queries alone"),
        ((True, False), "95 % interval over demonstration sets and queries; that of ZSL over queries alone"),
        ((True, None), "95 % interval over queries alone"),
        ((None, None), None),
    ],
)
def test_what_intervals_are_over_is_said_of_those_on_the_screen(
    conditional: tuple[bool | None, bool | None], words: str | None
) -> None:
    rows = [
        row("auc", setting, 0.6, interval="conditional" if of_queries else "demonstrations")
        if of_queries is not None
        else row("auc", setting, 0.6, ci_low=None, ci_high=None)
        for setting, of_queries in zip(("ZSL", "ICL"), conditional, strict=True)
    ]
    assert dict(first_screen(run_of(*rows)).words).get("[ ]") == words


def test_of_many_methods_the_leading_is_among_those_that_are_drawn() -> None:
    methods = ("Adam", "GD", "LCGD", "Momentum", "SGD", "ZO")
    rows = [row("sim_aou", "FT", 0.2, method="GD") | {"method": method} for method in methods]
    world = leading_world(run_of(*rows, claims=claims_record([finding(Verdict.SUPPORTED, "ZO")], [comparison("ZO")])))
    assert world.leading is not None and world.leading.method == "ZO"
    assert [variant.method for variant in world.tuned] == ["ZO", "Adam", "GD", "LCGD"] and world.more == 2


def test_scores_begin_with_what_the_answer_is_about_and_not_with_the_largest_number() -> None:
    specific = {"versus": "other_sets", "n_seeds": 8}
    rows = [row("sim_aou", "FT", 0.2, method=method) for method in ("GD", "LCGD")]
    rows += [row("sim_aou", "FT", 0.01, method="GD", **specific), row("sim_aou", "FT", 0.19, method="LCGD", **specific)]
    section = scores_section(run_of(*rows, claims=claims_record([finding(Verdict.SUPPORTED)], [comparison()])))
    assert section is not None
    assert "SimAOU of GD (trained) is 0.200 [0.180, 0.220] on ICL’s own set" in section.lead
    assert "0.010 [−0.010, 0.030]; the verdict on GD on mr is “supported”." in section.lead


def test_a_finding_that_is_pooled_over_tasks_is_drawn_on_the_first_of_them() -> None:
    rows = [row("sim_aou", "FT", 0.2, method=method, task=task) for task in ("mr", "trec") for method in ("GD", "LCGD")]
    pooled = comparison("LCGD", task="mr and trec")
    of_both = finding(Verdict.NOT_SPECIFIC, "LCGD", task="mr and trec")
    world = leading_world(run_of(*rows, claims=claims_record([of_both], [pooled])))
    assert world.leading is not None and (world.leading.method, world.leading.task) == ("LCGD", "mr")
    assert world.words == "mr, the first of 2 tasks"


def test_an_undecided_check_is_explained_where_it_stands() -> None:
    about = {"weights": "trained", "task": "mr", "check": "in_context_learning", "method": None, "message": ""}
    rows = [row("auc", "ZSL", 0.5), row("auc", "ICL", 0.6)]
    leads = [
        first_screen(run_of(*rows, validity=(Check(**about, passed=False, undecided=is_open),))).panels[0].lead
        for is_open in (True, False)
    ]
    assert ["?: undecided" in lead for lead in leads] == [True, False]


def test_pictures_lead_a_section_and_tables_are_folded_beneath(folder: Path) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    section = page[page.index('<section id="layers"') : page.index("</section>", page.index('<section id="layers"'))]
    assert "<figure>" in section
    for table in re.finditer("<table", section):
        assert section.rindex("<details>", 0, table.start()) > section.rindex("</figure>", 0, table.start())


def test_the_policy_allows_the_style_of_the_page_and_nothing_else(folder: Path) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    (style,) = re.findall("<style>(.*?)</style>", page, re.DOTALL)
    allowed = b64encode(sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-{allowed}'"
    assert f'content="{policy.replace(chr(39), "&#39;")}"' in page
    assert "script-src 'sha256-" in content_security_policy([style], ["alert(1)"])


def test_every_colour_of_a_line_has_one_for_the_dark_and_text_never_stays_black(folder: Path) -> None:
    rules = rules_in_the_dark()
    page = (folder / "report.html").read_text(encoding="utf-8")
    colours = set(re.findall(r'<text[^>]* fill="([^"]+)"', page)) | set(COLOURS)
    assert colours and all(f'fill="{colour}"' in rules for colour in colours)
    assert 'fill="white"' not in page, "the drawings have no ground of their own"
