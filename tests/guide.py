"""The code that docs/extending.md shows, which tests run."""

import re
from pathlib import Path

GUIDE = Path(__file__).parent.parent / "docs" / "extending.md"


def guide_code(heading: str) -> str:
    """The first block of Python below a heading, such as `A metric`."""
    section = GUIDE.read_text(encoding="utf-8").partition(f"## {heading}\n")[2]
    code = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0]
    assert len(code.splitlines()) < 20
    return str(code)
