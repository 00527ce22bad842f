"""How far a run is, in a script and in a notebook."""

from typing import Any

import IPython
import pytest
from tests.test_display import _safe

from demograd.progress import Lines, NotebookBars, default_watch
from demograd.study import Watch


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def _work(watch: Lines | NotebookBars, clock: Clock) -> None:
    """A run of twelve steps and queries, of which four diverge away, in two minutes; ZSL is shared and not counted."""
    watch.say("2 fine-tunings to run")
    watch.start(12)
    watch.begin("a cell", "ZSL", 6)
    for so_far in (3, 6):
        clock.seconds += 10
        watch.done(so_far)
    for setting in ("FT", "FT_permuted_labels"):
        watch.begin("a cell", setting, 6)
        clock.seconds += 50
        watch.done(2)
    watch.done(6)


def test_a_script_prints_plain_lines_at_intervals(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with Lines(clock=clock) as lines:
        assert isinstance(lines, Watch)
        _work(lines, clock)
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "2 fine-tunings to run",
        "2 of 12 steps and queries, 0:01:10 so far, about 0:05:50 left: a cell · FT, 2 of 6",
        "8 of 12 steps and queries, 0:02:00 so far, about 0:02:00 left: a cell · FT_permuted_labels, 2 of 6",
        "12 of 12 steps and queries, 0:02:00 so far",
    ]
    assert "\r" not in printed.out and not printed.err


def test_a_notebook_has_one_display_that_is_brought_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []

    class Handle:
        def update(self, content: Any) -> None:
            shown.append(content)

    def display(content: Any, display_id: bool) -> Handle:
        assert display_id and not shown
        shown.append(content)
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    clock = Clock()
    with NotebookBars(clock=clock) as bars:
        assert isinstance(bars, Watch)
        _work(bars, clock)
    on_the_way, last = (_safe(content.data) for content in (shown[-2], shown[-1]))
    assert "2 fine-tunings to run" in on_the_way.text and "a cell · FT_permuted_labels" in on_the_way.text
    assert [value for name, value in on_the_way.attributes if name == "value"] == ["8", "2"]
    assert "12 of 12 steps and queries" in last.text and "a cell" not in last.text


def test_workers_have_a_bar_each() -> None:
    bars = NotebookBars()
    bars.work.total = 12
    for worker in ("worker 1", "worker 2"):
        bars.begin("a cell", "FT", 6, worker=worker)
        bars.done(3, worker=worker)
    reader = _safe(bars._repr_html_())
    assert [value for name, value in reader.attributes if name == "value"] == ["6", "3", "3"]
    assert "worker 2 · a cell · FT" in reader.text


def test_bars_are_for_notebooks_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(default_watch(), Lines)
    for shell, kind in ((type("Kernel", (), {"kernel": None})(), NotebookBars), (object(), Lines), (None, Lines)):
        monkeypatch.setattr(IPython, "get_ipython", lambda shell=shell: shell)
        assert isinstance(default_watch(), kind)
