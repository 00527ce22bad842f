"""Scores against passes: steps of methods whose passes have different numbers of them stand at the same place."""

import json
from typing import Any

import pandas as pd
import pytest
from tests.report.rows import options, row, run_of

from demograd.report.section import Figure
from demograd.report.sections.against_passes import against_passes_section


def with_epochs(method: str, epochs: int) -> str:
    return json.dumps(json.loads(options(method)) | {"epochs": epochs})


def looked_at(method: str, steps: int, epochs: int, overlaps: dict[int | None, float]) -> list[dict[str, Any]]:
    """A method of so many steps and epochs, and its Token Overlap after some of them (None: at its end)."""
    tuned = {"method": method, "method_options": with_epochs(method, epochs)}
    losses = [row("loss", "FT", 1.0, **tuned, seed=0, step=step) for step in range(steps)]
    scores = [row("token_overlap", "FT", value, **tuned, step=step) for step, value in overlaps.items()]
    return [*losses, *scores, row("accuracy", "FT", 0.7, **tuned), row("accuracy", "FT", 0.6, **tuned, step=2)]


UNTUNED = [row("accuracy", "ZSL", 0.5), row("accuracy", "ICL", 0.8), row("token_overlap", "ICL_reordered", 0.9)]


def points(figure: Figure, title: str) -> pd.DataFrame:
    chart = next(chart for chart in figure.charts if chart.title == title)
    specification = chart.drawing.to_dict(validate=False)
    rows = [row for data in specification["datasets"].values() for row in data]
    return pd.DataFrame(rows).drop_duplicates(["label", "x"]).set_index(["label", "x"])["y"]


def test_a_step_stands_where_its_share_of_the_passes_does() -> None:
    """GD: 8 steps in 2 passes; LCGD: 2 steps in 2 passes, as of full batches."""
    run = run_of(
        *UNTUNED,
        *looked_at("GD", 8, 2, {2: 0.3, None: 0.4}),
        *looked_at("LCGD", 2, 2, {1: 0.5, None: 0.6}),
    )
    section = against_passes_section(run)
    assert section is not None and "from 0.300 [0.280, 0.320] after 0.5 passes to 0.400" in section.lead
    (figure,) = section.parts
    assert isinstance(figure, Figure)
    overlap = points(figure, "Token Overlap")
    assert overlap.to_dict() == pytest.approx(
        {
            ("FT by GD", 0.5): 0.3,
            ("FT by GD", 2.0): 0.4,
            ("FT by LCGD", 1.0): 0.5,
            ("FT by LCGD", 2.0): 0.6,
            ("ICL, reordered", 0.0): 0.9,
            ("ICL, reordered", 2.0): 0.9,
        }
    )
    accuracy = points(figure, "accuracy")
    assert accuracy["FT by GD", 0.0] == 0.5, "before its first step FT is ZSL"
    assert accuracy["ICL", 2.0] == 0.8


def test_it_is_of_runs_that_look_at_next_tokens_along_the_way() -> None:
    at_end = [rows for rows in looked_at("GD", 8, 2, {None: 0.4}) if rows["step"] is None or rows["metric"] == "loss"]
    assert against_passes_section(run_of(*UNTUNED, *at_end)) is None
    only_accuracy = [rows for rows in looked_at("GD", 8, 2, {2: 0.3}) if rows["metric"] != "token_overlap"]
    assert against_passes_section(run_of(*UNTUNED, *only_accuracy)) is None
