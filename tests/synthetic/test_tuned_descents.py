"""Descents are what they are called, and as good as they can be."""

import pytest
import torch
from tests.synthetic.problems import EYE, PROBLEMS, draw, loss
from torch import Generator

from demograd.synthetic import (
    Descent,
    KernelRegression,
    LinearRegression,
    LinearSystem,
    as_tokens,
    best_descent,
    best_functional_steps,
    best_gradient_descent,
    best_mesa_layers,
    best_preconditioner,
    best_sequential_step,
    functional_descent,
    mesa_predictions,
    predictions,
    run_layers,
    sequential_descent,
    squared_error,
)
from demograd.synthetic.constructions import functional_descent_layers, gd_plus_plus_layers, gradient_descent_layers
from demograd.synthetic.tuning import minimise


def test_descents_do_what_the_constructions_do() -> None:
    etas, gammas = torch.tensor([0.4, 0.3]), torch.tensor([0.03, 0.02])
    gd = Descent(etas[:, None, None] * EYE, torch.zeros(2, 4, 4), context=7)
    layers = gradient_descent_layers(etas.tolist(), 7, torch.zeros(1, 4, dtype=torch.float64))
    assert torch.allclose(gd(PROBLEMS), predictions(run_layers(as_tokens(PROBLEMS), layers)), atol=1e-6)
    # the construction's γ multiplies XXᵀ, the descent's B n⁻¹ XXᵀ A
    curved = Descent(etas[:, None, None] * EYE, (7 * gammas / etas)[:, None, None] * EYE, context=7)
    layers = gd_plus_plus_layers(etas.tolist(), gammas.tolist(), 7, 4)
    assert torch.allclose(curved(PROBLEMS), predictions(run_layers(as_tokens(PROBLEMS), layers)), atol=1e-6)


def test_the_line_search_finds_the_best_step_and_more_freedom_is_better_on_fresh_problems() -> None:
    tuning, fresh = (draw(LinearRegression(3, spectrum=(4.0, 1.0, 0.25)), 10_000, 10, seed) for seed in (0, 1))
    gd = best_gradient_descent(2, tuning)
    eta = gd.preconditioners[0, 0, 0]
    for other in (0.98, 1.02):
        scaled = Descent(other * gd.preconditioners, gd.curvature, gd.context)
        assert loss(scaled(tuning), tuning) > loss(gd(tuning), tuning)
    assert torch.equal(gd.preconditioners, eta * torch.eye(3).double().expand(2, 3, 3))
    rates, curved, preconditioned, both = (
        loss(best_descent(2, tuning, preconditioned=preconditioned, curved=curved)(fresh), fresh)
        for preconditioned, curved in ((False, False), (False, True), (True, False), (True, True))
    )
    assert both < min(curved, preconditioned)
    assert max(curved, preconditioned) < rates < loss(gd(fresh), fresh)


@pytest.mark.parametrize("kind", ["linear", "relu", "exponential", "softmax"])
def test_functional_gd_is_the_construction_and_its_rates_are_the_best(kind: str) -> None:
    problems = draw(KernelRegression(3, "exponential", noise=0.1), 500, 8)
    best, bandwidth = best_functional_steps(2, problems, kind)
    assert bandwidth == 1.0
    layers = functional_descent_layers(best.tolist(), 3)
    predicted = functional_descent(problems, best, kind)
    assert torch.allclose(predicted, predictions(run_layers(as_tokens(problems), layers, kind)))
    for n in range(2):
        for change in (0.97, 1.03):
            other = best.clone()
            other[n] *= change
            assert loss(functional_descent(problems, other, kind), problems) > loss(predicted, problems)


def test_the_best_preconditioner_of_one_step_is_ahns() -> None:
    world = LinearRegression(3, spectrum=(4.0, 1.0, 0.25), rotation=1)
    tuned = best_descent(1, draw(world, 60_000, 12), preconditioned=True, curved=False)
    best = best_preconditioner(world.covariance(), 12)
    assert float((tuned.preconditioners[0] - best).norm() / best.norm()) < 0.03


ANISOTROPIC = draw(LinearRegression(3, spectrum=(4.0, 1.0, 0.25)), 4000, 10, seed=3)


@pytest.mark.parametrize("preconditioned", [False, True])
@pytest.mark.parametrize("curved", [False, True])
def test_tied_steps_are_one_step_repeated_and_never_better_than_steps_of_their_own(
    preconditioned: bool, curved: bool
) -> None:
    of_kind = {"preconditioned": preconditioned, "curved": curved}
    tied, free = (best_descent(3, ANISOTROPIC, shared=shared, **of_kind) for shared in (True, False))
    gd = best_gradient_descent(3, ANISOTROPIC)
    for of_step in (tied.preconditioners, tied.curvature):
        assert torch.equal(of_step, of_step[:1].expand_as(of_step))
    assert bool(tied.curvature.any()) == curved
    assert loss(free(ANISOTROPIC), ANISOTROPIC) < 0.95 * loss(tied(ANISOTROPIC), ANISOTROPIC)
    if preconditioned or curved:
        assert loss(tied(ANISOTROPIC), ANISOTROPIC) < 0.95 * loss(gd(ANISOTROPIC), ANISOTROPIC)
    else:
        assert torch.allclose(tied.preconditioners, gd.preconditioners, rtol=1e-3)


