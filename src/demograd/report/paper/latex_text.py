"""Text for LaTeX. Whatever comes from data is escaped: no command, comment or file can come out of it."""

import re
import unicodedata
from importlib.resources import files

import yaml

from demograd.report.paper.exhibits import with_line_breaks_shown

_CHARACTERS = yaml.safe_load((files("demograd.report.paper") / "latex_characters.yaml").read_text(encoding="utf-8"))
_TEXT, _MATHS, _ACCENTS = (_CHARACTERS[name] for name in ("text", "maths", "accents"))
_TOKENS = re.compile(
    r"_(?P<subscript>Δ|ICL|ZSL|FT|TF|GD|LCGD)(?![A-Za-z0-9])|(?<=\d)e−(?P<exponent>\d+)|(?P<hyphen>-(?=-))|.", re.DOTALL
)
"""`u_ICL` and `SimAM_Δ` are written with a subscript; `1.2e−9` with a power of ten; two hyphens are no dash."""


def escaped(text: str) -> str:
    """Text as LaTeX prints it, for pdflatex with no font but its own: ASCII alone comes out.

    A line break is shown as `↵`; what neither a macro nor letters and accents can write is named: `[U+4E2D]`.
    """
    pieces = []
    for token in _TOKENS.finditer(with_line_breaks_shown(text)):
        if subscript := token["subscript"]:
            pieces.append(r"$_{\Delta}$" if subscript == "Δ" else rf"$_{{\mathrm{{{subscript}}}}}$")
        elif exponent := token["exponent"]:
            pieces.append(rf"$\times10^{{-{exponent}}}$")
        elif token["hyphen"]:
            pieces.append("-{}")
        else:
            pieces.append(_character(token[0]))
    return "".join(pieces)


def _character(character: str) -> str:
    if character in _TEXT:
        return _TEXT[character]
    if character in _MATHS:
        return f"${_MATHS[character]}$"
    if character.isspace() or unicodedata.category(character) == "Cc":
        return " "
    if character.isascii():
        return character
    decomposed = unicodedata.normalize("NFD", character)
    base, accents = decomposed[0], decomposed[1:]
    if base.isascii() and base.isalpha() and accents and all(accent in _ACCENTS for accent in accents):
        for accent in accents:
            base = f"\\{_ACCENTS[accent]}{{{base}}}"
        return base
    plain = unicodedata.normalize("NFKC", character)
    if plain != character:
        how = unicodedata.decomposition(character)
        raised = "^" if "<super>" in how else "_" if "<sub>" in how else ""
        return f"${raised}{{{plain}}}$" if raised and plain.isalnum() and plain.isascii() else escaped(plain)
    return f"[U+{ord(character):04X}]"
