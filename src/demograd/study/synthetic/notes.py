"""What a reader of a synthetic run's page must know."""

from math import isfinite

from demograd.study.synthetic.references import Tuned
from demograd.study.synthetic.spec import SyntheticStudy
from demograd.synthetic import HeldOut


def notes(study: SyntheticStudy, references: dict[str, list[Tuned]]) -> list[str]:
    """The study's own, and those that its settings and its references ask for."""
    found = list(study.notes)
    found.append(
        f"Intervals resample training seeds and the {study.test_sequences:,} test sequences; a reference has "
        "no seed, so its interval is over test sequences alone."
    )
    if any(world.kind == "kernel" and world.kernel == "relu" for world in study.worlds.values()):
        found.append(
            "The ReLU kernel max(⟨u, v⟩, 0) is not positive semidefinite: y is drawn with the nearest matrix "
            "that is, the negative eigenvalues set to zero."
        )
    for world, of_world in references.items():
        found += [f"{one.label} is left out in {world}: {one.status}." for one in of_world if one.status != "ok"]
        found += [
            _higher(one, world, one.held_out, study.tuning_sequences)
            for one in of_world
            if one.held_out is not None and one.held_out.is_higher
        ]
    return found


def _higher(one: Tuned, world: str, known: HeldOut, sequences: int) -> str:
    if not isfinite(known.excess):
        return f"{one.label} in {world}, tuned on {sequences:,} sequences, diverges on some of as many others."
    return (
        f"{one.label} in {world} is tuned on {sequences:,} sequences: its held-out loss, on as many others, is "
        f"{known.excess:.0%} higher (standard error {known.standard_error:.0%})."
    )
