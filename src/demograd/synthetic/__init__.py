"""Worlds where in-context learning can be gradient descent: constructions, references, and trained transformers."""

from typing import TYPE_CHECKING

from demograd.lazy import make_lazy

if TYPE_CHECKING:
    from demograd.synthetic.attention import (
        AttentionLayer,
        as_tokens,
        attended,
        attended_causally,
        predictions,
        repeated,
        run_layers,
    )
    from demograd.synthetic.comparison import (
        Comparison,
        Learner,
        compare,
        distance_from_multiples,
        effective_preconditioner,
        implicit_weights,
        infinite_if_undefined,
        interpolated,
        learned_blocks,
        order_spread,
        products,
        scaled_like,
        sensitivity,
    )
    from demograd.synthetic.constructions import (
        CONSTRUCTIONS,
        Construction,
        best_preconditioner,
        descent_layers,
        gradient_descent_layers,
        mesa_layer,
        mesa_layers,
        preconditioned_layer,
    )
    from demograd.synthetic.constructions.mesa import mesa_predictions
    from demograd.synthetic.descent import Descent, sequential_descent, squared_error
    from demograd.synthetic.functional_descent import best_functional_steps, functional_descent
    from demograd.synthetic.matching import matching_scores
    from demograd.synthetic.probes import past_states, probe_error
    from demograd.synthetic.sequences import Sequences, Trajectories, seeded
    from demograd.synthetic.settings import Architecture, AttentionKind, Kernel, TrainingRecipe
    from demograd.synthetic.solvers import (
        best_mesa_layers,
        best_penalty,
        best_ridge,
        kernel_regression,
        least_squares,
        posterior_mean,
        preconditioned_inputs,
        regularised_least_squares,
        ridge,
        ridge_so_far,
    )
    from demograd.synthetic.training import TrainingDiverged, best_start, mean_loss, train
    from demograd.synthetic.transformer import Masks, SmallTransformer, in_use, width_of
    from demograd.synthetic.tuned_descent import best_descent, best_gradient_descent, best_sequential_step
    from demograd.synthetic.tuning import HeldOut, NotConverged, held_out
    from demograd.synthetic.worlds import KernelRegression, LinearRegression, LinearSystem, SineRegression, World

__all__ = [
    "CONSTRUCTIONS",
    "Architecture",
    "AttentionKind",
    "AttentionLayer",
    "Comparison",
    "Construction",
    "Descent",
    "HeldOut",
    "Kernel",
    "KernelRegression",
    "Learner",
    "LinearRegression",
    "LinearSystem",
    "Masks",
    "NotConverged",
    "Sequences",
    "SineRegression",
    "SmallTransformer",
    "TrainingDiverged",
    "TrainingRecipe",
    "Trajectories",
    "World",
    "as_tokens",
    "attended",
    "attended_causally",
    "best_descent",
    "best_functional_steps",
    "best_gradient_descent",
    "best_mesa_layers",
    "best_penalty",
    "best_preconditioner",
    "best_ridge",
    "best_sequential_step",
    "best_start",
    "compare",
    "descent_layers",
    "distance_from_multiples",
    "effective_preconditioner",
    "functional_descent",
    "gradient_descent_layers",
    "held_out",
    "implicit_weights",
    "in_use",
    "infinite_if_undefined",
    "interpolated",
    "kernel_regression",
    "learned_blocks",
    "least_squares",
    "matching_scores",
    "mean_loss",
    "mesa_layer",
    "mesa_layers",
    "mesa_predictions",
    "order_spread",
    "past_states",
    "posterior_mean",
    "preconditioned_inputs",
    "preconditioned_layer",
    "predictions",
    "probe_error",
    "products",
    "regularised_least_squares",
    "repeated",
    "ridge",
    "ridge_so_far",
    "run_layers",
    "scaled_like",
    "seeded",
    "sensitivity",
    "sequential_descent",
    "squared_error",
    "train",
    "width_of",
]

make_lazy(__name__)
