"""How widely untrained weights are drawn, which a file may not say."""

from collections.abc import Mapping
from typing import Any

from demograd.errors import UserError

_NAMES = ("initializer_range", "init_std", "initializer_factor")
"""What configurations call the standard deviation of fresh weights, in the order in which transformers looks."""


def set_initialisation(
    config: Any, saved: Mapping[str, Any], requested: float | None, built_in: float | None, model: str
) -> str:
    """Make the configuration draw untrained weights as it should, and say in a sentence how that is.

    Args:
        config: of the network; it is changed where something else than what it says is right.
        saved: what the model's configuration file says; empty: there is none, as for a GGUF file.
        asked: standard deviation, by the user.
        known: standard deviation, of a built-in model whose file does not say it.
        model: what to call it.

    Raises:
        UserError: what is asked for is no standard deviation, or this architecture does not know one.
    """
    name = next((name for name in _NAMES if hasattr(config, name)), None)
    if requested is not None:
        if not 0 < requested < float("inf"):
            raise UserError(f"initializer_range {requested}", "a standard deviation above zero", "Try 0.02")
        if name is None:
            raise UserError(
                f"initializer_range for {model}, whose architecture has no such setting",
                "a model that has one",
                "Leave it out",
            )
        setattr(config, name, requested)
        return _sentence(name, requested, "as asked for")
    if built_in is not None and name is not None:
        setattr(config, name, built_in)
        return _sentence(name, built_in, "as the configuration of the original says: a GGUF file does not")
    if name is None:
        return "untrained weights are drawn as the architecture does it, which has no setting for how widely"
    inside = saved.get("text_config") or {}
    if name in saved or name in inside:
        return _sentence(name, getattr(config, name), "as its configuration says")
    why = "its configuration does not say it" if saved else "a GGUF file does not say it"
    default = f"the default of transformers: {why}, and the setting initializer_range takes another"
    return _sentence(name, getattr(config, name), default)


def _sentence(name: str, value: float, why: str) -> str:
    return f"untrained weights are drawn with {name} {value:.6g}, {why}"
