"""Trained weights beside those that theory gives, as heat maps (von Oswald 2023a; Ahn 2023, Figures 4 and 5)."""

from collections.abc import Sequence
from math import nan

import pandas as pd

from demograd.report.charts.heat_map import heat_map
from demograd.report.run import Matrices, ReportedRun
from demograd.report.section import Chart, Figure, Section, section

SIDE = 180
"""Side of a drawn matrix; two or three stand beside each other."""
IDLE = "#d5dae0"
"""The colour of idle entries: grey, which is no number's colour."""
_LEAD = (
    "All that an attention layer does is in KᵀQ, which says what attends to what, and PV, which says what is then "
    "written. Both act on tokens (x, y), of which y is last. Grey entries are idle: no prediction depends on them, for "
    "of the last layer only the query’s y is read, and the query comes without a y. Training leaves them as they were "
    "drawn, and theory says nothing of them."
)


@section("What was learned, as matrices", order=70, brief="Matrices")
def weights_section(run: ReportedRun) -> Section | None:
    """A figure per world and network, of the first training seed."""
    if not run.matrices:
        return None
    seeds = {matrices.seed for matrices in run.matrices}
    groups: dict[tuple[str, str], list[Matrices]] = {}
    for matrices in run.matrices:
        if matrices.seed == min(seeds):
            groups.setdefault((matrices.world, matrices.network), []).append(matrices)
    figures = tuple(
        Figure(tuple(map(_chart, layers)), _idle(layers), f"{network}, in {world}")
        for (world, network), layers in groups.items()
    )
    first = f" Of training seed {min(seeds)}; the others are in matrices.json." if len(seeds) > 1 else ""
    scaled = " Trained matrices are rescaled so that they are comparable: KᵀQ times c and PV over c are the same layer."
    return Section(figures, _LEAD + scaled + first)


def _idle(layers: Sequence[Matrices]) -> str:
    """`Idle: 11 of 121 entries of KᵀQ and 110 of 121 of PV in layer 0.`; empty where every entry is in use."""
    by_layer: dict[int, list[str]] = {}
    for matrices in layers:
        entries = [entry for row in matrices.in_use for entry in row]
        if not all(entries):
            idle = f"{entries.count(False)} of {len(entries)} entries of {matrices.product}"
            by_layer.setdefault(matrices.layer, []).append(idle)
    counted = "; ".join(f"{' and '.join(counts)} in layer {layer}" for layer, counts in by_layer.items())
    return f"Idle: {counted}." if counted else ""


def _chart(matrices: Matrices) -> Chart:
    """Heat maps of the trained matrix and of those of theory; idle entries have no number."""
    entries = pd.DataFrame(
        {"panel": panel, "x": column, "y": row, "value": value if matrices.in_use[row][column] else nan}
        for panel, matrix in {"trained": matrices.trained, **matrices.theories}.items()
        for row, line in enumerate(matrix)
        for column, value in enumerate(line)
    )
    return heat_map(
        entries,
        f"layer {matrices.layer}, {matrices.product}",
        x="column",
        y="row",
        value="weight",
        colours="signed",
        width=SIDE,
        height=SIDE,
        downwards=True,
        absent=IDLE,
    )
