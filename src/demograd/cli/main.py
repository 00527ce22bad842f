"""`demograd run | plan | claims | report | list | check | schema | cache`."""

import json
import os
import platform
import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer

from demograd import files, models
from demograd import report as reports
from demograd import study as studies
from demograd.cli.cache import cache_app
from demograd.cli.options import (
    Address,
    BoundedGroup,
    Executor_,
    Gpus,
    K,
    Many,
    Memory,
    Model_,
    Out,
    Pickle,
    Queries,
    RetryFailed,
    RunsWith,
    Set,
    Threads,
    counts_of_workers,
    label_words_from,
    numbers,
    seeds_from,
)
from demograd.cli.running import end, read_named_studies, read_named_study, run_with_bars, say_first
from demograd.errors import UserError
from demograd.words import ALLOW_PICKLE, Labels, Weights

app = typer.Typer(
    cls=BoundedGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(cache_app, name="cache")


def _print_version(requested: bool) -> bool:
    if requested:
        libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
        typer.echo(f"demograd {version('demograd')} (Python {platform.python_version()}, {libraries})")
        raise typer.Exit
    return requested


@app.callback()
def options(
    version_: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version, and end.")
    ] = False,
) -> None:
    """Does a language model learn from demonstrations in its prompt the way gradient descent would?"""


@app.command()
def run(
    study: Annotated[str, typer.Argument(help="A preset, or a study file (.yaml).")] = "quickstart",
    model: Model_ = None,
    checkpoint: Annotated[
        Many, typer.Option(help="A state of the model in training: as --model, or @revision.")
    ] = None,
    task: Annotated[Many, typer.Option(help="Built-in name, hub:owner/name, a file, or cb=FILE; repeatable.")] = None,
    template: Annotated[
        str | None, typer.Option(help='"Review: {text} Sentiment:"; a built-in task has one, which this replaces.')
    ] = None,
    label_words: Annotated[
        str | None, typer.Option(help="Words in class order, or label=word, by commas; replace a built-in task's.")
    ] = None,
    answer_prefix: Annotated[
        str | None, typer.Option(help="What stands between text and answer: a space by default.")
    ] = None,
    bos: Annotated[str | None, typer.Option(help="The token that prompts begin with, for another one.")] = None,
    label_column: Annotated[str | None, typer.Option(help="For a file: where its labels are.")] = None,
    validation: Annotated[str | None, typer.Option(help="For a file: a second one, for the queries.")] = None,
    split: Annotated[str | None, typer.Option(help="Of a hub set or folder: for the demonstrations.")] = None,
    validation_split: Annotated[str | None, typer.Option(help="Of a hub set or folder: for the queries.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Of a file of text that is not in UTF-8: latin-1, …")] = None,
    k: K = None,
    queries: Queries = None,
    seeds: Annotated[
        str | None, typer.Option(help="Demonstration sets: a count, or the seeds 0,3,7 (3, is seed 3 alone).")
    ] = None,
    method: Annotated[Many, typer.Option(help="A name of `demograd list methods`; repeatable.")] = None,
    learning_rate: Annotated[Many, typer.Option(help="0.001 (all methods) or GD=0.001; repeatable.")] = None,
    weights: Annotated[Many, typer.Option(help=f"{', '.join(Weights)}; repeatable.")] = None,
    labels: Annotated[Many, typer.Option(help=f"Label words: {', '.join(Labels)}; repeatable.")] = None,
    measure: Annotated[Many, typer.Option(help="A name of `demograd list measures`; repeatable.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, balanced, cpu, cuda, …")] = None,
    as_released: Annotated[
        bool, typer.Option(help="With a paper's preset: its released settings and defects.")
    ] = False,
    set_: Set = None,
    allow_pickle: Pickle = False,
    workers: RunsWith = None,
    threads: Threads = None,
    executor: Executor_ = None,
    address: Address = None,
    gpus: Gpus = 0.0,
    memory: Memory = None,
    retry_failed: RetryFailed = False,
    out: Out = None,
) -> None:
    """Measure how similar ICL and fine-tuning are, and write a report."""
    _allow_pickle(allow_pickle)
    changes: dict[str, Any] = {
        "model": model,
        "checkpoints": checkpoint,
        "tasks": task,
        "template": template,
        "label_words": label_words_from(label_words),
        "label_column": label_column,
        "validation_path": validation,
        "split": split,
        "validation_split": validation_split,
        "encoding": encoding,
        "k": numbers("-k", k),
        "queries": queries,
        "seeds": seeds_from(seeds),
        "methods": method,
        "weights": weights,
        "labels": labels,
        "measures": measure,
        "dtype": dtype,
        "device": device,
        "answer_prefix": answer_prefix,
        "bos": bos,
    }
    say_first(f"Reading the study {study}")
    engine = studies.Workers(executor, workers, threads, address, gpus, memory)
    plans = read_named_studies(study, as_released, changes, learning_rate, set_)
    from demograd.cli.tables import print_scores

    runs = []
    for plan in plans:
        folder = out if out is None or len(plans) == 1 else f"{out.rstrip('/')}/{plan.name}"
        runs.append(run_with_bars(plan, folder, engine, retry_failed))
        print_scores(runs[-1].folder.path)
        typer.echo(f"Report: {reports.write_report(runs[-1].folder.path).resolve()}")
    if len(runs) > 1:
        typer.echo(f"All on one page: {reports.write_report(*(run.folder.path for run in runs)).resolve()}")
    for finished in runs:
        end(finished)


