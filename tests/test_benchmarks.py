"""The script for machines with a GPU runs, and says so where something is wrong."""

import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["xglm", "llama"])
def test_the_gpu_script_passes_its_checks_on_the_cpu_and_fails_where_lockstep_differs(
    architecture: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu

    monkeypatch.setattr(gpu, "device_tests", lambda: True)
    monkeypatch.setattr(gpu, "TOLERANCES", {torch.float32: 1e-3, torch.bfloat16: -1.0})
    monkeypatch.setattr(sys, "argv", ["gpu.py", *f"--tiny --architecture {architecture} --sets 3 --k 2".split()])
    with pytest.raises(SystemExit) as ended:
        gpu.main()
    assert ended.value.code == 1
    printed = capsys.readouterr().out
    assert [line for line in printed.splitlines() if "FAILED" in line] == [
        "FAILED: GD in lockstep equals one by one to -1",
        "FAILED: LCGD in lockstep equals one by one to -1",
    ]
    assert "7 of 9 checks passed" in printed
