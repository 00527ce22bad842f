"""The paragraph on software and machine that every methods section ends with."""

from collections.abc import Iterator, Mapping
from typing import Any

from demograd.report.paper.prose import Cite, Sentence, cite, say
from demograd.report.run import ReportedRun

_CITED = {"torch": "pytorch", "transformers": "transformers", "numpy": "numpy", "scipy": "scipy"}
"""Library → its entry in the bibliography."""


def software(run: ReportedRun) -> Iterator[Sentence]:
    """Versions and machine, as the run recorded them."""
    version = run.provenance.get("demograd")
    if version:
        yield say(f"Everything was computed with demograd {version}", cite("demograd"), ".")
    versions: Mapping[str, Any] = run.provenance.get("versions", {})
    if versions:
        pieces: list[str | Cite] = ["It ran on "]
        for place, (name, number) in enumerate(versions.items()):
            pieces.append(f"{', ' * bool(place)}{name} {number}")
            pieces += [cite(_CITED[name])] if name in _CITED else []
        yield say(*pieces, ".")
    machine: Mapping[str, Any] = run.provenance.get("machine", {})
    if machine.get("device"):
        cores = f" with {machine['cores']} cores" if machine.get("cores") else ""
        yield say(f"The device was {machine['device']}, on a machine{cores}.")