@app.command()
def plan(
    study: Annotated[str, typer.Argument(help="A preset, or a study file (.yaml).")] = "quickstart",
    model: Model_ = None,
    task: Annotated[Many, typer.Option(help="Built-in name, hub:owner/name, a file, or cb=FILE; repeatable.")] = None,
    set_: Set = None,
    as_released: Annotated[bool, typer.Option(help="With a paper's preset: its released settings.")] = False,
    learning_rate: Annotated[Many, typer.Option(help="0.001 (all methods) or GD=0.001; repeatable.")] = None,
    workers: Annotated[str, typer.Option(help="How many workers to plan for, by commas.")] = "1",
) -> None:
    """Say what a study will take: cells, operations, memory and time. No weights are loaded, and none downloaded."""
    counts = counts_of_workers(workers)
    say_first(f"Reading the study {study}")
    planned = read_named_study(study, as_released, {"model": model, "tasks": task}, learning_rate, set_)
    if isinstance(planned, studies.SyntheticStudy):
        raise UserError(
            f"{study}, a synthetic study, to be planned",
            "a study of a language model",
            "Run it: its networks are small",
        )
    from demograd.cli.plan import print_plan

    print_plan(planned, counts)


@app.command()
def claims(
    folder: Annotated[str | None, typer.Argument(help="A run folder; without it, a study of one task is run.")] = None,
    model: Model_ = None,
    k: K = None,
    queries: Queries = None,
    learning_rate: Annotated[Many, typer.Option(help="0.001 (all methods) or GD=0.001; repeatable.")] = None,
    out: Out = None,
) -> None:
    """Say which of the papers' claims the data support, contradict, or cannot decide."""
    if folder is None:
        say_first("Reading the study claims")
        changes = {"model": model, "k": numbers("-k", k), "queries": queries}
        finished = run_with_bars(
            read_named_study("claims", False, changes, learning_rate), out, studies.Workers(), retry_failed=False
        )
        typer.echo(f"Report: {reports.write_report(finished.folder.path).resolve()}")
        _print_claims(finished.folder.path)
        end(finished)
        return
    if any(option is not None for option in (model, k, queries, learning_rate, out)):
        raise UserError(f"A run folder, {folder}, and settings of a new run", "one of them", "Leave out the other")
    _print_claims(files.run_folder(folder))


@app.command()
def report(
    folders: Annotated[list[str], typer.Argument(metavar="DIR...", help="Run folders.")],
    format_: Annotated[
        str,
        typer.Option("--format", help="html, latex, csv, markdown, figures, or several by commas; several runs: html."),
    ] = "html",
) -> None:
    """Write the report of a run folder anew, one page of several runs, or tables, figures and methods for a paper."""
    paths = [files.run_folder(folder) for folder in folders]  # before what is heavy is imported
    for path in reports.write_formats(paths, reports.check_formats(format_)):
        label = "Report" if path.suffix == ".html" else "For a paper"
        typer.echo(f"{label}: {path.resolve()}")


@app.command(name="list")
def list_names(
    kind: Annotated[str, typer.Argument(help="tasks, models, methods, measures, metrics, claims, presets or sections")],
    statistics: Annotated[bool, typer.Option("--statistics", help="Of tasks: sizes, and tokens of a model.")] = False,
    model: Annotated[str | None, typer.Option(help="With --statistics: whose tokenizer counts.")] = None,
    task: Annotated[Many, typer.Option(help="With --statistics: these tasks, or cb=FILE; repeatable.")] = None,
) -> None:
    """List what demograd knows by name."""
    if statistics and kind == "tasks":
        from demograd.cli.statistics import print_statistics

        print_statistics(model or "smollm2-135m", task)
    elif statistics or model or task:
        raise UserError(
            f"--statistics, --model or --task for the list {kind}",
            "the list tasks, with --statistics",
            "Try demograd list tasks --statistics",
        )
    else:
        from demograd.cli.lists import print_list

        print_list(kind)


@app.command()
def check(
    model: Annotated[str, typer.Argument(help="Built-in name, hub name, local folder, or GGUF file.")],
    device: Annotated[str, typer.Option(help="auto, balanced, cpu, cuda, …")] = "auto",
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    allow_pickle: Pickle = False,
) -> None:
    """Prove on your own model that what is recorded is what the model computes."""
    _allow_pickle(allow_pickle)
    models.check_name(model)
    models.check_dtype(dtype)
    models.check_device_name(device)
    say_first(f"Loading {model}")
    from demograd.cli.tables import print_checks
    from demograd.self_check import check_model

    loaded = models.load_model(model, device=device, dtype=dtype)
    for note in loaded.notes:
        typer.echo(f"Note: {note}")
    results = check_model(loaded)
    print_checks(results)
    if not all(result.passed for result in results):
        raise typer.Exit(1)


@app.command()
def schema() -> None:
    """Print the JSON schema of study files, with which an editor completes and checks them."""
    from demograd.study.spec.json_schema import json_schema

    typer.echo(json.dumps(json_schema(), indent=1, ensure_ascii=False))


_INTERRUPTED = 130
"""The exit code that typer makes of Ctrl-C, without a word."""


def main() -> None:
    """Run the command line: a user's mistake is one message and exit code 2, an interrupt is 130."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        app()
    except UserError as error:
        typer.echo(f"demograd: {error}", err=True)
        sys.exit(2)
    except SystemExit as ended:
        if ended.code == _INTERRUPTED:
            typer.echo("demograd: stopped. Finished cells are kept; the same command goes on.", err=True)
        raise


def _allow_pickle(allowed: bool) -> None:
    """For this process and the workers that it starts. A study file cannot say it: files come from others."""
    if allowed:
        os.environ[ALLOW_PICKLE] = "1"


def _print_claims(folder: "files.Place") -> None:
    from demograd.cli.tables import print_claims

    print_claims(reports.read_run(folder))
