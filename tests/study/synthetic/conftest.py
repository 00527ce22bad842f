"""A small synthetic study that has run, shared by the tests that only read it."""

from pathlib import Path

import pandas as pd
import pytest
from tests.study.synthetic.small import REGRESSION, study

from demograd.study import run_study


@pytest.fixture(scope="session")
def regression(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("regression")
    return run_study(study(folder, REGRESSION), folder / "run").folder.path


@pytest.fixture(scope="session")
def table(regression: Path) -> pd.DataFrame:
    return pd.read_parquet(regression / "results.parquet")
