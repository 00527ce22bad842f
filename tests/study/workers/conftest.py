"""A study that has run to its end, undisturbed: every other way of running it must give the same bytes."""

from pathlib import Path

import pytest
from tests.study.conftest import small_settings

from demograd.study import Run, Study, Workers, make_study, run_study


def smaller_study(model: Path) -> Study:
    """A study of two networks, two demonstration sets and two methods: eight cells in four fine-tunings."""
    changes = {"tasks": ["mr"], "weights": ["trained", "no_training"], "seeds": [0, 1], "queries": 6, "k": 2}
    return make_study(small_settings(model, **changes))


@pytest.fixture(scope="session")
def undisturbed_run(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The study, run in this process."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    return run_study(smaller_study(small_model), out, workers=Workers(threads=1))


@pytest.fixture(scope="session")
def undisturbed(small_model: Path, undisturbed_run: Run) -> tuple[Study, bytes]:
    """The study and the bytes of its results."""
    return smaller_study(small_model), (undisturbed_run.folder.path / "results.parquet").read_bytes()