@pytest.mark.parametrize("preconditioned", [False, True])
def test_one_tied_step_is_one_step(preconditioned: bool) -> None:
    tied, free = (
        best_descent(1, ANISOTROPIC, preconditioned=preconditioned, curved=False, shared=shared)
        for shared in (True, False)
    )
    assert torch.equal(tied.preconditioners, free.preconditioners)


def test_no_small_change_of_the_best_descent_is_better() -> None:
    best = best_descent(2, ANISOTROPIC, preconditioned=True, curved=True)
    least, generator = loss(best(ANISOTROPIC), ANISOTROPIC), Generator().manual_seed(0)
    for _ in range(20):
        change = (1 + 0.01 * torch.randn(2, 3, 3, generator=generator).double() for _ in range(2))
        a, b = (matrix * by for matrix, by in zip((best.preconditioners, best.curvature), change, strict=True))
        assert loss(Descent(a, b, best.context)(ANISOTROPIC), ANISOTROPIC) > least
    assert not best.curvature[-1].any()  # no prediction depends on it: it stays where it was


def test_the_best_preconditioned_step_solves_its_normal_equations() -> None:
    """One step's prediction n⁻¹ Σ y_i x_iᵀ A x is linear in A, so least squares gives the best A in closed form."""
    best = best_descent(1, ANISOTROPIC, preconditioned=True, curved=False)
    c = (ANISOTROPIC.y.mT @ ANISOTROPIC.x / 10).squeeze(1)
    of_entries = torch.einsum("si,sj->sij", c, ANISOTROPIC.query_x).flatten(1)
    solved = torch.linalg.lstsq(of_entries, ANISOTROPIC.query_y).solution.reshape(3, 3)
    assert torch.allclose(best.preconditioners[0], solved, atol=1e-3)


def test_rates_of_each_step_are_not_left_equal() -> None:
    """Where they are equal no direction leads away from equality, so a search from there alone would find nothing."""
    rates = best_descent(2, ANISOTROPIC, preconditioned=False, curved=False).preconditioners[:, 0, 0]
    assert rates.max() > 1.5 * rates.min()
    etas = best_functional_steps(2, ANISOTROPIC, "linear")[0] * 10
    assert torch.allclose(etas.sort().values, rates.sort().values, rtol=1e-2)


@pytest.mark.parametrize("kind", ["exponential", "softmax"])
def test_the_best_bandwidth_beats_one_on_fresh_problems_and_no_other_is_better(kind: str) -> None:
    world = KernelRegression(3, "exponential", noise=0.1)
    problems, fresh = draw(world, 4000, 8), draw(world, 4000, 8, seed=1)
    steps, bandwidth = best_functional_steps(2, problems, kind, any_bandwidth=True)
    textbook, _ = best_functional_steps(2, problems, kind)
    predicted = functional_descent(fresh, steps, kind, bandwidth)
    assert abs(bandwidth - 1) > 0.1
    assert loss(predicted, fresh) < 0.99 * loss(functional_descent(fresh, textbook, kind), fresh)
    least = loss(functional_descent(problems, steps, kind, bandwidth), problems)
    for change in (0.95, 1.05):
        assert loss(functional_descent(problems, steps, kind, change * bandwidth), problems) > least


def test_a_bandwidth_of_linear_attention_is_one() -> None:
    (steps, bandwidth), (same, _) = (
        best_functional_steps(2, ANISOTROPIC, "linear", any_bandwidth=any_bandwidth) for any_bandwidth in (True, False)
    )
    assert bandwidth == 1.0 and torch.equal(steps, same)


def test_the_best_mesa_optimiser_is_the_best_polynomial_of_the_states_covariance() -> None:
    """Whatever its γ: with another, other η make the same predictions."""
    trajectories = LinearSystem(3, noise=0.3, contraction=0.95).draw(
        200, 8, Generator().manual_seed(0), dtype=torch.float64
    )

    def loss_of(steps: torch.Tensor, curvature: torch.Tensor) -> float:
        return float(
            squared_error(mesa_predictions(trajectories, steps, curvature)[:, :-1], trajectories.states[:, 1:]).mean()
        )

    steps, curvature = best_mesa_layers(3, trajectories)
    least = loss_of(steps, curvature)
    for n in range(3):
        for change in (0.97, 1.03):
            other = steps.clone()
            other[n] *= change
            assert loss_of(other, curvature) > least
    free = minimise(
        [
            lambda both: (
                mesa_predictions(trajectories, both[:3], both[3:])[:, :-1] - trajectories.states[:, 1:]
            ).flatten()
        ],
        torch.cat([steps * 0.5, curvature * 1.5]),
    )
    assert 3 * free.loss == pytest.approx(least, rel=1e-4)


def test_sequential_sgd_depends_on_the_order_and_full_batch_gd_does_not() -> None:
    order = torch.arange(6, -1, -1)
    step = best_sequential_step(PROBLEMS)
    assert (sequential_descent(PROBLEMS, step) - sequential_descent(PROBLEMS.reordered(order), step)).abs().max() > 0.1
    gd = best_gradient_descent(2, PROBLEMS)
    assert torch.allclose(gd(PROBLEMS), gd(PROBLEMS.reordered(order)), atol=1e-12)
