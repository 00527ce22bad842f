"""The first screen of a synthetic run says what the verdicts say, and draws what they rest on."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser
from tests.report.synthetic.rows import WORLD, everything, reference, row, synthetic_run, write_synthetic_run

from demograd.report import ReportedRun, read_run, write_report
from demograd.report.first_screen import first_screen
from demograd.report.network_answer import network_answer
from demograd.report.network_panels import elsewhere_panel, losses_panel, sensitivities_panel
from demograd.report.network_world import network_world
from demograd.report.panels import Panel


def pair(method: str, ratio: float | None, cosine: float, **about: Any) -> Iterator[dict[str, Any]]:
    """What says whether a network is an algorithm, and that one's loss."""
    yield row("loss_ratio", ratio, method=method, **about)
    yield row("sensitivity_cosine", cosine, method=method, around=0.001, **about)


def one_layer() -> list[dict[str, Any]]:
    """A layer that is GD and not Bayes, which makes no error that its axis could show."""
    rows = [row("loss", 1.934), row("training_loss", 5.5, step=1), row("training_loss", 2.0, step=700)]
    rows += [reference("loss", 1.931, "GD, 1 step"), reference("loss", 3e-14, "Bayes", around=1e-15)]
    rows += [*pair("GD, 1 step", 1.002, 0.998), *pair("Bayes", 1.5, 0.836)]
    for scale in (0.5, 1.0, 2.0):
        rows.append(row("loss_at_scale", 1.9 * scale**4, at=scale))
        rows += [
            reference("loss_at_scale", loss, name, at=scale) for name, loss in (("GD, 1 step", 2.0), ("Bayes", 1e-14))
        ]
    return rows


def sentence_of(run: ReportedRun) -> str:
    return " ".join(f"{clause.lead}: {clause.text}" for clause in network_answer(run)[1])


def panel_of(make: Any, run: ReportedRun) -> Panel:
    world = network_world(run)
    assert world is not None
    panel = make(run, world)
    assert isinstance(panel, Panel)
    return panel


def test_each_verdict_is_a_clause_with_its_numbers_and_intervals() -> None:
    run = synthetic_run(*one_layer())
    assert network_answer(run)[0].endswith("do what a known algorithm does, such as gradient descent (GD)?")
    assert sentence_of(run) == (
        "✓ Yes: “linear, 1 layer” does what GD, 1 step does "
        "(ratio of losses 1.002 [0.998, 1.006], cosine of sensitivities 0.9980 [0.9970, 0.9990]). "
        "✗ Not so: “linear, 1 layer” does not do what Bayes does (its loss is at least 1.49 times as large; "
        "ratio of losses 1.500 [1.496, 1.504], cosine of sensitivities 0.8360 [0.8350, 0.8370])."
    )


def test_what_is_open_has_its_reason_and_no_yes() -> None:
    sentence = sentence_of(synthetic_run(*pair("GD, 1 step", 1.002, 0.998, n_seeds=3)))
    assert sentence == (
        "? Undecided: it is open whether “linear, 1 layer” does what GD, 1 step does (fewer than 5 training seeds (3))."
    )


def test_of_many_pairs_the_first_stands_for_all_and_they_are_counted() -> None:
    rows = [number for step in range(1, 5) for number in pair(f"GD, {step} steps", 3.0, 0.5)]
    sentence = sentence_of(synthetic_run(*rows))
    assert sentence.startswith("✗ No: in 4 of 4 cases; for one, “linear, 1 layer” does not do what GD, 1 steps does")
    assert sentence.count("ratio of losses") == 1


def test_several_claims_and_worlds_are_told_apart(tmp_path: Path) -> None:
    run = read_run(write_synthetic_run(tmp_path))
    sentence = sentence_of(run)
    for clause in (
        f"✓ Yes: in {WORLD}, “linear, 1 layer” does what GD, 1 step does (ratio",
        f"✗ Not so: in {WORLD}, “linear, 3 layers” does not do what GD, 3 steps does (its loss is at least",
        f"✓ Supported: in {WORLD}, the preconditioner of “linear, 1 layer” is within 0.05 of the best one.",
        "✓ Supported: in exponential kernel, “exponential”, whose attention matches the kernel, has the lowest loss.",
        "✓ Supported: in orthogonal system, the error of “linear, 3 layers” is within 10 % of that of least squares.",
        f"? Undecided: it is open whether in {WORLD}, “relu, 1 layer” learned anything (diverged at step 120",
    ):
        assert clause in sentence
    assert {"preconditioner", "kernel", "ratio of losses"} <= {word for word, _ in first_screen(run).words}


def test_an_answer_says_by_which_range_it_was_decided() -> None:
    near, far = (row("multiple_distance", distance, method="A to Σ⁻¹") for distance in (0.02, 0.3))
    assert sentence_of(synthetic_run(near)).startswith("✓ Yes: the A of “linear, 1 layer” are within 0.1 of multiples")
    as_good = row("loss_ratio", 1.0, method="preconditioned GD, 3 steps")
    assert "are not all within 0.1 of multiples of Σ⁻¹" in sentence_of(synthetic_run(far, as_good))
    repeated = row("loss_ratio_repeated", 1.05, at=2, method="GD, 1 step")
    run = synthetic_run(repeated)
    assert "errs within 10 % of what that many steps of GD do (" in sentence_of(run)
    (claim,) = (claim for claim in run.claims["claims"] if claim["name"] == "recurrence")
    claim["comparisons"][0]["numbers"][0] |= {"low": 0.95, "high": 1.05}
    assert "errs within 5 % of what that many steps of GD do (" in sentence_of(run), "as it was decided"


