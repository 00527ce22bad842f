"""What installed packages, scripts and notebooks add to demograd: metrics, methods and sections, each registered by a
decorator."""

import hashlib
import inspect
import tokenize
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import entry_points
from types import CodeType
from typing import Any

from demograd.errors import UserError


def load_entry_points(group: str) -> None:
    """Import whatever installed packages name in this group of entry points; its decorators register it.

    Args:
        group: `demograd.metrics`, `demograd.methods` or `demograd.sections`.

    Raises:
        UserError: an entry point cannot be loaded.
    """
    noun = group.rpartition(".")[2].removesuffix("s")
    for point in entry_points(group=group):
        try:
            point.load()
        except Exception as error:
            raise UserError(
                f"the {noun} {point.name} of an installed package cannot be loaded ({error})",
                f"{point.value} to be decorated with @{noun}",
                "Mend or uninstall that package",
            ) from error


def fingerprint(definition: Callable[..., Any]) -> str:
    """Module, name and hash of the source of a class or function, which enters keys: a changed one has another.

    Taken when it is defined: later, its file may hold another source than what this process runs.
    """
    # a worker process has a script under this name
    module = "__main__" if definition.__module__ == "__mp_main__" else definition.__module__
    digest = hashlib.sha256("\n".join(_sources(definition)).encode()).hexdigest()[:16]
    return f"{module}.{definition.__qualname__} {digest}"


def _sources(definition: Any) -> Iterator[str]:
    """The source, or code and constants where it cannot be had.

    A class adds the source of its functions: Python cannot tell a class that a notebook defines, nor two of one name in
    a file.
    """
    source = ""
    # The lines of a page whose block this was are not its source; a class that they name is looked for by its name.
    if isinstance(definition, type) or inspect.unwrap(definition).__code__.co_filename.endswith((".py", ">")):
        with suppress(OSError, TypeError, SyntaxError, IndexError, tokenize.TokenError):
            source = inspect.getsource(definition)
    if isinstance(definition, type):
        yield source
        for name, value in vars(definition).items():
            function = getattr(value, "fget", None) or getattr(value, "__func__", value)
            if inspect.isfunction(function):
                yield from _sources(function)
            elif not (source or name.startswith("__")):
                yield f"{name} = {_content(value)}"
    else:
        function = inspect.unwrap(definition)
        defaults = function.__defaults__, tuple((function.__kwdefaults__ or {}).items())
        yield source or _content((function.__code__, *defaults))


def _content(value: Any) -> str:
    """Code, a constant or a container of these as text that is the same in every process: no address, no order of a
    set."""
    if isinstance(value, CodeType):
        return _content((value.co_code, value.co_names, value.co_consts))
    if isinstance(value, tuple):
        return f"({', '.join(map(_content, value))})"
    if isinstance(value, frozenset):
        return f"{{{', '.join(sorted(map(_content, value)))}}}"
    return repr(value) if isinstance(value, int | float | complex | str | bytes | None) else type(value).__name__
