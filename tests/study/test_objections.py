"""Why a comparison does not count, on validity checks and sizes made by hand."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from demograd.study.language_model import objections
from demograd.study.language_model.objections import ABSURD, UNCHANGED, objection_to
from demograd.study.language_model.validity import cell_label

WORLD: Any = SimpleNamespace(model="m", task="t", labels="gold", k=4, weights="trained", initialisation=0)
GROUP: Any = SimpleNamespace(cell=SimpleNamespace(method="readout GD", learning_rate=0.1))


def _objection(metric: str, size: float, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(objections, "size_curve", lambda curve: torch.full((1, 3), size))
    label = cell_label(GROUP.cell.method, GROUP.cell.learning_rate)
    invalid = {("update_size", ("m", "t", "gold", 4, "trained", 0, label)): ABSURD}
    side = {"model": "m", "weights": "trained", "metric": metric, "method": "readout GD", "setting": "FT"}
    return objection_to(invalid, {"left": side}, [WORLD], [side, 0.0], [[GROUP]], None)


def test_a_method_that_changes_predictions_alone_has_no_size_to_be_absurd(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _objection("sim_labels", 0.0, monkeypatch) == ""
    assert _objection("sim_aou", 0.0, monkeypatch) == UNCHANGED
    assert _objection("sim_labels", 1000.0, monkeypatch) == ABSURD
