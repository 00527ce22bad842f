"""Whether a network and the weights in its files fit: none missing, and none of a layer that it does not have."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


def check_weights(network: Any, loading_info: Mapping[str, Collection[str]]) -> str:
    """A note on weights that the network has no place for, such as those of what sees; empty where there are none.

    Args:
        network: as loaded.
        found: what transformers tells of the loading (`output_loading_info`).

    Raises:
        ValueError: parameters without weights, which would be random numbers; or weights of more layers than the
            network has, so that a part of a model would be measured as the whole.
    """
    if missing := sorted(loading_info["missing_keys"]):
        others = f", nor for {len(missing) - 1} other parameters" if missing[1:] else ""
        raise ValueError(f"there are no weights for {missing[0]}{others}")
    left = sorted(loading_info["unexpected_keys"])
    if too_many := [*_of_layers_too_many(network, left)]:
        others = f", and {len(too_many) - 1} others" if too_many[1:] else ""
        raise ValueError(f"it has weights of more layers than its configuration says: {too_many[0]}{others}")
    return f"weights that the network has no place for are left out: {left[0]}, {len(left)} in all" if left else ""


def _of_layers_too_many(network: Any, names: list[str]) -> Iterator[str]:
    """Those that are a parameter of the network's in all but their numbers, where it has no module of that number."""
    modules = {name for name, _ in network.named_modules()}
    kinds = {_NUMBER.sub("#", name) for name, _ in network.named_parameters()}
    for name in names:
        for path in (name, f"{network.base_model_prefix}.{name}"):  # a base model may have been saved alone
            numbered = {path[: number.end()] for number in _NUMBER.finditer(path)}
            if _NUMBER.sub("#", path) in kinds and not numbered <= modules:
                yield name
                break
