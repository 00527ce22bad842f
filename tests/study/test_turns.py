"""Facts about turns: a plan, which knows a network's shapes alone, says of them what a run does."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.study.conftest import small_settings

from demograd import load_model
from demograd.learn import fine_tuned
from demograd.learn.parameters import slices_of_layers
from demograd.study import make_study
from demograd.study.language_model import turns
from demograd.study.plan.blueprint import blueprint_of
from demograd.tasks.prompts import TrainingSequence


@pytest.mark.parametrize("options", [{}, {"parameters": {"which": "all"}}, {"parameters": {"fraction": 0.25}}], ids=str)
def test_a_blueprint_has_the_turns_of_its_network(
    options: dict[str, Any], small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three trainings, and FT after a step on the way: weights of four times what is trained are held of a set."""
    study = make_study(small_settings(small_model, methods={"GD": options}, observe_at=[1]))
    method, network = study.method("GD", 0.01), load_model(str(small_model)).anatomy
    trained = [part for parts in slices_of_layers(network, method.parameters).values() for part in parts]
    entries = sum(part.select(part.parameter).numel() for part in trained)
    of_set = turns.held_bytes(study, network, method, 3)
    assert of_set == pytest.approx(4 * 4 * entries, rel=0.1)  # which entries are drawn is chance
    monkeypatch.setattr(turns, "HELD_BYTES", 2 * of_set)
    for anatomy in (network, blueprint_of(str(small_model)).anatomy):
        assert turns.sets_at_once(study, anatomy, method, 3, sets=9) == 2
        assert turns.sets_at_once(study, anatomy, method, 3, sets=1) == 1
    monkeypatch.setattr(turns, "HELD_BYTES", 1)
    assert turns.sets_at_once(study, network, method, 3, sets=9) == 1, "one set is trained whatever it takes"


def test_a_readouts_change_is_held_as_it_is_counted(small_model: Path) -> None:
    """A row over the vocabulary for each token of an answer; its features are small beside it."""
    study = make_study(small_settings(small_model, methods=["readout GD"], k=2))
    method, model = study.method("readout GD", 0.01), load_model(str(small_model))
    sequences = [TrainingSequence([0, 5, 6, answer], [False, True, True, True], 3) for answer in (7, 8)]
    with fine_tuned(model, sequences, method) as tuned:
        assert tuned.intervention is not None and isinstance(tuned.intervention.logit_change, partial)
        features, coefficients = tuned.intervention.logit_change.args
    assert len(features) == 2
    assert turns.held_bytes(study, model.anatomy, method, 3) == 3 * coefficients.nbytes
