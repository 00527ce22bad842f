"""Templates: a line of text with `{column}` fields, into which untrusted text goes as it is.

`str.format` is not used to fill them: `{text.__class__}` must not reach into Python, and a brace in the data is text.
"""

import re
from collections.abc import Mapping
from string import Formatter

from demograd.errors import UserError

_COLUMN = re.compile(r"[\w][\w -]*(\.[^\W_][\w -]*)*")
_DO = "Write plain column names in braces, as in 'Review: {text} Sentiment:', and {{ }} for a brace"


def _parts(template: str) -> list[tuple[str, str | None]]:
    """(literal text, column after it or None) in order.

    Raises UserError for anything but plain column names: positions, attributes, indices, conversions, formats.
    """
    try:
        parsed = list(Formatter().parse(template))
    except ValueError as error:
        raise UserError(f"Template {template!r} cannot be read ({error})", "balanced braces", _DO) from error
    for _, column, spec, conversion in parsed:
        if column is not None and (not _COLUMN.fullmatch(column) or spec or conversion):
            raise UserError(f"Template {template!r} has a field that is not a plain column name", "{column}", _DO)
    return [(literal, column) for literal, column, _, _ in parsed]


def template_columns(template: str) -> list[str]:
    """The columns that a template names, in the order of their first use.

    Raises UserError for a template that cannot be read, names no column, or ends in white space: the answer brings its
    own space, and two of them would be tokens that the model rarely saw.
    """
    columns = list(dict.fromkeys(column for _, column in _parts(template) if column is not None))
    if not columns:
        raise UserError(f"Template {template!r} names no column", "at least one {column}", _DO)
    if template != template.rstrip():
        raise UserError(
            f"Template {template!r} ends in white space",
            "its last character before the answer, which begins with a space of its own",
            "Remove the white space at its end",
        )
    return columns


def fill(template: str, fields: Mapping[str, str]) -> str:
    """`text(x)`: the template with every field replaced by that column's text, character for character."""
    return "".join(literal + ("" if column is None else fields[column]) for literal, column in _parts(template))
