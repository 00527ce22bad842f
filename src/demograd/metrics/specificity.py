"""Specificity: does the similarity notice *what* was learned?"""

from jaxtyping import Float
from torch import Tensor

from demograd.statistics.aggregate import difference


def specificity(
    score_same: Float[Tensor, "queries layers *heads"], score_control: Float[Tensor, "queries layers *heads"]
) -> Float[Tensor, "queries layers *heads"]:
    """A score with FT on ICL's own demonstrations minus the score with FT on a control, paired value by value.

    Controls: other demonstrations of the task, the same ones with permuted labels, another task. About zero:
    fine-tuning on anything looks as much like ICL. NaN (missing) where either score is; infinite (it diverged) where
    either score is.

    **Source:** ours (method.md, "Why specificity leads").
    """
    return difference(score_same, score_control)
