"""What the manual says from data: `<!-- generated: NAME -->` in a page stands for one of `TEXTS`."""

import re
import shlex
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib import import_module
from itertools import groupby

import findings
import pandas as pd
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files

from demograd.errors import UserError
from demograd.metrics import METRICS
from demograd.models import load_tokenizer
from demograd.published import Exhibit, exhibits, table
from demograd.report.section import registered_sections
from demograd.study import Study, measures, method_descriptions, preset_groups, read_study
from demograd.study.spec.learning_rates import TABLE, best_rate
from demograd.tasks import no_downloads, split_sizes

ROOMS = ("api", "study", "tasks", "models", "observe", "learn", "errors")
"""In the order of the page that documents what `demograd` exports."""
OPTIONS: dict[str, dict[str, bool]] = {
    "Study": {"members": False, "show_bases": False},  # docs/study.md explains its fields
    "GradientDescent": {"inherited_members": True},
    "LayerCausalGradientDescent": {"inherited_members": True},
}
"""How mkdocstrings shows some names."""
MODEL = "smollm2-135m"
"""Whose tokenizer counts the lengths of texts, as that of a command without `--model`."""
MARKER = re.compile(r"<!-- generated: (?P<name>[\w ]+) -->")


def on_files(files: Files, config: MkDocsConfig) -> None:
    """mkdocs: pages with their markers replaced, before anything looks at their links."""
    for file in files.documentation_pages():
        if MARKER.search(file.content_string):
            file.content_string = with_texts(file.content_string)


def with_texts(markdown: str) -> str:
    """A page's Markdown, each marker replaced by its text.

    **Raises:** KeyError for a name that is none of `TEXTS`.
    """
    return MARKER.sub(lambda marker: "\n".join(TEXTS[marker["name"]]()), markdown)


def table_of_metrics() -> Iterator[str]:
    """Term, equation and file of every metric of this package, from its registry."""
    yield "| term | equation | paper | file |"
    yield "| --- | --- | --- | --- |"
    for name, metric in METRICS.items():
        if isinstance(metric.code, tuple):  # of this package
            module, function = metric.code
            term = _cell(metric.title) + ("" if name == function else f" (`{name}`)")
            file = f"[`{function}`](../src/{module.replace('.', '/')}.py)"
            yield f"| {term} | {_cell(metric.definition)} | {_cell(metric.source)} | {file} |"


def table_of_methods() -> Iterator[str]:
    """What a study can name under `methods`."""
    yield "| method | what it does |"
    yield "| --- | --- |"
    for name, description in method_descriptions().items():
        yield f"| `{name}` | {_cell(description)} |"


def table_of_measures() -> Iterator[str]:
    """What a study can name under `measures`."""
    yield "| measure | what it is |"
    yield "| --- | --- |"
    for name, measure in measures().items():
        yield f"| `{name}` | {_cell(measure.about)} |"


def table_of_learning_rates() -> Iterator[str]:
    """The rate that a method without one takes, by model, labels and task, as the shipped sweep has it."""
    sweep = pd.read_csv(TABLE)
    tasks = list(dict.fromkeys(sweep["task"]))
    yield f"| model | labels | method | {' | '.join(tasks)} |"
    yield "| --- " * (3 + len(tasks)) + "|"
    for (model, labels, method), rows in sweep.groupby(["model", "labels", "method"], sort=False):
        rates = {task: best_rate(of_task) for task, of_task in rows.groupby("task")}
        cells = [f"{best.rate:g}{'' if best.is_as_large else '*'}" if best else "" for best in map(rates.get, tasks)]
        yield f"| {model} | {labels} | {method} | {' | '.join(cells)} |"


def table_of_exhibits() -> Iterator[str]:
    """Every table and figure of the papers: command, place of the result, published beside ours, what is missing; and
    below the tables what the presets do otherwise, as they say themselves."""
    titles = {registered.name: registered.title for registered in registered_sections()}
    noted = list[str]()
    for paper, rows in groupby(exhibits(), key=lambda exhibit: exhibit.paper):
        yield f"### {paper}\n"
        yield "| table or figure | command | its result | published | ours | what is missing |"
        yield "| --- " * 6 + "|"
        for row in rows:
            places = [*(f"“{titles[name]}”" for name in row.sections), *filter(None, [row.file])]
            command = f"`{row.command}`" if row.command else ""
            about = f"**{_cell(row.exhibit)}**: {_cell(row.shows)}"
            ours = OURS[row.command]() if row.command in OURS else _finding_of(row)
            place, published, missing = map(_prose, ("; ".join(places), row.published, row.missing))
            if notes_of_preset(row.preset):
                noted.append(row.preset)
                missing += f" [What `{row.preset}` does otherwise](#notes-{row.preset})."
            cells = [about, command, place, published, ours, missing]
            yield f"| {' | '.join(cells)} |"
        yield ""
    yield "### What the presets do otherwise\n"
    for preset in dict.fromkeys(noted):
        yield f"`{preset}`: {' '.join(map(_prose, notes_of_preset(preset)))}\n{{#notes-{preset}}}\n"


