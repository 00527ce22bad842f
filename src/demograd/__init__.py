"""Does a language model learn from demonstrations in its prompt the way gradient descent would?

The way of the data: a `Task` gives `Prompts` and `TrainingSequence`s of token ids; `observe` looks inside a model on
the prompts; `fine_tuned` trains it on the sequences for the length of a `with` block; `metrics` compare what was seen.
"""

from typing import TYPE_CHECKING

from demograd.lazy import make_lazy

if TYPE_CHECKING:
    from demograd import charts, metrics, statistics
    from demograd.api import compare, open_run, run
    from demograd.errors import UserError
    from demograd.learn import Diverged, GradientDescent, LayerCausalGradientDescent, ParameterSubset, fine_tuned
    from demograd.models import Model, load_model
    from demograd.observe import Observation, observe
    from demograd.study import Run, Study, Workers, read_study, run_study
    from demograd.tasks import Prompts, Task, TrainingSequence, load_task

__all__ = [
    "Diverged",
    "GradientDescent",
    "LayerCausalGradientDescent",
    "Model",
    "Observation",
    "ParameterSubset",
    "Prompts",
    "Run",
    "Study",
    "Task",
    "TrainingSequence",
    "UserError",
    "Workers",
    "charts",
    "compare",
    "fine_tuned",
    "load_model",
    "load_task",
    "metrics",
    "observe",
    "open_run",
    "read_study",
    "run",
    "run_study",
    "statistics",
]

make_lazy(__name__)
