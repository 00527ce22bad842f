"""Predictions from all examples at once are what they are called, and nothing beats the best of them."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from tests.synthetic.problems import EYE, PROBLEMS, draw, loss
from torch import Generator

from demograd.synthetic import (
    KernelRegression,
    LinearRegression,
    LinearSystem,
    Sequences,
    best_gradient_descent,
    best_penalty,
    best_ridge,
    kernel_regression,
    least_squares,
    posterior_mean,
    regularised_least_squares,
    ridge,
    squared_error,
)


def test_least_squares_is_numpys_and_fits_where_there_is_no_noise() -> None:
    predicted = least_squares(PROBLEMS)
    for s in range(3):
        w = np.linalg.lstsq(PROBLEMS.x[s].numpy(), PROBLEMS.y[s].numpy(), rcond=None)[0]
        assert predicted[s].numpy() == pytest.approx(PROBLEMS.query_x[s].numpy() @ w)
    exact = draw(LinearRegression(4), 20, 4)
    assert loss(least_squares(exact), exact) < 1e-12


def test_ridge_minimises_what_it_says() -> None:
    penalty = torch.diag(torch.tensor([0.5, 1.0, 2.0, 4.0]).double())
    x, y = PROBLEMS.x[0].numpy(), PROBLEMS.y[0, :, 0].numpy()
    minimum = minimize(lambda w: ((y - x @ w) ** 2).sum() + w @ penalty.numpy() @ w, np.zeros(4), tol=1e-12).x
    assert ridge(PROBLEMS, penalty)[0].item() == pytest.approx(PROBLEMS.query_x[0].numpy() @ minimum, abs=1e-5)


@pytest.mark.parametrize("task", ["identity", "inverse"])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_nothing_beats_the_posterior_mean(noise: float, task: str) -> None:
    world = LinearRegression(4, spectrum=(4.0, 2.0, 1.0, 0.25), rotation=0, noise=noise, task=task)
    test = draw(world, 20_000, 3, seed=1)
    bayes = posterior_mean(world, test)
    # all y of a problem are jointly Gaussian, so the query's given the others is a formula in their covariances
    of_w = EYE if task == "identity" else torch.linalg.inv(world.covariance())
    covariance = test.x @ of_w @ test.x.mT + noise**2 * torch.eye(3)
    weights = torch.linalg.solve(covariance, test.x @ of_w @ test.query_x[..., None])
    assert torch.allclose(bayes, (weights * test.y).sum(dim=1), atol=1e-6)
    tuning = draw(world, 5000, 3, seed=2)
    others = [ridge(test, EYE), best_gradient_descent(3, tuning)(test)]
    # with neither, least squares is the posterior mean; where w is white and y noisy, the best ridge is
    others += [least_squares(test)] if task == "inverse" or noise else []
    others += [ridge(test, best_ridge(tuning) * EYE)] if task == "inverse" else []
    assert all(loss(bayes, test) < 0.999 * loss(learner, test) for learner in others)


@pytest.mark.parametrize("task", ["identity", "inverse"])
def test_the_posterior_mean_is_that_of_drawn_tasks_weighted_by_how_well_they_explain_the_examples(task: str) -> None:
    """Monte Carlo: E[⟨w, x⟩ | examples] over 400,000 w from the prior, with weights exp(−Σ (y_i − ⟨w, x_i⟩)² / 2σ²)."""
    world = LinearRegression(2, spectrum=(2.0, 0.5), rotation=0, noise=0.5, task=task)
    test = draw(world, 5, 3, seed=4)
    of_w = torch.eye(2).double() if task == "identity" else torch.linalg.inv(world.covariance())
    samples = torch.randn(400_000, 2, generator=Generator().manual_seed(0), dtype=torch.float64)
    w = samples @ torch.linalg.cholesky(of_w).mT
    left = (test.y - test.x @ w.mT).square().sum(dim=1)
    predicted = (torch.softmax(-left / (2 * 0.25), dim=1) * (test.query_x @ w.mT)).sum(dim=1)
    assert torch.allclose(posterior_mean(world, test).squeeze(-1), predicted, atol=0.02)


@pytest.mark.parametrize("kernel", ["linear", "relu", "exponential"])
def test_kernel_regression_is_the_best_linear_rule_over_many_draws_at_the_same_points(kernel: str) -> None:
    """y is jointly Gaussian given x, so regression of the query's y on the examples' gives the posterior's weights."""
    world = KernelRegression(2, kernel, noise=0.5)
    x = draw(world, 1, 4, seed=6).x
    points = torch.cat([x, x[:, :1] @ torch.tensor([[0.0, 1.0], [-1.0, 0.0]]).double()], dim=1)
    problems = world.at(points.expand(300_000, -1, -1), Generator().manual_seed(0))
    fitted = torch.linalg.lstsq(problems.y.squeeze(-1), problems.query_y).solution.squeeze(-1)
    units = torch.eye(4, dtype=torch.float64)
    units_apart = Sequences(problems.x[:4], units[..., None], problems.query_x[:4], problems.query_y[:4])
    weights = kernel_regression(units_apart, kernel, 0.25).squeeze(-1)
    assert torch.allclose(fitted, weights, atol=0.01)
    assert weights.abs().max() > 0.1


def test_the_posterior_mean_of_a_kernel_world_is_kernel_regression_and_ridge_where_the_kernel_is_linear() -> None:
    world = KernelRegression(4, "linear", noise=0.5)
    test = draw(world, 100, 6)
    assert torch.allclose(posterior_mean(world, test), ridge(test, 0.25 * EYE))
    assert posterior_mean(LinearRegression(4, nonzero=2), test) is None


def test_regularised_least_squares_learns_a_system_from_the_past_alone() -> None:
    trajectories = LinearSystem(3, noise=0.05).draw(200, 12, Generator().manual_seed(0), dtype=torch.float64)
    penalty = best_penalty(trajectories)
    predicted = regularised_least_squares(trajectories, penalty)
    states = trajectories.states[0].numpy()
    for t in range(12):
        before, after = states[:t], states[1 : t + 1]
        w = after.T @ before @ np.linalg.inv(before.T @ before + penalty * np.eye(3))
        assert predicted[0, t].numpy() == pytest.approx(w @ states[t])
    error = squared_error(predicted[:, :-1], trajectories.states[:, 1:]).mean(dim=0)
    assert error[0] > 0.5 and error[-1] < 0.05
