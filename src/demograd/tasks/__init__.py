"""Examples, templates and label words; text in, token ids out."""

from typing import TYPE_CHECKING

from demograd.lazy import make_lazy

if TYPE_CHECKING:
    from demograd.tasks.builtin import check_task_name as check_task_name
    from demograd.tasks.builtin import task_names as task_names
    from demograd.tasks.draws import can_keep_class_counts as can_keep_class_counts
    from demograd.tasks.draws import permute_labels as permute_labels
    from demograd.tasks.example import Example as Example
    from demograd.tasks.hub import no_downloads as no_downloads
    from demograd.tasks.load import load_task as load_task
    from demograd.tasks.other_task import other_task as other_task
    from demograd.tasks.prompts import Prompts as Prompts
    from demograd.tasks.prompts import TrainingSequence as TrainingSequence
    from demograd.tasks.released import ReleasedOrders as ReleasedOrders
    from demograd.tasks.released import released_orders as released_orders
    from demograd.tasks.released import released_queries as released_queries
    from demograd.tasks.statistics import Statistics as Statistics
    from demograd.tasks.statistics import task_statistics as task_statistics
    from demograd.tasks.task import Task as Task
    from demograd.tasks.tokenizer import prompt_notes as prompt_notes

make_lazy(__name__)
