"""Examples, and templates: a line of text with `{column}` fields, into which untrusted text goes as it is.

`str.format` is not used to fill them: `{text.__class__}` must not reach into Python, and a brace in the data is text.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from string import Formatter

from demograd.errors import UserError


@dataclass(frozen=True)
class Example:
    """What a template turns into text, and the class that the model must name."""

    fields: Mapping[str, str]
    """Text of each column that the template names, without leading or trailing white space."""
    label: int
    """Class index."""


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

    Raises UserError for a template that cannot be read, or names no column.
    """
    columns = list(dict.fromkeys(column for _, column in _parts(template) if column is not None))
    if not columns:
        raise UserError(f"Template {template!r} names no column", "at least one {column}", _DO)
    return columns


def literals(template: str) -> list[str]:
    """What stands before, between and after the columns."""
    return [literal for literal, _ in _parts(template)]


def check_ending(template: str, answer_prefix: str) -> None:
    """
    Raises:
        UserError: template and what stands before the answer meet in white space of both, which would be tokens that
            the model rarely saw.
    """
    if template != template.rstrip() and answer_prefix != answer_prefix.lstrip():
        raise UserError(
            f"Template {template!r} ends in white space",
            f"its last character before the answer, which begins with {answer_prefix!r} of its own",
            "Remove the white space at its end, or let nothing stand before the answer (answer_prefix: '')",
        )


def fill(template: str, rows: Iterable[Mapping[str, str]]) -> list[str]:
    """`text(x)` of each row: the template with every field replaced by that column's text, character for character."""
    parts = _parts(template)
    return [
        "".join([literal if column is None else literal + fields[column] for literal, column in parts])
        for fields in rows
    ]
