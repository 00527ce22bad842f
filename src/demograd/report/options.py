"""A method's settings in words: only what differs from the default, as in "Adam, 2 epochs, deep layers only"."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

DEFAULTS: dict[str, Any] = {
    "optimizer": "sgd",
    "momentum": 0.0,
    "epochs": 1,
    "clip": None,
    "linearised": False,
    "step": "demonstration",
    "readout": "block",
    "softmax_gradient": True,
    "which": "key_value",
    "layers": "all",
    "fraction": 1.0,
    "seed": 0,
}
"""Of `demograd.learn`'s methods and of the parameters that they train (a report may not look there)."""
_WORDS = {
    ("optimizer", "adam"): "Adam",
    ("step", "batch"): "full batch",
    ("step", "token"): "one step per token",
    ("linearised", True): "linearised",
    ("softmax_gradient", False): "no softmax derivative",
    ("readout", "attention"): "reads the attention output",
    ("readout", "attention_residual"): "reads the stream after attention",
    ("which", "value"): "value projections only",
    ("which", "all"): "all parameters",
}


def options_text(method_options: str | None) -> str:
    """`method_options` of the results in words; what is no JSON is shown as it is."""
    try:
        options = json.loads(method_options or "{}")
    except ValueError:
        return str(method_options)
    return ", ".join(_differing(options)) if isinstance(options, dict) else str(options)


def is_layer_causal(method_options: str | None) -> bool:
    """Whether these are options of LCGD: it alone has a readout."""
    return '"readout"' in (method_options or "")


def _differing(options: Mapping[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        if isinstance(value, dict):  # the parameters that are trained
            yield from _differing(value)
        elif name not in DEFAULTS or DEFAULTS[name] != value:
            yield _in_words(name, value)


def _in_words(name: str, value: Any) -> str:
    if words := _WORDS.get((name, value) if not isinstance(value, list) else ("", "")):
        return words
    if name == "layers":
        of = f"layers {value[0]} to {value[1]}" if isinstance(value, list) else f"{value} layers"
        return f"layer {value} only" if isinstance(value, int) else f"{of} only"
    if name == "fraction":
        return f"a random {100 * value:g} % of the entries"
    return f"{value} epochs" if name == "epochs" else f"{name.replace('_', ' ')} {value}"
