"""Typer's own messages quote what they do not know, whatever its length; here they do so up to a bound."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from demograd.errors import LONGEST_PART, shortened

_UsageError: Any = typer.BadParameter.__base__
"""An unknown option, command or value; the module that it is in depends on the version of typer."""


class BoundedGroup(TyperGroup):
    """Commands whose mistakes of usage are said in a bounded message."""

    def make_context(self, *arguments: Any, **extra: Any) -> Any:
        """The context of the options before the command."""
        with _bounded():
            return super().make_context(*arguments, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Find the command, read its options and run it."""
        with _bounded():
            return super().invoke(ctx)


@contextmanager
def _bounded() -> Iterator[None]:
    try:
        yield
    except _UsageError as error:
        error.message = shortened(error.message, LONGEST_PART)
        raise
