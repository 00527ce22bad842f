"""A script that starts a run while it is imported gets an explanation: worker processes import it."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from demograd.study import Study
from demograd.study.workers.local import KILLED

RUN = 'import demograd\ndemograd.run("study.yaml", "out", workers=demograd.Workers(number=2, threads=1))\n'


@pytest.mark.slow
def test_a_script_without_a_main_guard_is_told_what_to_add_and_nothing_is_kept_as_failed(
    undisturbed: tuple[Study, bytes], tmp_path: Path
) -> None:
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(undisturbed[0].model_dump(mode="json")))
    (tmp_path / "script.py").write_text(RUN)
    ended = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 1
    *_, last = ended.stderr.strip().splitlines()
    assert "Worker processes ended while they imported the script" in last and "if __name__ ==" in last
    assert "A worker process imports the script, and that starts a run once more" in ended.stderr
    assert KILLED not in ended.stdout + ended.stderr and not (tmp_path / "out").exists()
