"""`demograd cache list | size | prune`: what was measured in any study, and is not measured again."""

from collections.abc import Sequence
from typing import Annotated

import typer

from demograd import study as studies
from demograd.errors import UserError

cache_app = typer.Typer(help="Finished cells and observations of all studies.", no_args_is_help=True)


@cache_app.command(name="list", epilog="Example: demograd cache list")
def list_entries() -> None:
    """What is in the cache, the newest first."""
    from rich.console import Console
    from rich.table import Column, Table

    entries = sorted(_cache().entries(), key=lambda entry: entry.age)
    if not entries:
        typer.echo(f"{_cache().path}: nothing yet")
        return
    table = Table("measured", "kind", "MB", Column("what", overflow="fold"), box=None)
    for entry in entries:
        # a title is letters, digits, - and _, so no markup
        table.add_row(f"{entry.age:.1f} days ago", entry.kind, _megabytes(entry.size), entry.title)
    Console().print(table)


@cache_app.command(epilog="Example: demograd cache size")
def size() -> None:
    """How much is in the cache, and what pruning it would free."""
    cache = _cache()
    entries, unfinished = list(cache.entries()), list(cache.unfinished())
    typer.echo(f"{cache.path}: {_amount(entries)}, of which {_alone(entries)} MB are in no run folder beside it")
    if unfinished:
        typer.echo(f"Besides {_amount(unfinished)} that writers have begun; prune drops those older than an hour")


@cache_app.command(epilog="Example: demograd cache prune --older-than 90")
def prune(
    older_than: Annotated[float | None, typer.Option(min=0, help="Days since it was measured.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Whatever its age.")] = False,
) -> None:
    """Drop what was measured long ago, and what killed writers left half-written. Run folders keep their own files."""
    if (older_than is None) == (not everything):
        raise UserError(
            f"demograd cache prune with {'both' if everything else 'neither'} of --older-than and --all",
            "--older-than DAYS, or --all",
            "Give one of them",
        )
    pruned = _cache().prune(older_than or 0.0)
    typer.echo(
        f"Dropped {_amount(pruned.dropped)}, of which {_alone(pruned.dropped)} MB were in no run folder beside it"
    )
    if pruned.remaining:
        raise UserError(
            f"{_amount(pruned.remaining)} that cannot be dropped, such as {pruned.remaining[0].file}",
            "a cache of yours",
            "Ask their owner, or correct the permissions of the folders",
        )


def _cache() -> "studies.Cache":
    cache = studies.user_cache()
    if cache is None:
        raise UserError(
            "DEMOGRAD_CACHE is empty, which switches the cache off", "a folder", "Set DEMOGRAD_CACHE, or unset it"
        )
    return cache


def _amount(entries: "Sequence[studies.CacheEntry]") -> str:
    return f"{len(entries)} file{'s' * (len(entries) != 1)}, {_megabytes(sum(entry.size for entry in entries))} MB"


def _alone(entries: "Sequence[studies.CacheEntry]") -> str:
    """Megabytes that no run folder shares."""
    return _megabytes(sum(entry.size for entry in entries if not entry.is_shared))


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f}"
