"""The tutorial notebook runs from its first cell to its last, and what it prints is what it says."""

import ast
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from tests.test_display import _safe

from demograd import charts, open_run

NOTEBOOK = Path(__file__).parents[2] / "examples" / "tutorial.ipynb"


class Tutorial:
    """The notebook after it ran in a folder, with other values of its first cell."""

    def __init__(self, folder: Path, **parameters: Any) -> None:
        self.notebook: Any = nbformat.read(NOTEBOOK, as_version=4)
        cell = next(cell for cell in self.notebook.cells if "parameters" in cell.metadata.get("tags", ()))
        names = {node.targets[0].id for node in ast.parse(cell.source).body}  # type: ignore[attr-defined]
        assert parameters.keys() <= names, "only what the cell sets can be set"
        cell.source += "".join(f"\n{name} = {value!r}" for name, value in parameters.items())
        NotebookClient(self.notebook, timeout=1200, resources={"metadata": {"path": str(folder)}}).execute()
        self.outputs = [output for cell in self.notebook.cells for output in cell.get("outputs", ())]

    @property
    def printed(self) -> str:
        """All that was printed."""
        return "".join(output["text"] for output in self.outputs if output.get("name") == "stdout")

    def number(self, pattern: str) -> float:
        """A printed number."""
        printed = re.search(pattern + r" *(-?[\d.]+\d)", self.printed)
        assert printed is not None, pattern
        return float(printed[1])

    @property
    def matrix(self) -> list[float]:
        """The matrix of the notebook's own loop, row by row."""
        table = next(page for page in self.shown("text/html") if "ICL with set" in page)
        return [float(cell) for cell in re.findall(r"<td>(-?[\d.]+)</td>", table)]

    def shown(self, kind: str) -> list[Any]:
        """What was displayed in one format, in order."""
        return [output["data"][kind] for output in self.outputs if kind in output.get("data", {})]


def _check(tutorial: Tutorial, folder: Path, sets: int) -> None:
    for setting in ("zero-shot", "in context", "after fine-tuning:"):
        assert 0 <= tutorial.number(setting) <= 1

    run = open_run(folder)
    matrix = run.matrix("sim_aou")
    assert matrix.shape == (sets, sets)
    printed = tutorial.matrix
    assert len(printed) == sets**2 and all(-1 <= score <= 1 for score in printed)
    for other in (0, 1):  # the naive numbers of ICL with set 0, and the mean of the diagonal, are those of its matrix
        assert tutorial.number(f"fine-tuning on set {other}:") == pytest.approx(printed[other], abs=0.0011)
    matched = sum(printed[:: sets + 1]) / sets
    assert tutorial.number("matched") == pytest.approx(matched, abs=0.0011)

    pages = [page for page in tutorial.shown("text/html") if "tex2jax_ignore" in page]
    for page, words in zip(
        pages, ("Model", "Task", "Context of", "Right on", "steps and queries", "Run("), strict=True
    ):
        assert words in _safe(page).text
    assert run.finding in tutorial.printed
    assert run.folder.read_json("claims.json")["finding"]["verdict"] == "undecided"
    assert f"Of {sets} sets nothing is decided: it takes 7." in tutorial.printed
    assert len(charts.matching(run, metric="sim_aou").to_dict()["vconcat"][0]["concat"]) == 2
    assert any("vegaEmbed" in page for page in tutorial.shown("text/html")), "the chart is drawn"


def test_the_notebook_ships_without_outputs() -> None:
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        assert not cell.get("outputs") and not cell.get("execution_count")


@pytest.mark.slow  # a kernel imports everything anew: 15 s
def test_the_tutorial_runs_in_small(small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # of the kernel, as the tests have it
    sizes = {"K": 6, "QUERIES": 4, "SETS": 3, "LEARNING_RATE": 0.01}
    tutorial = Tutorial(tmp_path, MODEL=str(small_model), FOLDER="run", **sizes)
    _check(tutorial, tmp_path / "run", 3)

    # The loop of the notebook and the study measure the same: what is printed has three decimals. On the real model the
    # last steps of Adam amplify rounding: between one thread and two, scores of a set differ by 0.006.
    matrix = open_run(tmp_path / "run").matrix("sim_aou")
    assert tutorial.matrix == pytest.approx(matrix.to_numpy().ravel().tolist(), abs=0.0011)


@pytest.mark.slow
def test_the_tutorial_runs_on_the_real_model(tmp_path: Path) -> None:
    tutorial = Tutorial(tmp_path, FOLDER="run")
    _check(tutorial, tmp_path / "run", 4)
    assert tutorial.number("in context") > tutorial.number("zero-shot"), "the model learns in context"
    own, other = (tutorial.number(f"fine-tuning on set {number}:") for number in (0, 1))
    assert own > 0.1 and other > own / 2, "the naive score is high, on other demonstrations too"
