"""The claims as data, of both kinds of study: what each compares, its source, and what decides it."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml


@cache
def claims_of(kind: str) -> dict[str, dict[str, Any]]:
    """The claims about one kind of study, `language_model` or `synthetic`: name → claim, source, what decides it."""
    text = (Path(__file__).parent / kind / "claims.yaml").read_text(encoding="utf-8")
    claims: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return claims


def claims() -> dict[str, dict[str, Any]]:
    """All claims."""
    return claims_of("language_model") | claims_of("synthetic")
