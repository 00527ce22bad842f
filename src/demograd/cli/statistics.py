"""`demograd list tasks --statistics`: sizes of tasks, and tokens that a model makes of them."""

from collections.abc import Sequence
from contextlib import nullcontext

from demograd.cli.printing import output, print_table, say
from demograd.errors import UserError, unknown_name
from demograd.models import load_tokenizer
from demograd.published import caveats, table
from demograd.tasks import Statistics, Task, load_task, no_downloads, split_sizes, task_statistics
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


def print_published_sizes(model: str, tasks: Sequence[str] | None) -> None:
    """Rows of the splits that Deutch 2024, Table 3, counts, and lengths of texts, measured beside published.

    Raises:
        UserError: the model cannot be found, or a task that was named is not in the table.
    """
    tokenizer, _ = load_tokenizer(model)
    numbers = table("deutch2024-table3").pivot(index="task", columns="metric", values="mean")
    for name in tasks or ():
        if name not in numbers.index:
            raise unknown_name("task", name, numbers.index, "Choose among those of Deutch 2024, Table 3")
    columns = [
        "task",
        "train",
        "published train",
        "test",
        "published test",
        "tokens",
        "id characters",
        "published",
        "source",
    ]
    rows, reasons = [], list[str]()
    for name in (name for name in built_in_tasks() if name in (tasks or numbers.index)):
        train, test, length = (
            f"{float(numbers[metric][name]):,g}"
            for metric in ("training_examples", "validation_examples", "mean_tokens")
        )
        try:
            sizes = split_sizes(name, tokenizer)
        except UserError as error:
            rows.append((name, "–", train, "–", test, "–", "–", length, error.problem))
        else:
            n_test = "–" if sizes.validation is None else f"{sizes.validation:,}"
            lengths = f"{sizes.mean_tokens:.1f}", f"{sizes.mean_characters:.1f}"
            source = f"{sizes.source}{', without splits' * bool(sizes.no_hub)}"
            rows.append((name, f"{sizes.training:,}", train, n_test, test, *lengths, length, source))
            reasons += filter(None, [sizes.no_hub])
    print_table(columns, rows)
    output().facts["tasks"] = [dict(zip(["name", *columns[1:]], row, strict=True)) for row in rows]
    if reasons:
        say(f"without splits: the package's one table, from which all pools are drawn. {reasons[0]}.")
    for caveat in caveats():
        if any("deutch2024-table3" in fits.get("table", ()) for fits in caveat.concerns):
            say(f"Published: {caveat.says}")
    say(f"tokens and id characters: of a text without its template, for {model}; published with GPT-2's tokenizer.")


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
