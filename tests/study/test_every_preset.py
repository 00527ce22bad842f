"""Every preset through the real command line to its page, small: tens of minutes, hence `make test-slow`.

Each language model is the preset's own with real weights; only checkpoints are small models, since a machine without
a hub has none.
"""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from demograd import open_run, read_study
from demograd.study import SyntheticStudy, preset_groups, preset_names

pytestmark = pytest.mark.slow

SMALL = ["--k", "4", "--queries", "8", "--seeds", "1"]
OPTIONS: dict[str, list[str]] = {
    "shen2023-metrics": ["--k", "1,4", "--queries", "8", "--seeds", "1"],
    "shen2023-order": [*SMALL, "--set", "orders=3"],
    "shen2023-bridge-language-model": [*SMALL, "--set", "orders=3"],
    "shen2023-sparsity": [],
}
"""Command-line options by preset, where they differ from `SMALL`."""
SYNTHETIC = ["training.steps=60", "seeds=0,1", "tuning_sequences=2048", "test_sequences=4096"]
"""Overrides for synthetic presets: every network, world, reference and question stays, training is short."""
OWN_TRAINING = {"steps": 60, "starts": 2, "trial": 20, "warmup": 10}


@pytest.fixture(scope="module")
def checkpoints(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two checkpoints of one small model."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for state in ("early", "late"):
        torch.manual_seed(len(state))
        LlamaForCausalLM(LlamaConfig.from_pretrained(small_model)).save_pretrained(folder / state)
        AutoTokenizer.from_pretrained(small_model).save_pretrained(folder / state)
    return [str(folder / "early"), str(folder / "late")]


def options(preset: str, checkpoints: list[str]) -> list[str]:
    """Options that make a preset small."""
    study = read_study(preset)
    if not isinstance(study, SyntheticStudy):
        states = [part for state in checkpoints for part in ("--checkpoint", state)]
        return [*OPTIONS.get(preset, SMALL), *(["--model", checkpoints[0], *states] if study.checkpoints else [])]
    own = [
        f"networks.{name}.training.{setting}={value}"
        for name, network in study.networks.items()
        for setting, value in OWN_TRAINING.items()
        if getattr(network.training, setting) is not None
    ]
    return [part for change in (*SYNTHETIC, *own) for part in ("--set", change)]


@pytest.mark.parametrize("preset", preset_names())
def test_a_preset_runs_to_its_page(preset: str, checkpoints: list[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-c", "from demograd.cli import main; main()", "run", preset, "--out", str(out)]
    done = subprocess.run([*command, *options(preset, checkpoints)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "Traceback" not in done.stdout + done.stderr
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.rstrip().endswith("</html>") and not [word for word in (">nan<", ">inf<", ">NaN<") if word in page]
    table = pd.read_parquet(out / "results.parquet")
    assert table.value.notna().any() and open_run(out).failed == ()


@pytest.mark.parametrize("group", preset_groups())
def test_a_group_of_presets_runs_to_one_page(group: str, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    command = [sys.executable, "-c", "from demograd.cli import main; main()", "run", group, "--out", str(out), *SMALL]
    overrides = [part for change in ("orders=3", *SYNTHETIC) for part in ("--set", change)]
    done = subprocess.run([*command, *overrides], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    presets = preset_groups()[group]["studies"]
    assert {path.name for path in out.iterdir()} == {*presets, f"{'+'.join(presets)}.html"}
