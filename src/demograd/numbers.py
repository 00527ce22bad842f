"""Numbers in settings, which true and false are not: to Python, and so to pydantic, `True` is the number 1."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field


def _no_boolean(value: Any) -> Any:
    if any(isinstance(item, bool) for item in (value if isinstance(value, list | tuple) else [value])):
        raise ValueError(
            "a number; YAML reads yes, on and true as true, no, off and false as false: numbers are neither true nor "
            "false"
        )
    return value


NUMBER = BeforeValidator(_no_boolean)
"""Stands last in an annotation of a number or a pair of numbers, where the JSON schema still shows the bounds."""
Whole = Annotated[int, NUMBER]
Real = Annotated[float, Field(allow_inf_nan=False), NUMBER]
"""Finite."""
