"""A section from outside the package is on the page: by the decorator, by an entry point, and as the guide shows it."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.guide import guide_code

from demograd.cli.lists import print_list
from demograd.errors import UserError
from demograd.report import Section, section, write_report
from demograd.report.section import SECTIONS, registered_sections

MakeRun = Callable[..., Path]


@pytest.fixture(autouse=True)
def restored_sections() -> Iterator[None]:
    """The sections of other tests' pages stay as they are."""
    registered_sections()
    before = dict(SECTIONS)
    yield
    SECTIONS.clear()
    SECTIONS.update(before)


def installed(folder: Path, source: str) -> None:
    """A package with one module and an entry point, as an installer leaves it."""
    (folder / "outside_sections.py").write_text(source)
    metadata = folder / "outside-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[demograd.sections]\ntasks = outside_sections:tasks_of_the_run\n")


def addresses(page: Path) -> list[str]:
    return re.findall(r'<section id="([^"]+)"', page.read_text(encoding="utf-8"))


def test_a_decorated_function_is_a_section_in_its_order_and_replaces_itself(run: MakeRun) -> None:
    folder = run(layers=1)
    for lead in ("the first lead", "the second lead"):

        @section("A section of a notebook", order=255)
        def of_a_notebook(run: object, lead: str = lead) -> Section | None:
            return Section((), lead)

    page = write_report(folder)
    ids = addresses(page)
    assert ids.index("scores") < ids.index("of-a-notebook") < ids.index("validity")
    text = page.read_text(encoding="utf-8")
    assert "A section of a notebook" in text and "the second lead" in text and "the first lead" not in text


def test_two_sections_of_one_name_are_refused() -> None:
    with pytest.raises(UserError, match="Two sections are called layers: “Layer by layer” and “Mine”"):

        @section("Mine", name="layers")
        def of_mine(run: object) -> Section | None:
            return None

    assert [registered.title for registered in registered_sections() if registered.name == "layers"] == [
        "Layer by layer"
    ]


def test_a_section_that_has_nothing_to_say_is_not_on_the_page(run: MakeRun) -> None:
    @section("Silent")
    def silent(run: object) -> Section | None:
        return None

    assert "silent" not in addresses(write_report(run(layers=1)))


def test_an_installed_package_brings_a_section(
    run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = """
from demograd.report import Section, section

@section("Tasks of the run")
def tasks_of_the_run(run):
    return Section((), lead=", ".join(sorted(set(run.results["task"]))) + " and <b>no more</b>")
"""
    installed(tmp_path, source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "outside_sections", raising=False)
    page = write_report(run(layers=1))
    assert "tasks-of-the-run" in addresses(page)
    assert "mr and &lt;b&gt;no more&lt;/b&gt;" in page.read_text(encoding="utf-8")
    print_list("sections")
    assert "Tasks of the run" in capsys.readouterr().out


def test_a_broken_package_is_named(run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, "1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "outside_sections", raising=False)
    with pytest.raises(UserError, match="the section tasks of an installed package cannot be loaded"):
        write_report(run(layers=1))


def test_the_guides_section_is_on_the_page(run: MakeRun) -> None:
    exec(guide_code("A section"), {"__name__": "guide"})
    ids = addresses(write_report(run(layers=1)))
    assert ids[ids.index("performance") + 1] == "how-often"
