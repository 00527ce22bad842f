"""Packages whose names are imported when they are first asked for, so that what is heavy waits until it is used."""

import ast
import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class LazyPackage(ModuleType):
    """A package whose public names are those that its `__init__` imports under `if TYPE_CHECKING:`.

    That one list serves readers, editors, type checkers and the package itself: each name comes from its module when it
    is first asked for (PEP 562), and so does each module below the package.
    """

    def __getattr__(self, name: str) -> Any:
        """A public name, or a module of the package, imported now.

        Raises:
            AttributeError: there is no such name.
        """
        homes: dict[str, tuple[str, str]] = self.__dict__["_homes"]
        if name in homes:
            module, original = homes[name]
            value = getattr(import_module(module), original)
            self.__dict__[name] = value
            return value
        path = f"{self.__name__}.{name}"
        if not name.startswith("_"):
            try:
                return import_module(path)
            except ModuleNotFoundError as error:
                if error.name != path:  # the module is there, and misses another
                    raise
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        """Python binds every module that it imports to its package: one whose name is that of a public function, such
        as `metrics.alpha` or `observe`, must not take the function's place."""
        if not (name in self.__dict__["_homes"] and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.__dict__["_homes"], *self.__dict__["__all__"]})


def make_lazy(name: str) -> None:
    """Turn the package of this name into a lazy one; called at the end of its `__init__`."""
    package = sys.modules[name]
    assert package.__spec__ is not None and package.__spec__.loader is not None
    source = package.__spec__.loader.get_source(name)  # type: ignore[attr-defined]
    homes = {
        imported.asname or imported.name: (statement.module, imported.name)
        for block in ast.parse(source).body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for statement in block.body
        if isinstance(statement, ast.ImportFrom) and statement.module not in (name, None)
        for imported in statement.names
    }
    package.__dict__["_homes"] = homes
    package.__dict__.setdefault("__all__", sorted(homes))
    package.__class__ = LazyPackage
