"""`demograd plan`: what a study will take, before anything is downloaded."""

from collections.abc import Sequence

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from demograd.cli.printing import output
from demograd.study.language_model.measures import metrics_of_demonstrations, metrics_of_fine_tuning
from demograd.study.language_model.spec import Study
from demograd.study.plan import Plan, plan_study
from demograd.study.plan.pace import duration_in_words


def print_plan(study: Study, workers: Sequence[int]) -> None:
    """Plan the study, and print what it takes on so many workers."""
    plan = plan_study(study, lambda sentence: None if output().is_quiet else typer.echo(sentence, err=True))
    output().facts |= {
        "study": study.name,
        "cells": plan.cells,
        "forward": plan.flops.forward,
        "backward": plan.flops.backward,
        "memory": plan.memory,
        "seconds": {count: plan.seconds(count) for count in workers},
    }
    for name, value in _lines(plan):
        _line(name, value)
    for count in workers:
        label = "time on this machine" if count == 1 else f"on {count} workers"
        _line(label, f"{duration_in_words(plan.seconds(count))}{_note(plan, count)}")
        if count == 1:
            parts = (f"{name} {duration_in_words(seconds)}" for name, seconds in plan.parts.items())
            _line("of this", ", ".join(parts))


def _line(name: str, value: str) -> None:
    """A name, and its value beside it, whose further lines stand below its first."""
    if output().speaks:
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=20)
        grid.add_column(overflow="fold")
        grid.add_row(Text(name), Text(value))
        Console().print(grid)


def _lines(plan: Plan) -> list[tuple[str, str]]:
    networks = f"{len(plan.networks):,} network{'s' * (len(plan.networks) != 1)}"
    worlds = f"{len(plan.work):,} world{'s' * (len(plan.work) != 1)}"
    lines = []
    if plan.study.methods:
        lines.append(("cells", f"{plan.cells:,}, in {worlds} on {networks}"))
    elif plan.work:
        lines.append(("cells", f"none: nothing is fine-tuned; {worlds} on {networks} are observed"))
    else:
        lines.append(("cells", "none: nothing is fine-tuned, and nothing is observed"))
    if plan.cells:
        metrics = metrics_of_fine_tuning(plan.study) + metrics_of_demonstrations(plan.study)
        lines.append(("metrics", f"{len(metrics)} in each cell: {', '.join(metrics)}"))
    if plan.measured:
        lines.append(("measured alone", f"{networks}: {', '.join(plan.measured)}"))
    if plan.work:
        observations = sum(len(unit.observations) for unit in plan.work)
        after = sum(tuning.observations for unit in plan.work for tuning in unit.tunings)
        lines.append(("observations", f"{observations:,} without fine-tuning, {after:,} of tuned networks"))
    lines.append(("forward", f"{plan.flops.forward:.2e} floating-point operations"))
    lines.append(("backward", f"{plan.flops.backward:.2e} floating-point operations"))
    if plan.work:
        lines.append(("rate", f"{plan.rate:.1e} operations a second, as timed here"))
    return [
        *lines,
        ("memory", f"about {plan.memory / 2**30:.1f} GiB for each worker"),
    ]


def _note(plan: Plan, workers: int) -> str:
    if workers == 1:
        return ""
    n_jobs = len(plan.jobs(workers))
    idle = f"; at most {n_jobs} have work" if workers > n_jobs else ""
    return f" ({plan.seconds(1) / plan.seconds(workers):.1f} times as fast, if each has what this process has{idle})"
