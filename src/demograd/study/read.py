"""Study files: presets and the user's own, of language models and of synthetic worlds."""

from pathlib import Path
from typing import Any

import yaml

from demograd.errors import UserError, unknown_name
from demograd.study.schema import Study, make_study, validated
from demograd.study.synthetic.schema import SyntheticStudy

PRESETS = Path(__file__).parent / "presets"


def preset_names() -> list[str]:
    """The studies that ship with demograd."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def read_study(name_or_path: str, *, as_released: bool = False, **changes: Any) -> Study | SyntheticStudy:
    """A preset or a YAML file as a study, some of its settings replaced; `kind: synthetic` makes it a synthetic one.

    A file may have a section `as_released`: settings that take the place of its own when that is asked for, to repeat
    the details and defects of a paper's released runs.

    Raises:
        UserError: there is no such preset or file, it is not YAML, or a setting is unknown or wrong.
    """
    is_file = name_or_path.endswith((".yaml", ".yml"))
    path = Path(name_or_path) if is_file else PRESETS / f"{name_or_path}.yaml"
    if not is_file and name_or_path not in preset_names():
        raise unknown_name("preset", name_or_path, preset_names(), "Or name a study file that ends in .yaml")
    if not path.is_file():
        raise UserError(f"There is no file {name_or_path}", "a study file", "Check the path")
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{name_or_path} is not YAML ({' '.join(str(error).split())})", "a study file",
                        "Mend it there") from error  # fmt: skip
    if not isinstance(settings, dict):
        raise UserError(f"{name_or_path} holds no settings", "lines such as `k: 16`", "Mend it there")
    released = settings.pop("as_released", None)
    if as_released and not isinstance(released, dict):
        raise UserError(f"--as-released with {name_or_path}", "a study that says how the released runs differ",
                        "Leave it off")  # fmt: skip
    taken = _as_released(released, changes) if as_released else {}
    settings = {"name": path.stem, **settings, **taken, **changes}
    return validated(SyntheticStudy, settings) if settings.get("kind") == "synthetic" else make_study(settings)


def _as_released(released: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The released settings, but for those that belong to one that the user replaced."""
    belong = {"model": "learning_rates", "seeds": "permutations"}  # to this model; one order per seed
    gone = {of for name, of in belong.items() if name in changes and changes[name] != released.get(name)}
    return {name: value for name, value in released.items() if name not in gone}
