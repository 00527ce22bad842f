"""A YAML file of settings, read without any tag that could run code, and without surprises."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from demograd.errors import UserError
from demograd.paths import is_file

MOST_BYTES = 1_000_000
"""A study is a page of text; a file that is larger is something else."""


class _Loader(yaml.SafeLoader):
    """Refuses what YAML allows and a study has no use for: a name given twice, and references."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):  # ten levels of ten references each are 10¹⁰ values
            raise yaml.constructor.ConstructorError(
                None, None, "a study file has no references (*)", self.peek_event().start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        names = [(child, self.construct_object(child, deep=True)) for child, _ in node.value]
        names_before: list[Any] = []
        for child, name in names:
            if not isinstance(name, str):
                # `no:` and `1:` are not names to YAML
                raise yaml.constructor.ConstructorError(
                    None, None, f"{name!r} is not text: put quotes around it", child.start_mark
                )
            if name in names_before:
                raise yaml.constructor.ConstructorError(None, None, f"{name} is there twice", child.start_mark)
            names_before.append(name)
        return super().construct_mapping(node, deep)


def read_settings(path: Path) -> dict[str, Any]:
    """The settings of a YAML file.

    Raises:
        UserError: it is not there, too large, not UTF-8, not YAML, or not settings.
    """
    try:
        if not is_file(path):
            raise UserError(f"There is no file {path}", "a study file", "Check the path")
        if (size := path.stat().st_size) > MOST_BYTES:
            raise UserError(f"{path} has {size:,} bytes", f"a study file, of at most {MOST_BYTES:,}", "Check the path")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})", "a study file", "Check the path") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not text in UTF-8 ({error.reason} at byte {error.start})", "a study file", "Save it as UTF-8"
        ) from error
    settings = parsed(text, str(path))
    if not isinstance(settings, dict):
        raise UserError(f"{path} holds no settings", "lines such as `k: 16`", "Mend it there")
    return settings


def parsed(text: str, source: str, expected: str = "a study file") -> Any:
    """The value that a piece of YAML stands for; `where` and `expected` tell the user what is not YAML.

    Raises:
        UserError: it is not YAML, or uses of it what a study has no use for.
    """
    try:
        return yaml.load(text, _Loader)
    # a date that is none, or a number of thousands of digits, is a ValueError; nesting may go as deep as the text
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        why = " ".join(str(error).split())[:300]
        tabs = ": YAML indents with spaces, not tabs" if "\\t" in why else ""
        raise UserError(f"{source} is not YAML ({why}){tabs}", expected, "Mend it there") from error
