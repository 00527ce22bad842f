"""`demograd list`: what demograd knows by name, which is data: it needs no torch, and pandas for the page alone."""

from collections.abc import Sequence

from demograd import study as studies
from demograd.cli.completion import KINDS
from demograd.cli.printing import output, print_table, say
from demograd.errors import unknown_name
from demograd.metrics import METRICS
from demograd.models import ARCHITECTURES, BUILT_IN
from demograd.tasks.sources.built_in import built_in_tasks


def print_list(kind: str) -> None:
    """Print what demograd knows by name.

    Raises:
        UserError: there is no such list.
    """
    if kind == "tasks":
        rows = [(name, " / ".join(task.label_words), task.template) for name, task in built_in_tasks().items()]
        _print(kind, ["task", "label words", "template"], rows)
        say(
            "Any other: hub:owner/name, or a CSV, JSONL or Parquet file with --template and --label-words; "
            "cb=FILE is a built-in task on your own file."
        )
    elif kind == "models":
        _print(kind, ["model", "what it is"], [(name, model.description) for name, model in BUILT_IN.items()])
        say(
            "Any other: a hub name, a local folder, or a GGUF file, of an architecture such as "
            + ", ".join(sorted(ARCHITECTURES))
            + "; see `demograd check`."
        )
    elif kind == "methods":
        _print(kind, ["method", "what it does"], list(studies.method_descriptions().items()))
        say("A study file may define its own: see docs/study.md.")
    elif kind == "measures":
        _print(kind, ["measure", "what it is"], [(name, measure.about) for name, measure in studies.measures().items()])
    elif kind == "claims":
        by_name = {name: row for name, row in studies.claims().items() if not row.get("of_failures")}
        claims = [(name, row["claim"], row["source"], row["needs"]) for name, row in by_name.items()]
        _print(kind, ["claim", "what it says", "source", "needs"], claims)
    elif kind == "metrics":
        metrics = [(name, metric.title, metric.definition, metric.source) for name, metric in METRICS.items()]
        _print(kind, ["metric", "title", "definition", "source"], metrics)
    elif kind == "presets":
        presets = {name: studies.read_study(name) for name in studies.preset_names()}
        grids = [
            (name, study.about, ", ".join(study.tasks), ", ".join(map(str, study.k)), ", ".join(study.methods))
            for name, study in presets.items()
            if isinstance(study, studies.Study)
        ]
        _print(kind, ["preset", "what it is", "tasks", "k", "methods"], grids)
        small = [
            (name, study.about, ", ".join(study.worlds), str(study.context), ", ".join(study.references))
            for name, study in presets.items()
            if isinstance(study, studies.SyntheticStudy)
        ]
        _print(kind, ["synthetic preset", "what it is", "worlds", "context", "references"], small)
        groups = [(name, row["about"], ", ".join(row["studies"])) for name, row in studies.preset_groups().items()]
        _print(kind, ["presets together", "what they are", "presets"], groups)
    elif kind == "sections":
        from demograd.report.section import registered_sections

        sections = [(section.name, section.title, str(section.order)) for section in registered_sections()]
        _print(kind, ["section", "title", "order"], sections)
        say("A run's page has those of which it measured something. Your own: see docs/extending.md.")
    else:
        raise unknown_name("list", kind, KINDS, "Choose one of these")


def _print(kind: str, columns: list[str], rows: Sequence[tuple[str, ...]]) -> None:
    """A table; for scripts, its rows by their columns' names, the first of which is `name`."""
    print_table(columns, rows)
    output().facts.setdefault(kind, []).extend(dict(zip(["name", *columns[1:]], row, strict=True)) for row in rows)
