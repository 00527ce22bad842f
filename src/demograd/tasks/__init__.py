"""Examples, templates and label words; text in, token ids out."""

from typing import TYPE_CHECKING

from demograd.lazy import make_lazy

if TYPE_CHECKING:
    from demograd.tasks.draws import ReleasedOrders as ReleasedOrders
    from demograd.tasks.draws import can_keep_class_counts as can_keep_class_counts
    from demograd.tasks.draws import permute_labels as permute_labels
    from demograd.tasks.draws import released_orders as released_orders
    from demograd.tasks.load import load_task as load_task
    from demograd.tasks.prompts import Prompts as Prompts
    from demograd.tasks.prompts import TrainingSequence as TrainingSequence
    from demograd.tasks.sources.built_in import check_task_name as check_task_name
    from demograd.tasks.sources.built_in import released_queries as released_queries
    from demograd.tasks.sources.built_in import task_names as task_names
    from demograd.tasks.sources.hub import no_downloads as no_downloads
    from demograd.tasks.split_sizes import SplitSizes as SplitSizes
    from demograd.tasks.split_sizes import split_sizes as split_sizes
    from demograd.tasks.statistics import Statistics as Statistics
    from demograd.tasks.statistics import task_statistics as task_statistics
    from demograd.tasks.task import Task as Task
    from demograd.tasks.task import other_task as other_task
    from demograd.tasks.template import Example as Example
    from demograd.tasks.tokenizer import prompt_notes as prompt_notes

make_lazy(__name__)
