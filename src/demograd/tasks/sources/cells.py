"""What a cell of a data source says: the text that a template shows, or the label that names a class."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from numbers import Integral, Real
from uuid import UUID

_WHOLE = re.compile(r"([+-]?\d+)\.0+")
_LARGEST_WHOLE = 1e15
"""Above it a float is written with an exponent."""


class NotText(Exception):
    """A cell that no template can show: its kind, and how to get at what is in it."""

    def __init__(self, kind: str, value: object) -> None:
        """`kind`: what it is, with an article."""
        super().__init__(kind)
        self.kind, self.value = kind, value

    def do(self, column: str) -> str:
        """What to do about such cells of `column`."""
        if isinstance(self.value, Mapping) and self.value:
            names = [f"{column}.{name}"[:80] for name in self.value]
            more = ", …" if len(names) > 5 else ""
            return f"Name what is in them, as {names[0]} (there is {', '.join(names[:5])}{more}), or remove these rows"
        if isinstance(self.value, Sequence) and not isinstance(self.value, bytes):
            return f"Name what is in them, as {column}.0 for the first of each, or write them as text"
        return "Write them as text in UTF-8, or remove these rows"


def text_of(value: object) -> str:
    """A cell as text without white space around it: SST2's sentences end in a space, and ' ' is no review.

    Bytes are read as UTF-8. A whole number is written as one ("1", never "1.0": a column of numbers with a gap in it is
    read as floats), a date or time as ISO 8601. Nothing, and "not a number", are an empty text.

    Raises NotText for anything else: an object, a list, an image, bytes of another encoding.
    """
    if isinstance(value, str):
        return value.strip()
    if value is None or value != value:  # not a number is how tables say "nothing here"
        return ""
    if isinstance(value, bytes):
        try:
            return value.decode().strip()
        except UnicodeDecodeError as error:
            raise NotText("bytes that are no UTF-8", value) from error
    if isinstance(value, Real) and not isinstance(value, Integral):
        number = float(value)
        return str(int(number)) if number.is_integer() and abs(number) < _LARGEST_WHOLE else str(number)
    if isinstance(value, Integral | Decimal | UUID):
        return str(value)
    if isinstance(value, date | time):
        return value.isoformat()
    kind = "an object" if isinstance(value, Mapping) else "a list" if isinstance(value, list | tuple) else ""
    raise NotText(kind or f"a value of type {type(value).__name__}", value)


def label_key(value: object) -> str:
    """A label in the one form in which labels are compared, whatever kind of file it comes from.

    A whole number is the same as a number and as text ("1", "1.0", 1, 1.0), and so are true and false in any case
    (TRUE, True, true). Raises NotText as `text_of` does.
    """
    text = text_of(value)
    if text.lower() in ("true", "false"):
        return text.lower()
    whole = _WHOLE.fullmatch(text)
    return str(int(whole[1])) if whole and len(text) < 20 else text


def inside(cell: object, parts: Sequence[str]) -> object:
    """What a nested cell holds under the names, or numbers of list entries, `parts`; None where it holds nothing."""
    for part in parts:
        if isinstance(cell, Mapping):
            cell = cell.get(part)
        elif isinstance(cell, list | tuple) and part.isdecimal() and int(part) < len(cell):
            cell = cell[int(part)]
        else:
            return None
    return cell
