"""What a run that is asked to be as released does otherwise all the same: rows of `departures.yaml`."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import yaml


def departures_of(settings: Mapping[str, Any]) -> list[str]:
    """A sentence for each that concerns a study with these settings."""
    rows = yaml.safe_load(files(__package__).joinpath("departures.yaml").read_text(encoding="utf-8"))
    return [row["says"] for row in rows.values() if _concerns(row.get("where", {}), settings)]


def _concerns(where: Mapping[str, list[Any]], settings: Mapping[str, Any]) -> bool:
    return all(set(values).intersection(_listed(settings.get(name))) for name, values in where.items())


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
