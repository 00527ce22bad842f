"""The number that the notebooks of von Oswald 2023a state is the loss of GD in the world that they draw from."""

import pytest
import torch

from demograd import published
from demograd.synthetic import LinearRegression, best_gradient_descent, seeded, squared_error


def test_the_notebooks_number_is_half_the_squared_error_of_one_step_on_their_inputs() -> None:
    [row] = published.table("vonoswald2023a-notebooks").to_dict("records")
    assert row["metric"] == "half_squared_error" and row["method"] == "GD, 1 step"
    world = LinearRegression(10, inputs="uniform", half_width=0.5)
    gd = best_gradient_descent(1, world.draw(8192, 10, seeded("tuning", 0), dtype=torch.float64))
    problems = world.draw(32768, 10, seeded("test", 1), dtype=torch.float64)
    halves = 0.5 * squared_error(gd(problems), problems.query_y)
    # both are means over samples; the notebook's is over 10,000 problems
    standard_error = float(halves.std()) * (1 / 10_000 + 1 / len(halves)) ** 0.5
    assert row["mean"] == pytest.approx(float(halves.mean()), abs=4 * standard_error)
    assert 4 * standard_error < 0.1 * row["mean"]  # so U(−1, 1), whose loss is four times as large, is told apart
    [quoted] = [row.published for row in published.exhibits() if row.table == "vonoswald2023a-notebooks"]
    assert f"{row['mean']:.4f}" in quoted and "does not state" in quoted
    assert f"sampling error is {float(halves.std()) / 10_000**0.5:.4f}" in quoted
