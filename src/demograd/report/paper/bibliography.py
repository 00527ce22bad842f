"""The bibliography: of `published/sources.bib`, the entries that a text cites; as BibTeX, and as LaTeX sets it."""

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from demograd.errors import UserError


@cache
def entries() -> dict[str, str]:
    """Key → entry of BibTeX."""
    text = (files("demograd.published") / "sources.bib").read_text(encoding="utf-8")
    return {
        match[1]: match[0].strip() for match in re.finditer(r"^@\w+\{(\w+),\n.*?^\}", text, re.DOTALL | re.MULTILINE)
    }


def bibliography(keys: Sequence[str]) -> str:
    """The BibTeX of these entries, in the order of the file.

    Raises:
        UserError: there is no such entry.
    """
    absent = [key for key in keys if key not in entries()]
    if absent:
        raise UserError(f"Unknown sources {', '.join(absent)}", "keys of published/sources.bib", "Correct the citation")
    return "\n\n".join(entry for key, entry in entries().items() if key in keys) + "\n"
