"""Why a comparison does not count, on validity checks and sizes made by hand."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from demograd.study.language_model import objections
from demograd.study.language_model.objections import ABSURD, UNCHANGED, objection_to
from demograd.study.language_model.validity import cell_label

WORLD: Any = SimpleNamespace(model="m", task="t", labels="gold", k=4, weights="trained", initialisation=0)
SIZES = {"readout GD": 0.0, "GD": 1000.0, "idle": 1e-4}


def _objection(metric: str, *methods: str, monkeypatch: pytest.MonkeyPatch, at: float | None = None) -> str:
    """To sides of these methods, all of which failed the check of their update's size; `at`: the size of both."""
    groups: list[Any] = [SimpleNamespace(cell=SimpleNamespace(method=method, learning_rate=0.1)) for method in methods]
    monkeypatch.setattr(
        objections, "tuned_scores", lambda group, *_: [torch.full((4, 2), SIZES[group.cell.method])] * 3
    )
    of_world = {"model": "m", "weights": "trained", "metric": metric, "setting": "FT"}
    invalid = {("update_size", ("m", "t", "gold", 4, "trained", 0, cell_label(name, 0.1))): ABSURD for name in methods}
    sides: list[Any] = [of_world | {"method": method} for method in methods]
    monkeypatch.setattr(objections, "size_curve", lambda _: torch.tensor([[1.0]]))
    return objection_to(invalid, {"left": sides[0]}, [WORLD], sides, [[group] for group in groups], at)


def test_a_method_that_changes_predictions_alone_leaves_the_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _objection("sim_aou", "readout GD", monkeypatch=monkeypatch) == UNCHANGED


@pytest.mark.parametrize("method", ["readout GD", "GD", "idle"])
def test_what_is_said_of_predictions_asks_for_no_size_inside(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _objection("sim_labels", method, monkeypatch=monkeypatch) == ""
    assert _objection("sim_labels", method, monkeypatch=monkeypatch, at=1000.0) == ""


@pytest.mark.parametrize("metric", ["sim_aou", "sim_am_delta", "layer_by_layer_sim_aou"])
@pytest.mark.parametrize("method", ["GD", "idle"])
def test_what_is_said_of_the_inside_does(metric: str, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _objection(metric, method, monkeypatch=monkeypatch) == ABSURD
    assert _objection(metric, method, monkeypatch=monkeypatch, at=1000.0) == ABSURD
