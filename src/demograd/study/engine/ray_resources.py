"""Whether a Ray cluster has what each job asks for. Ray itself waits for it without a word."""

from collections.abc import Mapping
from typing import Any

Resources = Mapping[str, float]
"""By Ray's names: CPU, GPU, and memory in bytes."""


def shortage(ray: Any, asked: Resources) -> str | None:
    """What each job asks for and what the nodes have, in words; None: a node has it, if maybe not now.

    It is no mistake yet: a cluster that grows by itself is told of it by Ray, and may get such a node.
    """
    nodes: list[Resources] = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(all(node.get(name, 0) >= number for name, number in asked.items()) for node in nodes):
        return None
    there = "; ".join(_in_words({name: node.get(name, 0) for name in asked}) for node in nodes)
    return f"Each job asks for {_in_words(asked)}, and no node of the Ray cluster has that ({there}): waiting for one"


def _in_words(resources: Resources) -> str:
    return f"{resources['CPU']:g} CPUs, {resources['GPU']:g} GPUs, {resources['memory'] / 1e9:,.1f} GB"
