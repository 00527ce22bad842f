"""Options of the command line: what they are called, how their text is read, and bounded messages for what is not."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from demograd.errors import LONGEST_PART, UserError, shortened

MOST_SEEDS = 10_000
"""That a count can stand for."""
Many = list[str] | None
Model_ = Annotated[
    str | None, typer.Option(help="Built-in name, hub name (owner/name@revision), folder, or GGUF file.")
]
K = Annotated[str | None, typer.Option("--k", "-k", help="Demonstrations: a number, or several by commas.")]
Set = Annotated[
    Many,
    typer.Option("--set", help="Any setting of a study file: k=8,16 or methods.GD.epochs=2; repeatable."),
]
Pickle = Annotated[
    bool,
    typer.Option(
        "--allow-pickle",
        help="Also take weights in pickle files (pytorch_model.bin): whoever made such a file may run code of theirs "
        "on this machine. Only for files that you trust.",
    ),
]
Queries = Annotated[int | None, typer.Option(help="Test examples.")]
RunsWith = Annotated[int | None, typer.Option("--workers", help="Processes, or Ray tasks, at once.")]
Threads = Annotated[int | None, typer.Option(help="Of each worker; without it, the cores divided among them.")]
Executor_ = Annotated[
    str | None, typer.Option("--executor", help="in-process, processes (with --workers 2 or more), or ray.")
]
Address = Annotated[str | None, typer.Option(help="Of a Ray cluster; without it, RAY_ADDRESS, or one of its own.")]
Gpus = Annotated[float, typer.Option(help="That a Ray task needs.")]
Memory = Annotated[float | None, typer.Option(help="GB that a Ray task needs.")]
Out = Annotated[str | None, typer.Option(help="Run folder, or a URL of one; the same command goes on there.")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Try again what failed before.")]


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
