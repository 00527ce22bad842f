"""Study files: presets and the user's own, of language models and of synthetic worlds."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from demograd.errors import UserError, unknown_name
from demograd.study.language_model.spec import Study
from demograd.study.spec.overrides import overridden
from demograd.study.spec.validation import validated
from demograd.study.spec.yaml_file import read_settings
from demograd.study.synthetic.spec import SyntheticStudy

PRESETS = Path(__file__).parent / "presets"


def preset_names() -> list[str]:
    """The studies that ship with demograd."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


@cache
def preset_groups() -> dict[str, dict[str, Any]]:
    """Presets that name several studies: name → `about`, and the presets that are its `studies`."""
    return dict(yaml.safe_load(files(__package__).joinpath("preset_groups.yaml").read_text(encoding="utf-8")))


def read_study(
    name_or_path: str | Path, *, as_released: bool = False, overrides: Sequence[str] = (), **changes: Any
) -> Study | SyntheticStudy:
    """A preset or a YAML file as a study, some of its settings replaced; `kind: synthetic` makes it a synthetic one.

    `changes` replace settings by name, and then `overrides` those that a path leads to: `methods.GD.epochs=2`. Tasks
    that are named so are wanted: none of them is optional, as some of a preset's are.

    A file may have a section `as_released`: settings that take the place of its own when that is asked for, to repeat
    the details and defects of a paper's released runs; or the name of a preset whose section it shares.

    Raises:
        UserError: there is no such preset or file, it is not YAML, a setting is unknown or wrong, or the preset whose
            section is shared has none.
    """
    name_or_path = str(name_or_path)
    is_file = name_or_path.endswith((".yaml", ".yml"))
    path = Path(name_or_path) if is_file else PRESETS / f"{name_or_path}.yaml"
    if name_or_path in preset_groups():
        presets = " and ".join(preset_groups()[name_or_path]["studies"])
        raise UserError(f"{name_or_path}, which names several studies", "one study", f"Take {presets} one by one")
    if not is_file and name_or_path not in preset_names():
        raise unknown_name(
            "preset",
            name_or_path,
            sorted([*preset_names(), *preset_groups()]),
            "Or name a study file that ends in .yaml",
        )
    settings = read_settings(path)
    released = settings.pop("as_released", None)
    if isinstance(released, str):
        released = _shared_section(released)
    if as_released and not isinstance(released, dict):
        raise UserError(
            f"--as-released with {name_or_path}", "a study that says how the released runs differ", "Leave it off"
        )
    replaced_as_released = _as_released(released, changes) if as_released else {}
    settings = {"name": path.stem, **settings, **replaced_as_released, **changes}
    changed = {*changes, *(override.partition("=")[0].strip() for override in overrides)}
    if "tasks" in changed and "optional_tasks" not in changed:
        settings.pop("optional_tasks", None)
    replaced_settings = {*changes, *map(_setting, overrides)}
    if (
        "label_words" in replaced_settings and "labels" not in replaced_settings
    ):  # else letters would take the place of these words
        settings.pop("labels", None)
    if settings.get("kind") == "synthetic":
        return validated(SyntheticStudy, overridden(SyntheticStudy, settings, overrides))
    settings = overridden(Study, settings, overrides)
    if "exclude" in settings and "exclude" not in replaced_settings:
        settings["exclude"] = _rules_left(settings, replaced_settings)
    study = validated(Study, settings)
    if not isinstance(released, dict) or not as_released:
        return study
    replaced = {name for name in changed if _listed(changes.get(name)) != _listed(released.get(name))}
    otherwise = [name for name in released if name in replaced or name not in replaced_as_released]
    notes = departures_of(study.model_dump())
    if otherwise:
        notes.insert(0, f"Asked for as released, but not in {', '.join(otherwise)}, which this study sets otherwise.")
    return study.model_copy(update={"notes": [*study.notes, *notes]})


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


@cache
def presets_as_released() -> dict[str, Any]:
    """Presets that have a section `as_released`: name → the section, or the name of the preset that shares its own."""
    sections = {name: read_settings(PRESETS / f"{name}.yaml").get("as_released") for name in preset_names()}
    return {name: section for name, section in sections.items() if section}


def _shared_section(name: str) -> dict[str, Any]:
    """The section `as_released` of a preset, which may share another's.

    Raises:
        UserError: there is no such preset, or it has no section.
    """
    if name not in presets_as_released():
        raise unknown_name("preset in as_released", name, presets_as_released(), "Or give the settings themselves")
    section = presets_as_released()[name]
    return _shared_section(section) if isinstance(section, str) else dict(section)


def _setting(override: str) -> str:
    """`training` of `training.steps=60`."""
    return override.partition("=")[0].partition(".")[0].strip()


def _as_released(released: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The released settings, but for those that belong to one that the user replaced."""
    belong = {"model": ("learning_rates", "drawn_as"), "seeds": ("permutations",)}  # to this model; one order per seed
    dropped = {
        dependent
        for name, dependents in belong.items()
        if name in changes and changes[name] != released.get(name)
        for dependent in dependents
    }
    return {name: value for name, value in released.items() if name not in dropped}


_AXES = {"model": "model", "weights": "weights", "task": "tasks", "labels": "labels", "k": "k", "method": "methods"}
"""Field of a rule → the setting that lists its values."""


def _rules_left(settings: Mapping[str, Any], changed: Iterable[str]) -> Any:
    """The file's rules without values that the study has no more, since the user changed a list; a rule that would name
    none of a changed list is dropped. What is wrong otherwise is left for the study to say."""
    replaced = {field: setting for field, setting in _AXES.items() if setting in changed and settings.get(setting)}
    rules = settings["exclude"]
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        return rules
    left = []
    for rule in rules:
        values = {field: _listed(settings[setting]) for field, setting in replaced.items() if field in rule}
        still = {field: [value for value in _listed(rule[field]) if value in values[field]] for field in values}
        if all(still.values()):
            left.append(rule | still)
    return left


def _listed(value: Any) -> Any:
    """A study file may leave out the brackets of a list of one."""
    return value if isinstance(value, list | dict) else [value]


def departures_of(settings: Mapping[str, Any]) -> list[str]:
    """Differences that remain from the released runs, where a run is to be as released: a sentence for each row of
    `departures.yaml` that concerns a study with these settings."""
    rows = yaml.safe_load(files(__package__).joinpath("departures.yaml").read_text(encoding="utf-8"))
    return [row["says"] for row in rows.values() if _concerns(row.get("where", {}), settings)]


def _concerns(condition: Mapping[str, list[Any]], settings: Mapping[str, Any]) -> bool:
    return all(set(values).intersection(_as_list(settings.get(name))) for name, values in condition.items())


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
