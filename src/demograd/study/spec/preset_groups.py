"""Presets that name several studies: each is run in a folder of its own, beside the others."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from demograd.errors import unknown_name
from demograd.study.schema import Study
from demograd.study.spec.files import read_study
from demograd.study.synthetic.schema import SyntheticStudy


@cache
def preset_groups() -> dict[str, dict[str, Any]]:
    """Name → `about`, and the presets that are its `studies`."""
    file = Path(__file__).with_name("preset_groups.yaml")
    return dict(yaml.safe_load(file.read_text(encoding="utf-8")))


def read_studies(name: str, *, overrides: Sequence[str] = (), **changes: Any) -> list[Study | SyntheticStudy]:
    """The studies that a name stands for: those of a group, or a preset or study file alone.

    Of a group, each study takes the changes and overrides (see `read_study`) of settings that its kind has.

    Raises:
        UserError: see `read_study`; or no study of the group has a setting.
    """
    if name not in preset_groups():
        return [read_study(name, overrides=overrides, **changes)]
    presets = preset_groups()[name]["studies"]
    fields = {preset: type(read_study(preset)).model_fields for preset in presets}
    everywhere = {setting for settings in fields.values() for setting in settings} | {"as_released"}
    for setting in (*changes, *map(_setting, overrides)):
        if setting not in everywhere:
            raise unknown_name(f"setting of {name}", setting, everywhere, "Correct the name")
    return [
        read_study(
            preset,
            overrides=[override for override in overrides if _setting(override) in fields[preset]],
            **{setting: value for setting, value in changes.items() if setting in {*fields[preset], "as_released"}},
        )
        for preset in presets
    ]


def _setting(override: str) -> str:
    """`training` of `training.steps=60`."""
    return override.partition("=")[0].partition(".")[0].strip()
