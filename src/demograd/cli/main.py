"""`demograd run | plan | claims | report | compare | list | check | schema | cache`."""

import json
import os
import platform
import sys
from dataclasses import asdict
from importlib.metadata import version
from typing import Annotated, Any

import typer

from demograd import files, models
from demograd import report as reports
from demograd import study as studies
from demograd.cli import completion
from demograd.cli.cache import cache_app
from demograd.cli.options import (
    ENGINE,
    MODEL,
    OUTPUT,
    TASK,
    Address,
    AnswerPrefix,
    AsReleased,
    Bos,
    BoundedGroup,
    Checkpoint,
    Device_,
    Dtype_,
    Encoding,
    Executor_,
    Gpus,
    Json,
    K,
    LabelColumn,
    Labels_,
    LabelWords,
    LearningRate,
    Many,
    Measure,
    Memory,
    Method_,
    Model_,
    Out,
    Pickle,
    Queries,
    Quiet,
    RetryFailed,
    RunsWith,
    Seeds,
    Set,
    Split,
    Study_,
    Tasks,
    Template,
    Threads,
    Validation,
    ValidationSplit,
    Weights_,
    counts_of_workers,
    label_words_from,
    numbers,
    option,
    seeds_from,
)
from demograd.cli.printing import begin_output, output, print_json, say, say_path
from demograd.cli.running import (
    collect_folders,
    collect_runs,
    end,
    read_named_studies,
    read_named_study,
    run_with_progress,
    say_first,
    write_formats,
    write_page,
)
from demograd.errors import UserError
from demograd.words import ALLOW_PICKLE

