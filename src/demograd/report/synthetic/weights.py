"""Trained weights beside those that theory gives, as heat maps (von Oswald 2023a; Ahn 2023, Figure 4)."""

from collections.abc import Sequence
from math import nan

import pandas as pd

from demograd.report.heat_map import heat_map
from demograd.report.run import Matrices
from demograd.report.section import Chart, Figure, Section

SIDE = 180
"""Of a drawn matrix; two or three stand beside each other."""
IDLE = "#d5dae0"
"""Grey, which is no number's colour."""
_LEAD = (
    "All that an attention layer does is in KᵀQ, which says what attends to what, and PV, which says what is then "
    "written. Both act on tokens (x, y), of which y is last. Grey entries are idle: no prediction depends on them, for "
    "of the last layer only the query’s y is read, and the query comes without a y. Training leaves them as they were "
    "drawn, and theory says nothing of them."
)


def weights_section(matrices: Sequence[Matrices]) -> Section | None:
    """A figure per world and network, of the first training seed."""
    if not matrices:
        return None
    first = min(one.seed for one in matrices)
    shown = [one for one in matrices if one.seed == first]
    figures = tuple(
        Figure(tuple(map(_chart, of)), _idle(of), f"{network}, in {world}")
        for (world, network), of in _grouped(shown).items()
    )
    several = len({one.seed for one in matrices}) > 1
    of_seed = f" Of training seed {first}; the others are in matrices.json." if several else ""
    scaled = " Trained matrices are rescaled so that they are comparable: KᵀQ times c and PV over c are the same layer."
    return Section("weights", "What was learned, as matrices", _LEAD + scaled + of_seed, figures)


def _grouped(matrices: Sequence[Matrices]) -> dict[tuple[str, str], list[Matrices]]:
    groups: dict[tuple[str, str], list[Matrices]] = {}
    for one in matrices:
        groups.setdefault((one.world, one.network), []).append(one)
    return groups


def _idle(matrices: Sequence[Matrices]) -> str:
    """`Idle: 11 of 121 entries of KᵀQ and 110 of 121 of PV in layer 0.`; empty where every entry is in use."""
    by_layer: dict[int, list[str]] = {}
    for one in matrices:
        every = [entry for line in one.in_use for entry in line]
        if not all(every):
            by_layer.setdefault(one.layer, []).append(f"{every.count(False)} of {len(every)} entries of {one.what}")
    counted = "; ".join(f"{' and '.join(counts)} in layer {layer}" for layer, counts in by_layer.items())
    return f"Idle: {counted}." if counted else ""


def _chart(one: Matrices) -> Chart:
    """The trained matrix, and those of theory; entries that are idle have no number."""
    weights = pd.DataFrame(
        {"panel": panel, "x": column, "y": row, "value": value if one.in_use[row][column] else nan}
        for panel, matrix in {"trained": one.trained, **one.theories}.items()
        for row, line in enumerate(matrix)
        for column, value in enumerate(line)
    )
    title = f"layer {one.layer}, {one.what}"
    return heat_map(
        weights,
        title,
        x="column",
        y="row",
        value="weight",
        colours="signed",
        width=SIDE,
        height=SIDE,
        downwards=True,
        absent=IDLE,
    )
