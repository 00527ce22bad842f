"""One labelled example of a task."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """What a template turns into text, and the class that the model must name."""

    fields: Mapping[str, str]
    """Text of each column that the template names, without leading or trailing white space."""
    label: int
    """Class index."""