app = typer.Typer(
    cls=BoundedGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0, all is done; 1, a part failed (run, claims) or a check did (check); 2, a mistake in what "
    "was asked, said in one message; 130, stopped by Ctrl-C. Example: demograd run quickstart",
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


@app.command(epilog="Example: demograd run quickstart --model gpt2 --task sst2 -k 16 --out runs/gpt2")
def run(
    study: Study_ = "quickstart",
    set_: Set = None,
    k: K = None,
    queries: Queries = None,
    seeds: Seeds = None,
    measure: Measure = None,
    as_released: AsReleased = False,
    model: Model_ = None,
    checkpoint: Checkpoint = None,
    weights: Weights_ = None,
    dtype: Dtype_ = None,
    device: Device_ = None,
    bos: Bos = None,
    allow_pickle: Pickle = False,
    task: Tasks = None,
    template: Template = None,
    label_words: LabelWords = None,
    labels: Labels_ = None,
    answer_prefix: AnswerPrefix = None,
    label_column: LabelColumn = None,
    validation: Validation = None,
    split: Split = None,
    validation_split: ValidationSplit = None,
    encoding: Encoding = None,
    method: Method_ = None,
    learning_rate: LearningRate = None,
    workers: RunsWith = None,
    threads: Threads = None,
    executor: Executor_ = None,
    address: Address = None,
    gpus: Gpus = 0.0,
    memory: Memory = None,
    retry_failed: RetryFailed = False,
    out: Out = None,
    quiet: Quiet = False,
    json_: Json = False,
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
        runs.append(run_with_progress(plan, folder, engine, retry_failed))
        print_scores(runs[-1].folder.path)
        write_page(runs[-1].folder.path)
    if len(runs) > 1:
        write_page(*(run.folder.path for run in runs), name="All on one page")
    collect_runs(runs)
    for finished in runs:
        end(finished)


@app.command(epilog="Example: demograd plan deutch2024-table1 --workers 1,8,64")
def plan(
    study: Study_ = "quickstart",
    set_: Set = None,
    as_released: AsReleased = False,
    model: Model_ = None,
    task: Tasks = None,
    learning_rate: LearningRate = None,
    workers: Annotated[str, option(ENGINE, help="How many workers to plan for, by commas.")] = "1",
    quiet: Quiet = False,
    json_: Json = False,
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


@app.command(epilog="Example: demograd claims runs/gpt2")
def claims(
    folder: Annotated[
        str | None,
        typer.Argument(help="A run folder; without it, a study of one task is run."),
    ] = None,
    k: K = None,
    queries: Queries = None,
    model: Model_ = None,
    learning_rate: LearningRate = None,
    out: Out = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Say which of the papers' claims the data support, contradict, or cannot decide."""
    if folder is None:
        say_first("Reading the study claims")
        changes = {"model": model, "k": numbers("-k", k), "queries": queries}
        finished = run_with_progress(
            read_named_study("claims", False, changes, learning_rate), out, studies.Workers(), retry_failed=False
        )
        write_page(finished.folder.path)
        _print_claims(finished.folder.path)
        collect_runs([finished])
        end(finished)
        return
    if any(setting is not None for setting in (model, k, queries, learning_rate, out)):
        raise UserError(f"A run folder, {folder}, and settings of a new run", "one of them", "Leave out the other")
    path = files.run_folder(folder)
    _print_claims(path)
    collect_folders([path])


@app.command(epilog="Example: demograd report runs/mine --format html,latex,figures")
def report(
    folders: Annotated[list[str], typer.Argument(metavar="DIR...", help="Run folders.")],
    format_: Annotated[
        str,
        option(
            OUTPUT, "--format", help="html, latex, csv, markdown, figures, or several by commas; several runs: html."
        ),
    ] = "html",
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Write the report of a run folder anew, one page of several runs, or tables, figures and methods for a paper."""
    paths = [files.run_folder(folder) for folder in folders]  # before what is heavy is imported
    write_formats(paths, format_)
    collect_folders(paths)


@app.command(epilog="Example: demograd compare runs/gpt2 runs/pythia --out comparison.html")
def compare(
    folders: Annotated[list[str], typer.Argument(metavar="DIR DIR...", help="Run folders, two or more.")],
    out: Annotated[
        str | None, option(OUTPUT, help="The page; without it, compare.html beside the first folder.")
    ] = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Compare runs with the first: settings, scores, verdicts; paired where demonstration sets are the same."""
    paths = [files.run_folder(folder) for folder in folders]
    from demograd.cli.compare import print_comparison

    comparison = reports.compare_runs(*paths)
    print_comparison(comparison)
    page = comparison.write(out).resolve()
    say_path("Comparison", page)
    output().facts["report"] = page


@app.command(name="list", epilog="Example: demograd list tasks --statistics --model gpt2")
def list_names(
    kind: Annotated[
        str,
        typer.Argument(
            help="tasks, models, methods, measures, metrics, claims, presets or sections",
            autocompletion=completion.kinds,
        ),
    ],
    statistics: Annotated[bool, option(TASK, "--statistics", help="Of tasks: sizes, and tokens of a model.")] = False,
    model: Annotated[
        str | None, option(MODEL, help="With --statistics: whose tokenizer counts.", complete=completion.models)
    ] = None,
    task: Annotated[
        Many, option(TASK, help="With --statistics: these tasks, or cb=FILE; repeatable.", complete=completion.tasks)
    ] = None,
    published: Annotated[
        bool,
        option(TASK, "--published", help="With --statistics: splits as in Deutch 2024, Table 3, beside its numbers."),
    ] = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """List what demograd knows by name."""
    if statistics and kind == "tasks":
        from demograd.cli.statistics import print_published_sizes, print_statistics

        if published:
            print_published_sizes(model or "smollm2-135m", task)
        else:
            print_statistics(model or "smollm2-135m", task)
    elif statistics or model or task or published:
        raise UserError(
            f"--statistics, --published, --model or --task for the list {kind}",
            "the list tasks, with --statistics",
            "Try demograd list tasks --statistics",
        )
    else:
        from demograd.cli.lists import print_list

        print_list(kind)


@app.command(epilog="Example: demograd check ./my-model --dtype bfloat16")
def check(
    model: Annotated[
        str,
        typer.Argument(
            help="Built-in name, hub name, local folder, or GGUF file.",
            autocompletion=completion.models,
        ),
    ],
    device: Annotated[str, option(MODEL, help="auto, balanced, cpu, cuda, …", complete=completion.devices)] = "auto",
    dtype: Annotated[str, option(MODEL, help="float32, bfloat16 or float16.", complete=completion.dtypes)] = "float32",
    allow_pickle: Pickle = False,
    quiet: Quiet = False,
    json_: Json = False,
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
        say(f"Note: {note}")
    results = check_model(loaded)
    print_checks(results)
    output().facts |= {"model": model, "notes": list(loaded.notes), "checks": list(map(asdict, results))}
    if not all(result.passed for result in results):
        raise typer.Exit(1)


@app.command(epilog="Example: demograd schema > study.schema.json")
def schema() -> None:
    """Print the JSON schema of study files, with which an editor completes and checks them."""
    from demograd.study.spec.json_schema import json_schema

    typer.echo(json.dumps(json_schema(), indent=1, ensure_ascii=False))


_INTERRUPTED = 130
"""The exit code that typer makes of Ctrl-C, without a word."""


def main() -> None:
    """Run the command line: a user's mistake is one message and exit code 2, an interrupt is 130."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if not sys.stderr.isatty():  # bars of other libraries, which draw over their line, are noise in a log
        os.environ.setdefault("TQDM_DISABLE", "1")
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    printed, status = begin_output(), 0
    try:
        app()
    except UserError as error:
        typer.echo(f"demograd: {error}", err=True)
        printed.facts, status = {"error": str(error)}, 2
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if status == _INTERRUPTED:
            typer.echo("demograd: stopped. Finished cells are kept; the same command goes on.", err=True)
    if printed.is_json:
        print_json(status)
    sys.exit(status)


def _allow_pickle(allowed: bool) -> None:
    """For this process and the workers that it starts. A study file cannot say it: files come from others."""
    if allowed:
        os.environ[ALLOW_PICKLE] = "1"


def _print_claims(folder: "files.Place") -> None:
    from demograd.cli.tables import print_claims

    print_claims(reports.read_run(folder))
