"""A shell completes what demograd knows by name, and waits for nothing heavy."""

import os
import subprocess
import sys

import pytest
from tests.test_start_up import HEAVY

_COMPLETE = (
    "import atexit, sys\n"
    f"heavy = {sorted(HEAVY)!r}\n"
    "atexit.register(lambda: print('LOADED', [name for name in heavy if name in sys.modules], file=sys.stderr))\n"
    "sys.argv = ['demograd']\n"
    "from demograd.cli import main\n"
    "main()\n"
)


def completed(*words: str) -> list[str]:
    """What bash offers for the last of these words."""
    environment = {
        **os.environ,
        "_DEMOGRAD_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(["demograd", *words]),
        "COMP_CWORD": str(len(words)),
    }
    ended = subprocess.run([sys.executable, "-c", _COMPLETE], env=environment, capture_output=True, text=True)
    assert ended.stderr.strip() == "LOADED []", ended.stderr
    return ended.stdout.split()


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["comp"], ["compare"]),
        (["run", "quick"], ["quickstart"]),
        (["run", "shen2023-br"], ["shen2023-bridge", "shen2023-bridge-language-model", "shen2023-bridge-transformers"]),
        (["run", "--task", "tr"], ["trec"]),
        (["run", "--model", "smollm2-1"], ["smollm2-135m"]),
        (["run", "--method", "LC"], ["LCGD"]),
        (["run", "--measure", "reord"], ["reordering"]),
        (["list", "met"], ["methods", "metrics"]),
        (["check", "smollm2-1"], ["smollm2-135m"]),
    ],
)
def test_names_are_completed_without_anything_heavy(words: list[str], names: list[str]) -> None:
    assert sorted(set(completed(*words)) & set(names)) == names
    assert all(word.startswith(words[-1]) for word in completed(*words))
