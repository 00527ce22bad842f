"""Trained weights beside those that theory gives, as heat maps (von Oswald 2023a; Ahn 2023, Figure 4)."""

from collections.abc import Sequence

import pandas as pd

from demograd.report.heat_map import heat_map
from demograd.report.run import Matrices
from demograd.report.section import Chart, Figure, Section

SIDE = 180
"""Of a drawn matrix; two stand beside each other."""
_LEAD = (
    "All that an attention layer does is in KᵀQ, which says what attends to what, and PV, which says what is then "
    "written. Both act on tokens (x, y), of which y is last."
)


def weights_section(matrices: Sequence[Matrices]) -> Section | None:
    """A figure per world and network, of the first training seed."""
    if not matrices:
        return None
    first = min(one.seed for one in matrices)
    shown = [one for one in matrices if one.seed == first]
    figures = tuple(
        Figure(tuple(map(_chart, of)), "", f"{network}, in {world}") for (world, network), of in _grouped(shown).items()
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


def _chart(one: Matrices) -> Chart:
    """The trained matrix, and the reference where there is one."""
    pair = {"trained": one.trained}
    if one.reference is not None:
        pair[str(one.reference_name)] = one.reference
    weights = pd.DataFrame(
        {"panel": panel, "x": column, "y": row, "value": value}
        for panel, matrix in pair.items()
        for row, line in enumerate(matrix)
        for column, value in enumerate(line)
    )
    title = f"layer {one.layer}, {one.what}"
    return heat_map(weights, title, x="column", y="row", value="weight", colours="signed", width=SIDE, height=SIDE,
                    downwards=True)  # fmt: skip
