"""Fine-tuning methods: change a model's weights for the length of a `with` block, and put them back."""

from typing import TYPE_CHECKING

from demograd.lazy import make_lazy

if TYPE_CHECKING:
    from demograd.learn.fine_tuned import TunedModel, fine_tuned
    from demograd.learn.fine_tuning import FineTuning
    from demograd.learn.gradient_descent import GradientDescent
    from demograd.learn.layer_causal import LayerCausalGradientDescent
    from demograd.learn.method import Diverged, Method, methods
    from demograd.learn.method import method as method
    from demograd.learn.step import Training
    from demograd.learn.subset import ParameterSubset
    from demograd.learn.together import FineTuned, FineTuningJob, fine_tuned_together

__all__ = [
    "Diverged",
    "FineTuned",
    "FineTuning",
    "FineTuningJob",
    "GradientDescent",
    "LayerCausalGradientDescent",
    "Method",
    "ParameterSubset",
    "Training",
    "TunedModel",
    "fine_tuned",
    "fine_tuned_together",
    "method",
    "methods",
]

make_lazy(__name__)
