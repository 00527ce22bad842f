"""`demograd list tasks --statistics`: sizes of tasks, and tokens that a model makes of them."""

from collections.abc import Sequence
from contextlib import nullcontext

from demograd.cli.printing import output, print_table, say
from demograd.errors import UserError
from demograd.models import load_tokenizer
from demograd.tasks import Statistics, Task, load_task, no_downloads, task_statistics
from demograd.tasks.sources.built_in import built_in_tasks
from demograd.tasks.statistics import COUNTED, DRAWS


def print_statistics(model: str, tasks: Sequence[str] | None) -> None:
    """Sizes, class balance and token counts of `tasks`; without any, of those built in whose data are on this machine.

    Raises:
        UserError: the model cannot be found, or a task that was named cannot be loaded.
    """
    tokenizer, window = load_tokenizer(model)
    columns = ["task", "demonstrations", "tuning", "queries", "classes", "mean", "median", "95 %", "max", "fit"]
    rows = []
    for name in tasks or built_in_tasks():
        try:
            # a list of what is here asks nothing of a hub
            with nullcontext() if tasks else no_downloads():
                task = load_task(name)
        except UserError as error:
            if tasks:
                raise
            rows.append((name, "–", "–", "–", error.problem, *["–"] * 5))
        else:
            rows.append((name, *_statistics(task_statistics(task, tokenizer, window), task)))
    print_table(columns, rows)
    output().facts["tasks"] = [dict(zip(["name", *columns[1:]], row, strict=True)) for row in rows]
    say(f"mean to max: tokens of text and answer for {model}, of at most {COUNTED} examples of each pool.")
    if window:
        say(f"fit: demonstrations in {window} tokens with the longest query, fewest and median of {DRAWS} draws.")


def _statistics(counts: Statistics, task: Task) -> tuple[str, ...]:
    balance = [f"{word} {share:.0%}" for word, share in zip(task.label_words, counts.class_shares, strict=True)]
    tokens, fitting = counts.tokens, counts.fitting
    return (
        str(counts.training),
        str(counts.tuning),
        str(counts.queries),
        ", ".join(balance),
        f"{tokens.mean:.1f}",
        f"{tokens.median:g}",
        f"{tokens.percentile_95:g}",
        str(tokens.max),
        f"{fitting.fewest}, {fitting.median:g}" if fitting else "",
    )
