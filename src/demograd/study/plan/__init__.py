"""What a study will take, before it is run."""

from typing import TYPE_CHECKING

from demograd.lazy import make_lazy

if TYPE_CHECKING:
    from demograd.study.plan.plan import Plan, plan_study

__all__ = ["Plan", "plan_study"]

make_lazy(__name__)
