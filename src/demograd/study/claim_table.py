"""The papers' claims, as data (claims.yaml)."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

_FILE = Path(__file__).parent / "claims.yaml"


@cache
def claims() -> dict[str, dict[str, Any]]:
    """Name → claim, source, what is compared and how."""
    rows: dict[str, dict[str, Any]] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return rows