def test_a_finding_that_has_no_words_or_no_comparison_leaves_the_runs_own_sentence_alone() -> None:
    run = synthetic_run(*pair("GD, 1 step", 1.002, 0.998))
    (finding,) = run.claims["findings"]
    renamed = run.claims | {"findings": [finding | {"claim": "unheard-of"}]}
    twice = run.claims | {"findings": [finding, finding]}
    assert [network_answer(replace(run, claims=claims)) for claims in (renamed, twice)] == [("", ()), ("", ())]


def test_losses_stand_beside_those_before_training_and_of_algorithms() -> None:
    panel = panel_of(losses_panel, synthetic_run(*one_layer()))
    (chart,) = panel.charts
    data = next(iter(chart.drawing.to_dict()["datasets"].values()))
    shown = {(int(dot["row"]), dot["series"], dot["value"]) for dot in data}
    assert shown == {
        (0, "network", 1.934),
        (0, "before training", 5.5),
        (1, "algorithm", 1.931),
        (2, "algorithm", 3e-14),
    }
    assert "GD, 1 step 1.931 [1.927, 1.935]" in chart.description
    words = dict(first_screen(synthetic_run(*one_layer())).words)
    assert words["[ ]"].endswith("over training seeds and test sequences; of algorithms over test sequences alone")
    assert words["GD"].startswith("gradient descent") and words["Bayes"].startswith("the best possible prediction")


def test_of_many_learners_the_leading_network_and_its_algorithms_are_drawn_and_the_rest_is_counted() -> None:
    rows = [row("loss", 1.0, model=f"other {number}") for number in range(4)] + one_layer()
    rows += [reference("loss", 2.0, f"GD, {steps} steps") for steps in (2, 3)]
    world = network_world(synthetic_run(*rows))
    assert world is not None and world.references == ("GD, 1 step", "Bayes"), "those of other networks are not"
    assert world.networks == ("linear, 1 layer", "other 0", "other 1") and world.more == 4


def test_a_loss_that_exploded_presses_no_other_flat_and_is_named() -> None:
    rows = [row("loss", 1.934), row("training_loss", 5e9, step=1), reference("loss", 1.931, "GD, 1 step")]
    panel = panel_of(losses_panel, synthetic_run(*rows))
    (chart,) = panel.charts
    data = next(iter(chart.drawing.to_dict()["datasets"].values()))
    assert {dot["value"] for dot in data} == {1.934, 1.931}
    assert panel.lead.endswith("Too far off to draw: linear, 1 layer before training.")


def test_losses_far_apart_have_a_logarithmic_axis_and_what_diverged_is_a_heading_alone() -> None:
    rows = [row("loss", 100.0), reference("loss", 0.1, "GD++ (shared), 3 steps")]
    rows += [row("loss", None, model="relu", status="diverged at step 120 (5 of 5 training seeds)")]
    rows += [reference("loss", 1e-14, "Bayes", around=1e-15)]
    run = synthetic_run(*rows)
    panel = panel_of(losses_panel, run)
    assert panel.lead.endswith("Too far off to draw: Bayes.")
    (chart,) = panel.charts
    assert '"type": "log"' in chart.drawing.to_json()
    assert "relu diverged at step 120;" in chart.description
    assert "GD++" in dict(first_screen(run).words)


def test_each_algorithm_has_its_verdict_as_a_mark_beside_its_cosine() -> None:
    panel = panel_of(sensitivities_panel, synthetic_run(*one_layer()))
    assert "✓ GD, 1 step 0.9980 [0.9970, 0.9990]; ✗ Bayes 0.8360 [0.8350, 0.8370]" in panel.charts[0].description
    assert "✓: the same algorithm, by losses too; ✗: not the same." in panel.lead and "?" not in panel.lead


def test_a_line_that_has_no_place_on_the_axis_is_named() -> None:
    panel = panel_of(elsewhere_panel, synthetic_run(*one_layer()))
    assert [key.label for key in panel.legend] == ["linear, 1 layer", "GD, 1 step"]
    assert panel.lead.endswith("Not drawn, for it would need another axis: Bayes.")


def test_a_run_of_constructions_alone_has_no_pictures_there() -> None:
    error = row("construction_error", 1e-15, setting="construction", model=None, task=None, method="GD")
    screen = first_screen(synthetic_run(error))
    assert (screen.question, screen.clauses, screen.panels, screen.words) == ("", (), (), ())


@pytest.mark.browser
def test_the_first_screen_is_whole_and_anyone_can_use_it(tmp_path: Path, browser: Browser) -> None:
    worlds = {WORLD: {"kind": "linear", "dimension": 10}}
    address = write_report(write_synthetic_run(tmp_path, one_layer(), worlds=worlds)).as_uri()
    with browser.new_context(viewport={"width": 1280, "height": 900}, offline=True, color_scheme="dark") as context:
        tab = context.new_page()
        tab.goto(address)
        panels = (".panel.network-losses", ".panel.sensitivities", ".panel.elsewhere")
        for part in (".question", ".sentence", *panels, ".words"):
            box = tab.locator(part).bounding_box()
            assert box is not None and box["y"] >= 0 and box["y"] + box["height"] <= 900, part
        faults = Axe().run(tab).response["violations"]
        assert [fault["id"] for fault in faults if fault["impact"] in ("serious", "critical")] == []


def test_the_page_of_everything_opens_with_its_first_world(tmp_path: Path) -> None:
    screen = first_screen(read_run(write_synthetic_run(tmp_path, everything())))
    assert [panel.name for panel in screen.panels] == ["network-losses", "sensitivities", "elsewhere"]
    assert all(f"In {WORLD}." in panel.title for panel in screen.panels)
