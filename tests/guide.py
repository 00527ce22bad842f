"""The code that the README and the manual show, which tests run."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "extending.md"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def name_of(document: Path) -> str:
    """A document as a test is named after it: `docs/how-to/my-data.md`."""
    return document.relative_to(ROOT).as_posix()


def code_blocks(document: Path, language: str) -> list[str]:
    """The blocks of code in a language, in their order."""
    text = document.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def guide_code(heading: str) -> str:
    """The first block of Python below a heading of docs/extending.md, such as `A metric`."""
    section = GUIDE.read_text(encoding="utf-8").partition(f"## {heading}\n")[2]
    code = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0]
    assert len(code.splitlines()) < 20
    return str(code)
