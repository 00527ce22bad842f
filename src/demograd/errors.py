"""What a user did that cannot work, said so that they can mend it, in a message of bounded length."""

import math
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

LONGEST_QUOTE = 100
"""Characters of a value of the user's in a message, where nothing else is said."""
LONGEST_PART = 700
"""Characters of each of the three parts of a UserError: room for all names of a list of metrics' groups or settings."""
LONGEST_MESSAGE = 3 * LONGEST_PART + len(". Expected: . .")
"""Characters of the message of a UserError, whatever it quotes."""


class UserError(Exception):
    """A mistake in what the user gave: one message that says what was given, what was expected, and what to do.

    The command line prints the message and exits with code 2; it never shows a traceback for it. No message is longer
    than LONGEST_MESSAGE: of a part that is too long, first long words and quotations are shortened, then its middle.
    """

    def __init__(self, problem: str, expected: str, do: str) -> None:
        """Each part is a sentence or a clause without its final full stop."""
        self.problem, self.expected, self.do = map(_fitting, (problem, expected, do))
        super().__init__(f"{self.problem}. Expected: {self.expected}. {self.do}.")

    def __reduce__(self) -> tuple[type["UserError"], tuple[str, str, str]]:
        """It crosses from a worker to the command line; for whom it is one of this kind, whatever it was."""
        return UserError, (self.problem, self.expected, self.do)


def unknown_name(kind: str, name: str, names: Iterable[str], do: str) -> UserError:
    """The error for a name that is not among `names`, with the nearest ones."""
    options = sorted(names)
    spellings = {option.lower(): option for option in options}
    near = [spellings[close] for close in get_close_matches(shortened(name).lower(), spellings, n=3, cutoff=0.5)]
    hint = f"Did you mean {' or '.join(map(shortened, near))}? {do}" if near else do
    return UserError(f"Unknown {shortened(kind)} {quoted(name)}", f"one of {shortened_list(options)}", hint)


def quoted(value: Any, limit: int = LONGEST_QUOTE) -> str:
    """A value as Python writes it, of at most `limit` characters; of a long one, its beginning and its end."""
    if isinstance(value, int) and value.bit_length() > limit:  # Python refuses to write one of thousands of digits
        return shortened(f"a whole number of about {math.ceil(value.bit_length() * math.log10(2)):,} digits", limit)
    if isinstance(value, str | bytes) and len(value) > limit:
        return shortened(repr(value[:limit])[:-1] + repr(value[-limit:])[1:], limit)
    try:
        return shortened(repr(value), limit)
    except (ValueError, RecursionError):  # such a number inside, or lists in lists in lists
        return shortened(f"a {type(value).__name__} that is too large to show", limit)


def shortened_list(names: Iterable[Any], limit: int = LONGEST_PART - 50) -> str:
    """Names by commas, in at most `limit` characters: as many as fit, and how many more there are."""
    everything = list(names)
    words: list[str] = []
    room = limit - len("… (1,000,000 more)")
    for name in everything:
        word = shortened(str(name))
        if words and len(", ".join([*words, word])) > room:
            break
        words.append(word)
    missing = len(everything) - len(words)
    return ", ".join(words) + (f", … ({missing:,} more)" if missing else "")


def shortened(text: str, limit: int = LONGEST_QUOTE) -> str:
    """A text of at most `limit` characters: of a longer one its beginning and its end, which often tells it apart."""
    if len(text) <= limit:
        return text
    end = limit // 3
    return text[: limit - end - 1] + "…" + text[len(text) - end :]


def _fitting(part: str) -> str:
    if len(part) <= LONGEST_PART:
        return part
    # what is long is most often one value, and what is said of it should stay
    word = re.compile(rf"'[^']{{{LONGEST_QUOTE},}}'|\S{{{LONGEST_QUOTE},}}")
    return shortened(word.sub(lambda long: shortened(long[0]), part), LONGEST_PART)
