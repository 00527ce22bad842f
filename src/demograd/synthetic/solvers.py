"""What predicts a query's y with all the examples at once: the references that no number of steps beats."""

import torch
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from torch import Tensor

from demograd.synthetic.attention import Kernel, gram
from demograd.synthetic.constructions.mesa import mesa_predictions
from demograd.synthetic.descent import squared_error
from demograd.synthetic.sequences import Sequences, Trajectories
from demograd.synthetic.worlds import KernelRegression, LinearRegression, World


def least_squares(problems: Sequences) -> Float[Tensor, "sequences outputs"]:
    """The w of least norm among those of least squared error; the examples' noise is taken for signal."""
    w = torch.linalg.pinv(problems.x.double()) @ problems.y.double()
    return (problems.query_x.double()[:, None] @ w).squeeze(1).to(problems.y)


def ridge(problems: Sequences, penalty: Float[Tensor, "inputs inputs"]) -> Float[Tensor, "sequences outputs"]:
    """argmin Σ‖y_i − w x_i‖² + w Λ wᵀ, with Λ the penalty."""
    x, y = problems.x.double(), problems.y.double()
    w = torch.linalg.solve(x.mT @ x + penalty.to(x), x.mT @ y)
    return (problems.query_x.double()[:, None] @ w).squeeze(1).to(problems.y)


def best_ridge(problems: Sequences) -> Float[Tensor, ""]:
    """The λ of Λ = λ I that is best on these problems, by line search over its logarithm."""
    everything = torch.eye(problems.x.shape[-1], dtype=torch.float64)

    def loss(log: float) -> float:
        return float(squared_error(ridge(problems, 10**log * everything), problems.query_y).mean())

    return torch.tensor(10 ** float(minimize_scalar(loss, bounds=(-8.0, 3.0), method="bounded").x))


def kernel_regression(problems: Sequences, kernel: Kernel, noise_variance: float) -> Float[Tensor, "sequences outputs"]:
    """k(x)ᵀ (K + σ² I)⁻¹ y: the mean of the Gaussian process given the examples.

    As in the world, K over all n + 1 points of a problem, the query too, has its negative eigenvalues set to zero. With
    the ReLU kernel, which has some, the weights of the examples thus depend on the query in more than k(x), and this
    is the posterior mean of that joint distribution, not that of a Gaussian process. Where K is singular and nothing
    is noise, its pseudo-inverse takes the place of the inverse.
    """
    points = torch.cat([problems.x, problems.query_x[:, None]], dim=1).double()
    eigenvalues, axes = torch.linalg.eigh(gram(kernel, points, points))
    k = axes @ (eigenvalues.clamp(min=0)[..., None] * axes.mT)
    covariance = k[:, :-1, :-1] + noise_variance * torch.eye(problems.context, dtype=k.dtype, device=k.device)
    weights = torch.linalg.pinv(covariance, hermitian=True, rtol=1e-10) @ problems.y.double()
    return (k[:, -1:, :-1] @ weights).squeeze(1).to(problems.y)


def posterior_mean(world: World, problems: Sequences) -> Float[Tensor, "sequences outputs"] | None:
    """The best possible prediction, E[y | examples, x]; None for a world where it has no closed form.

    For a Gaussian w it is ridge with the noise's variance times w's precision, and least squares where there is no
    noise (in the coordinates in which w is white).
    """
    match world:
        case LinearRegression(nonzero=None):
            precision = world.covariance() if world.task == "inverse" else torch.eye(world.dimension).double()
            if world.noise:
                return ridge(problems, world.noise**2 * precision)
            root = torch.linalg.cholesky(precision).to(problems.x.device)  # w = root⁻ᵀ z, and least norm is z's
            white = Sequences(
                *(
                    torch.linalg.solve_triangular(root, points.double()[..., None], upper=False).squeeze(-1)
                    if name.endswith("x")
                    else points.double()
                    for name, points in vars(problems).items()
                )
            )
            return least_squares(white).to(problems.y)
        case KernelRegression():
            return kernel_regression(problems, world.kernel, world.noise**2)
        case _:
            return None


def regularised_least_squares(trajectories: Trajectories, penalty: float) -> Float[Tensor, "sequences times state"]:
    """Each s_{t+1} predicted from the states up to s_t: W_t = argmin Σ_i ‖s_i − W s_{i−1}‖² + λ‖W‖²."""
    s = trajectories.states.double()
    return ridge_so_far(s[:, :-1], s[:, 1:], s, penalty).to(trajectories.states)


def preconditioned_inputs(trajectories: Trajectories, penalty: float) -> Float[Tensor, "sequences times state"]:
    """(Σ_i s_{i−1} s_{i−1}ᵀ + λ)⁻¹ s_t, over the states up to s_t: what Σ_i s_i s_{i−1}ᵀ makes the prediction of least
    squares (von Oswald 2023b)."""
    s = trajectories.states.double()
    return torch.linalg.solve(_before_each(s[:, :-1], s[:, :-1], s.shape[1], penalty), s[..., None]).squeeze(-1)


def ridge_so_far(
    x: Float[Tensor, "sequences pairs inputs"],
    y: Float[Tensor, "sequences pairs outputs"],
    queries: Float[Tensor, "sequences queries inputs"],
    penalty: float,
) -> Float[Tensor, "sequences queries outputs"]:
    """W_t q_t for each query, with W_t = argmin Σ_{i<t} ‖y_i − W x_i‖² + λ‖W‖²; as many as pairs, or one more."""
    n = queries.shape[1]
    q = torch.linalg.solve(_before_each(x, x, n, penalty), queries[..., None])
    return (_before_each(y, x, n) @ q).squeeze(-1)


def _before_each(u: Tensor, v: Tensor, n: int, penalty: float = 0.0) -> Float[Tensor, "sequences n rows columns"]:
    """Σ_{i<t} u_i v_iᵀ + λ I for t = 0 … n − 1."""
    sums = torch.einsum("bti,btj->btij", u, v).cumsum(dim=1)
    sums = torch.cat([torch.zeros_like(sums[:, :1]), sums], dim=1)[:, :n]
    return sums if not penalty else sums + penalty * torch.eye(sums.shape[-1]).to(sums)


def best_mesa_layers(
    layers: int, trajectories: Trajectories
) -> tuple[Float[Tensor, " layers"], Float[Tensor, " layers"]]:
    """Step sizes η and γ of the mesa-optimiser's construction that are best on these trajectories.

    With one γ for all, whatever it is if not 0, the layers reach every polynomial p of their degree in C p(H) s, and
    their predictions are linear in η: least squares. γ is such that each layer takes from the query half of what the
    mean eigenvalue of H left in it.
    """
    states = trajectories.states
    curvature = torch.full((layers,), 0.5 / float(states.square().mean()), dtype=states.dtype, device=states.device)
    of_each = torch.stack(
        [mesa_predictions(trajectories, unit, curvature)[:, :-1].flatten() for unit in torch.eye(layers).to(states)],
        dim=1,
    )
    steps = torch.linalg.lstsq(of_each, states[:, 1:].reshape(-1, 1)).solution.squeeze(-1)
    return steps, curvature


def best_penalty(trajectories: Trajectories) -> float:
    """The λ of regularised least squares with the least mean error over all times, by line search."""
    states = trajectories.states

    def loss(log: float) -> float:
        predicted = regularised_least_squares(trajectories, 10**log)
        return float(squared_error(predicted[:, :-1], states[:, 1:]).mean())

    return float(10 ** minimize_scalar(loss, bounds=(-6.0, 3.0), method="bounded").x)
