"""Labels that mean nothing before the demonstrations: letters in the place of label words (Pan 2023)."""

import re
from collections.abc import Sequence
from string import ascii_uppercase

import numpy as np

from demograd.errors import UserError, shortened, shortened_list
from demograd.tasks.template import literals


def abstract_words(name: str, n_classes: int, rng: np.random.Generator) -> tuple[str, ...]:
    """The first `n_classes` letters, one per class, in a random order.

    Single letters, because usual tokenizers make one token of a space and a letter, and none begins another.

    Raises UserError when there are more classes than letters.
    """
    if n_classes > len(ascii_uppercase):
        raise UserError(
            f"Abstract labels for the {n_classes} classes of {name}",
            f"at most {len(ascii_uppercase)} classes, one per letter",
            "Use another task, or give label words of your own that mean nothing",
        )
    return tuple(ascii_uppercase[i] for i in rng.permutation(n_classes))


def abstract_note(name: str, label_words: Sequence[str], letters: Sequence[str], template: str, *, is_own: bool) -> str:
    """Which letter stands for what, and what became of the template; `is_own`: it is the one for gold labels too."""
    pairs = shortened_list(f"{shortened(word)} is {letter}" for word, letter in zip(label_words, letters, strict=True))
    text = " ".join(literals(template))
    mentioned = [word for word in label_words if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE)]
    if not is_own:
        about = f"the template is {template!r}, which does not name the classes"
    elif mentioned:
        about = f"the template is kept, though it names {shortened_list(map(shortened, mentioned))}"
    else:
        about = "the template is kept"
    return f"Labels of {name} are abstract ({pairs}); {about}."
