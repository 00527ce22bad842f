"""The bar of all work says how long a run still takes: what it counts in the end is what it counted on."""

from pathlib import Path

import pytest
from tests.study.conftest import small_model as small_model  # the fixture
from tests.study.conftest import small_settings
from tests.study.synthetic.small import REGRESSION, study

from demograd.cli.progress import ProgressBars
from demograd.study import Workers, make_study, run_study


@pytest.mark.parametrize("number", [1, 2])
def test_all_work_of_a_language_model_is_counted_once(small_model: Path, tmp_path: Path, number: int) -> None:
    settings = small_settings(
        small_model, weights=["trained"], seeds=[0], queries=4, k=2, measures=["similarity", "order_sensitivity"]
    )
    with ProgressBars() as bars:
        run_study(make_study({**settings, "orders": 2}), tmp_path / "run", bars, workers=Workers(number=number))
    (whole,) = (task for task in bars.progress.tasks if task.id == bars.whole)
    # GD and LCGD: FT, FT in the other order, and a control, each with two steps and four queries
    assert whole.total == whole.completed == 2 * 3 * (2 + 4)


def test_epochs_and_steps_on_the_way_are_work_too(small_model: Path, tmp_path: Path) -> None:
    methods = {"GD": {"epochs": 2}, "GD-batch": {"epochs": 2}}
    rates = {"GD": [0.01], "GD-batch": [0.01]}
    changes = {"weights": ["trained"], "seeds": [0], "queries": 4, "k": 2, "controls": [], "observe_at": [1, 3, 9]}
    with ProgressBars() as bars:
        study = make_study(small_settings(small_model, methods=methods, learning_rates=rates, **changes))
        run_study(study, tmp_path / "run", bars)
    (whole,) = (task for task in bars.progress.tasks if task.id == bars.whole)
    # four steps, and queries at the end and after steps 1 and 3; a full batch takes two steps, which count as four
    assert whole.total == whole.completed == (4 + 3 * 4) + (4 + 2 * 4)


def test_all_training_of_small_transformers_is_counted_once(tmp_path: Path) -> None:
    small = study(tmp_path, REGRESSION)
    with ProgressBars() as bars:
        run_study(small, tmp_path / "run", bars)
    (whole,) = (task for task in bars.progress.tasks if task.id == bars.whole)
    assert whole.total == whole.completed and whole.total is not None


def test_a_setting_that_diverges_is_no_work_that_is_left() -> None:
    with ProgressBars() as bars:
        bars.start(12)
        for setting in ("ZSL", "FT", "FT_permuted_labels"):
            bars.begin("a cell", setting, 6)
            bars.done(2)
        bars.done(6)
    (whole,) = (task for task in bars.progress.tasks if task.id == bars.whole)
    assert whole.completed == 12