def notes_of_preset(preset: str) -> list[str]:
    """What a preset, or each study of several, says of how it departs from the paper; of none, nothing."""
    names = preset_groups()[preset]["studies"] if preset in preset_groups() else filter(None, [preset])
    return list(dict.fromkeys(note for name in names for note in read_study(name).notes))


@cache
def splits_in_short() -> str:
    """The rows and lengths that Deutch 2024, Table 3, counts, of the data on this machine: nothing is downloaded."""
    tokenizer, _ = load_tokenizer(MODEL)
    kinds: dict[str, list[str]] = {"train and test": [], "one table without splits": [], "not here": []}
    lengths = list[str]()
    for task in dict.fromkeys(table("deutch2024-table3")["task"]):
        try:
            with no_downloads():
                sizes = split_sizes(task, tokenizer)
        except UserError:
            kinds["not here"].append(task)
            continue
        lengths.append(f"{task} {sizes.mean_characters:.1f}")
        if sizes.validation is None:
            kinds["one table without splits"].append(f"{task} {sizes.training:,}")
        else:
            kinds["train and test"].append(f"{task} {sizes.training:,} and {sizes.validation:,}")
    kinds[f"characters of ids, of the tokenizer of {MODEL}"] = lengths
    return "; ".join(f"{kind}: {', '.join(tasks)}" for kind, tasks in kinds.items() if tasks)


def public_names(room: str) -> Iterator[str]:
    """What `demograd` itself exports from one of its rooms, for mkdocstrings."""
    for module, name in _homes("demograd"):
        if module == f"demograd.{room}":
            yield f"::: {module}.{name}\n    options: {OPTIONS.get(name, {})}\n"


def reference(package: str) -> Iterator[str]:
    """The public names of a lazy package, module by module, for mkdocstrings, which reads their docstrings."""
    for module, names in groupby(_homes(package), key=lambda home: home[0]):
        members = ", ".join(name for _, name in names)
        yield f"::: {module}\n    options: {{heading_level: 2, members: [{members}]}}\n"


OURS = {"demograd list tasks --statistics --published": splits_in_short}
"""What stands beside published numbers where no run measures it, by command."""
TEXTS: dict[str, Callable[[], Iterator[str]]] = {
    "metrics": table_of_metrics,
    "methods": table_of_methods,
    "measures": table_of_measures,
    "learning rates": table_of_learning_rates,
    "exhibits": table_of_exhibits,
    **findings.TEXTS,
    **{f"names of {room}": partial(public_names, room) for room in ROOMS},
    "reference of metrics": partial(reference, "demograd.metrics"),
    "reference of statistics": partial(reference, "demograd.statistics"),
    "reference of synthetic": partial(reference, "demograd.synthetic"),
}
"""By the names of their markers."""


def _homes(package: str) -> list[tuple[str, str]]:
    """Module and name of all that a lazy package exports, but for packages below it."""
    homes: dict[str, tuple[str, str]] = import_module(package).__dict__["_homes"]
    return sorted(homes.values())


def _finding_of(row: Exhibit) -> str:
    """What was found with a row's command; of one with options, what was found with its preset if that covers them."""
    options = shlex.split(row.command)[3:]
    if row.preset and options:
        study = read_study(row.preset)
        tasks = study.tasks if isinstance(study, Study) else []
        if set(options[::2]) != {"--task"} or not set(options[1::2]) <= set(tasks):
            return findings.NOT_RUN
    return findings.in_short(row.preset, row.measured)


def _prose(text: str) -> str:
    """Text for a cell whose code spans, such as `--task`, stay as they are."""
    return "`".join(part if number % 2 else _cell(part) for number, part in enumerate(text.split("`")))


def _cell(text: str) -> str:
    """Text as a table's cell shows it: a bar would end the cell, and underscores and stars may set it in italics."""
    return re.sub(r"([|_*<>\[\]])", r"\\\1", text)
