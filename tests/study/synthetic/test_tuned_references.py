"""Facts about tuned references: their loss on held-out sequences, and their bandwidth."""

from pathlib import Path

import pytest
from tests.study.synthetic.small import REGRESSION, SYSTEM, study

from demograd.files import read_json
from demograd.study import run_study
from demograd.study.synthetic.experiment import notes
from demograd.study.synthetic.references import ReferenceSpec, checked, references_of, tune, tuned, tuning_problems
from demograd.synthetic import mesa_predictions


def test_a_reference_that_is_worse_on_fresh_sequences_is_said_to_be(tmp_path: Path) -> None:
    """On 300 sequences, two steps of preconditioned GD++ overfit; one step of GD does not."""
    small = study(tmp_path, REGRESSION, worlds={"anisotropic": {"dimension": 3}})
    world = small.world("anisotropic")
    references = []
    for kind, steps in (("GD", 1), ("preconditioned GD++", 2)):
        specification = ReferenceSpec(kind, steps)
        tensors = tune(small, world, specification)
        held_out = checked(small, world, tuned(world, specification, tensors))
        references.append(tuned(world, specification, tensors, held_out=held_out))
    assert [reference.held_out.is_higher for reference in references] == [False, True]
    plain, sentences = (notes(small, {"anisotropic": [reference]})[1:] for reference in references)
    assert plain == []
    [sentence] = sentences
    assert sentence.startswith("preconditioned GD++, 2 steps in anisotropic is tuned on 300 sequences")
    assert f"{references[1].held_out.excess:.0%} higher" in sentence


def test_losses_on_tuning_and_on_fresh_sequences_are_kept_with_a_reference(tmp_path: Path) -> None:
    small = study(tmp_path, SYSTEM, networks={"linear": {}}, seeds=[0])
    folder, world = run_study(small, tmp_path / "run").folder, small.world("system")
    [file] = (folder.path / "cells").glob("*mesa-optimiser*.safetensors")
    record = folder.load_cell(file.stem)
    fresh = tuning_problems(small, world, held_out=True)
    predicted = mesa_predictions(fresh, record.tensors["steps"], record.tensors["curvature"])
    error = (predicted[:, :-1] - fresh.states[:, 1:]).square().sum(dim=-1).mean()
    assert record.facts["held_out"]["held_out_loss"] == pytest.approx(float(error))
    assert record.facts["held_out"]["tuning_loss"] != record.facts["held_out"]["held_out_loss"]


def test_a_bandwidth_is_a_reference_for_softmax_and_exponential_attention_alone(tmp_path: Path) -> None:
    networks = {kind: {"attention": kind} for kind in ("linear", "relu", "softmax", "exponential")}
    small = study(tmp_path, REGRESSION, networks=networks, references=["functional GD, bandwidth"], mixes=[])
    assert {reference.label for reference in references_of(small)} == {
        "functional GD, bandwidth (softmax), 1 step",
        "functional GD, bandwidth (exponential), 1 step",
    }


def test_the_verdicts_of_a_run_are_open_against_the_references_that_its_notes_call_overfit(regression: Path) -> None:
    notes_of_run = read_json(regression / "provenance.json")["notes"]
    compared = [row for claim in read_json(regression / "claims.json")["claims"] for row in claim["comparisons"]]
    noted = [
        any(note.startswith(f"{row['reference']} in {row['task']} is tuned on") for note in notes_of_run)
        for row in compared
    ]
    assert [f"{row['reference']} is overfit" in row["reason"] for row in compared] == noted
    assert any(noted) and not all(noted)
