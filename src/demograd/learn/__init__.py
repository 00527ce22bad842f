"""Fine-tuning methods: change a model's weights for the length of a `with` block, and put them back."""

from typing import TYPE_CHECKING

from demograd.lazy import make_lazy

if TYPE_CHECKING:
    from demograd.learn.fine_tuned import TunedModel, fine_tuned
    from demograd.learn.methods import Diverged, GradientDescent, LayerCausalGradientDescent, Method
    from demograd.learn.subset import ParameterSubset

__all__ = [
    "Diverged",
    "GradientDescent",
    "LayerCausalGradientDescent",
    "Method",
    "ParameterSubset",
    "TunedModel",
    "fine_tuned",
]

make_lazy(__name__)
