"""Options of the command line: what they are called, how their text is read, and bounded messages for what is not."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from demograd.cli import completion
from demograd.cli.printing import output
from demograd.errors import LONGEST_PART, UserError, shortened
from demograd.words import Labels, Weights

MOST_SEEDS = 10_000
"""That a count can stand for."""
Many = list[str] | None
# The groups of options in a command's help.
STUDY, MODEL, TASK, METHODS, ENGINE, OUTPUT = "Study", "Model", "Task", "Methods", "Engine", "Output"


def option(panel: str, *names: str, complete: Any = None, **about: Any) -> Any:
    """An option in a group of the help; `complete` names what may begin so, for the shell."""
    return typer.Option(*names, rich_help_panel=panel, autocompletion=complete, **about)


Study_ = Annotated[str, typer.Argument(help="A preset, or a study file (.yaml).", autocompletion=completion.presets)]
Set = Annotated[
    Many,
    option(STUDY, "--set", help="Any setting of a study file: k=8,16 or methods.GD.epochs=2; repeatable."),
]
K = Annotated[str | None, option(STUDY, "--k", "-k", help="Demonstrations: a number, or several by commas.")]
Queries = Annotated[int | None, option(STUDY, help="Test examples.")]
Seeds = Annotated[
    str | None, option(STUDY, help="Demonstration sets: a count, or the seeds 0,3,7 (3, is seed 3 alone).")
]
Measure = Annotated[
    Many, option(STUDY, help="A name of `demograd list measures`; repeatable.", complete=completion.measures)
]
AsReleased = Annotated[
    bool, option(STUDY, "--as-released", help="With a paper's preset: its released settings and defects.")
]
Model_ = Annotated[
    str | None,
    option(
        MODEL, help="Built-in name, hub name (owner/name@revision), folder, or GGUF file.", complete=completion.models
    ),
]
Checkpoint = Annotated[Many, option(MODEL, help="A state of the model in training: as --model, or @revision.")]
Weights_ = Annotated[Many, option(MODEL, help=f"{', '.join(Weights)}; repeatable.", complete=completion.weights)]
Dtype_ = Annotated[str | None, option(MODEL, help="float32, bfloat16 or float16.", complete=completion.dtypes)]
Device_ = Annotated[str | None, option(MODEL, help="auto, balanced, cpu, cuda, …", complete=completion.devices)]
Bos = Annotated[str | None, option(MODEL, help="The token that prompts begin with, for another one.")]
Pickle = Annotated[
    bool,
    option(
        MODEL,
        "--allow-pickle",
        help="Also take weights in pickle files (pytorch_model.bin): whoever made such a file may run code of theirs "
        "on this machine. Only for files that you trust.",
    ),
]
Tasks = Annotated[
    Many, option(TASK, help="Built-in name, hub:owner/name, a file, or cb=FILE; repeatable.", complete=completion.tasks)
]
Template = Annotated[
    str | None, option(TASK, help='"Review: {text} Sentiment:"; a built-in task has one, which this replaces.')
]
LabelWords = Annotated[
    str | None, option(TASK, help="Words in class order, or label=word, by commas; replace a built-in task's.")
]
Labels_ = Annotated[
    Many, option(TASK, help=f"Label words: {', '.join(Labels)}; repeatable.", complete=completion.labels)
]
AnswerPrefix = Annotated[str | None, option(TASK, help="What stands between text and answer: a space by default.")]
LabelColumn = Annotated[str | None, option(TASK, help="For a file: where its labels are.")]
Validation = Annotated[str | None, option(TASK, help="For a file: a second one, for the queries.")]
Split = Annotated[str | None, option(TASK, help="Of a hub set or folder: for the demonstrations.")]
ValidationSplit = Annotated[str | None, option(TASK, help="Of a hub set or folder: for the queries.")]
Encoding = Annotated[str | None, option(TASK, help="Of a file of text that is not in UTF-8: latin-1, …")]
Method_ = Annotated[
    Many, option(METHODS, help="A name of `demograd list methods`; repeatable.", complete=completion.methods)
]
LearningRate = Annotated[Many, option(METHODS, help="0.001 (all methods) or GD=0.001; repeatable.")]
RunsWith = Annotated[int | None, option(ENGINE, "--workers", help="Processes, or Ray tasks, at once.")]
Threads = Annotated[int | None, option(ENGINE, help="Of each worker; without it, the cores divided among them.")]
Executor_ = Annotated[
    str | None,
    option(
        ENGINE,
        "--executor",
        help="in-process, processes (with --workers 2 or more), or ray.",
        complete=completion.executors,
    ),
]
Address = Annotated[str | None, option(ENGINE, help="Of a Ray cluster; without it, RAY_ADDRESS, or one of its own.")]
Gpus = Annotated[float, option(ENGINE, help="That a Ray task needs.")]
Memory = Annotated[float | None, option(ENGINE, help="GB that a Ray task needs.")]
RetryFailed = Annotated[bool, option(ENGINE, "--retry-failed", help="Try again what failed before.")]
Out = Annotated[str | None, option(OUTPUT, help="Run folder, or a URL of one; the same command goes on there.")]


def _be_quiet(is_quiet: bool) -> bool:
    output().is_quiet |= is_quiet
    return is_quiet


def _be_json(is_json: bool) -> bool:
    output().is_json |= is_json
    return is_json


Quiet = Annotated[
    bool,
    option(OUTPUT, "--quiet", "-q", callback=_be_quiet, is_eager=True, help="Print errors and the page's path alone."),
]
Json = Annotated[
    bool,
    option(
        OUTPUT,
        "--json",
        callback=_be_json,
        is_eager=True,
        help="Print one JSON object, for scripts: verdicts, paths and exit status.",
    ),
]


def numbers(option: str, text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UserError(f"{option} {text}", "whole numbers by commas", f"Try {option} 16 or {option} 4,8") from error


def counts_of_workers(text: str) -> list[int]:
    """`1,8,64`.

    Raises:
        UserError: it is something else.
    """
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise UserError(f"--workers {text}", "whole numbers from 1 on, by commas", "Try --workers 1,8,64")
    return counts


def label_words_from(text: str | None) -> list[str] | dict[str, str] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not any("=" in part for part in parts):
        return parts
    pairs = [part.partition("=") for part in parts]
    labels = [label.strip() for label, _, _ in pairs]
    if not all(equals for _, equals, _ in pairs) or len(set(labels)) < len(labels):
        raise UserError(
            f"--label-words {text}",
            "words by commas, or label=word for every label, each label once",
            "Try --label-words neg=Negative,pos=Positive",
        )
    return {label: word.strip() for label, (_, _, word) in zip(labels, pairs, strict=True)}


def seeds_from(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        numbers = [int(part) for part in text.removesuffix(",").split(",")]
    except ValueError as error:
        expected = "a count, or whole numbers by commas"
        raise UserError(f"--seeds {text}", expected, "Try --seeds 5, --seeds 0,3,7 or --seeds 3,") from error
    if "," in text:
        return numbers
    if not 1 <= numbers[0] <= MOST_SEEDS:
        raise UserError(f"--seeds {text}", f"at least one demonstration set, at most {MOST_SEEDS:,}", "Try --seeds 5")
    return list(range(numbers[0]))


def rates_from(texts: list[str], methods: list[Any]) -> dict[str, list[float]]:
    """`0.001` counts for every method, `GD=0.001` for one."""
    rates: dict[str, list[float]] = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        try:
            rate = float(number)
        except ValueError as error:
            raise UserError(
                f"--learning-rate {text}", "a number, or METHOD=number", "Try --learning-rate GD=0.001"
            ) from error
        if name and name not in methods:
            expected = f"a method that runs: {', '.join(methods)}"
            raise UserError(f"--learning-rate {text}", expected, "Add --method, or correct it")
        for method in [name] if name else methods:
            if rate not in rates.setdefault(method, []):
                rates[method].append(rate)
    return rates


_UsageError: Any = typer.BadParameter.__base__
"""An unknown option, command or value; the module that it is in depends on the version of typer."""


class BoundedGroup(TyperGroup):
    """Commands whose mistakes of usage are said in a bounded message."""

    def make_context(self, *arguments: Any, **extra: Any) -> Any:
        """The context of the options before the command."""
        with _bounded():
            return super().make_context(*arguments, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Find the command, read its options and run it."""
        with _bounded():
            return super().invoke(ctx)


@contextmanager
def _bounded() -> Iterator[None]:
    try:
        yield
    except _UsageError as error:
        error.message = shortened(error.message, LONGEST_PART)
        raise
