"""The README and the docs say what is true: links lead somewhere, the table of terms to the function it names."""

import ast
import re
from pathlib import Path

import pytest
from tests.guide import DOCUMENTS, ROOT, code_blocks, name_of

SOURCE = ROOT / "src" / "demograd"
PICTURES = ROOT / "docs" / "pictures"
"""What the manual is built with has no file."""
LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?!https?:)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")


def without_code(document: Path) -> str:
    """The text of a document without its blocks of code, in which brackets are no links."""
    return re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.M | re.S)


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", without_code(document), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def defined_names(module: Path) -> set[str]:
    """What a module defines on its top floor."""
    return {
        node.name
        for node in ast.parse(module.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document: Path) -> None:
    for link in LINK.finditer(without_code(document)):
        target = (document.parent / link["path"]).resolve() if link["path"] else document
        if target.parent == PICTURES:
            continue
        assert target.exists(), f"{document.name}: {link[0]}"
        is_heading = link["anchor"] and not link["anchor"].startswith("demograd.")  # else a name of the reference
        assert not is_heading or link["anchor"] in anchors(target), f"{document.name}: {link[0]}"


def test_the_table_of_terms_links_the_function_it_names() -> None:
    document = ROOT / "docs" / "map.md"
    table = document.read_text(encoding="utf-8").partition("| term |")[2].partition("\n\n")[0]
    functions = [link for link in LINK.finditer(table) if link["text"].startswith("`") and "." not in link["text"]]
    assert len(functions) > 10
    for link in functions:
        assert link["text"].strip("`") in defined_names(document.parent / link["path"]), link[0]


def test_the_table_of_rooms_names_every_room() -> None:
    table = (ROOT / "docs" / "development.md").read_text(encoding="utf-8").partition("| room |")[2].partition("\n\n")[0]
    rooms = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()}
    rooms |= {f"study/{path.name}" for path in (SOURCE / "study").iterdir() if (path / "__init__.py").exists()}
    linked = {
        link["path"].removeprefix("../src/demograd/").removesuffix("/__init__.py") for link in LINK.finditer(table)
    }
    assert rooms <= linked


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_examples_import_what_exists(document: Path) -> None:
    """Every block of Python can be parsed, and what it imports of demograd is there."""
    for block in code_blocks(document, "python"):
        imports = [node for node in ast.parse(block).body if isinstance(node, ast.Import | ast.ImportFrom)]
        exec(compile(ast.Module(imports, []), document.name, "exec"), {})
