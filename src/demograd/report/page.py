"""The report: one HTML file that needs no network and runs no script."""

import os
from pathlib import Path
from typing import Any

import jinja2

from demograd.errors import UserError
from demograd.metrics import METRICS, SEEDS_TO_DECIDE
from demograd.report.finding import finding, findings
from demograd.report.layer_chart import layer_charts
from demograd.report.not_ok import absences
from demograd.report.performance import performance
from demograd.report.run import COLUMNS, Run, read_run
from demograd.report.scores import columns, overall
from demograd.report.variant import telling_fields

_CHECKS = {
    "in_context_learning": "Is there in-context learning?",
    "resolution": "Are the updates above resolution?",
    "update_size": "Are FT's updates of a size with ICL's?",
    "seeds": "Are there enough demonstration sets?",
}
_FILES = {
    "results.parquet": "every number of this page and those behind it, one a row",
    "study.yaml": "the settings, defaults filled in",
    "validity.json": "the validity checks",
    "provenance.json": "versions, machine, fingerprints and notes",
    "report.html": "this page",
}
_FIELD_TITLES = {"learning_rate": "learning rate", "method_options": "options", "record_at": "recorded at"}


def write_report(folder: Path) -> Path:
    """Write `report.html` into a run folder, whole or not at all, and return where it is.

    **Raises:** UserError if the folder is no run folder (`read_run`), or cannot be written.
    """
    page = render(read_run(folder))
    path, unfinished = folder / "report.html", folder / f".report.html.{os.getpid()}"
    try:
        unfinished.write_text(page, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror})", "a folder of yours", "Check its permissions"
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def render(run: Run) -> str:
    """The page as text. What comes from the run is untrusted and escaped; the charts have been checked."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(_content(run))


def _content(run: Run) -> dict[str, Any]:
    scores = overall(run.results)
    groups = columns(scores)
    rows = scores.tuned
    fields = [name for name in telling_fields(rows, always=("learning_rate",)) if name not in ("method", "weights")]
    return {
        "run": run,
        "heading": _heading(run),
        "finding": finding(run.results, run.validity),
        "findings": findings(run.results, run.validity),
        "seeds_to_decide": SEEDS_TO_DECIDE,
        "check_titles": _CHECKS,
        "scores": scores,
        "groups": groups,
        "rows": rows,
        "row_fields": fields,
        "row_titles": [_FIELD_TITLES.get(name, name) for name in fields],
        "field_titles": _FIELD_TITLES,
        "charts": layer_charts(run.results),
        "performance": performance(run.results),
        "absences": absences(run.results),
        "notes": _fewer_demonstrations(run) + list(run.provenance.get("notes", [])),
        "methods": _methods(run),
        "definitions": _definitions(run),
        "files": {name: words for name, words in _FILES.items() if name == "report.html" or (run.path / name).exists()},
        "result_columns": COLUMNS,
    }


def _heading(run: Run) -> dict[str, Any]:
    results = run.results

    def distinct(column: str) -> list[Any]:
        return list(results[column].dropna().unique())

    return {
        "models": distinct("model"),
        "tasks": distinct("task"),
        "k": [int(k) for k in sorted(distinct("k"))],
        "seeds": [int(seed) for seed in sorted(distinct("seed"))],
        "weights": distinct("weights"),
        "methods": distinct("method"),
    }


def _fewer_demonstrations(run: Run) -> list[str]:
    """Where not all k demonstrations fitted the context window, in words."""
    used = run.results[["task", "k", "k_used", "seed"]].dropna().drop_duplicates()
    seeds: dict[tuple[str, int, int], list[int]] = {}
    for task, k, k_used, seed in used.itertuples(index=False):
        if k_used < k:
            seeds.setdefault((str(task), int(k), int(k_used)), []).append(int(seed))
    return [
        f"On {task}, {k_used} of {k} demonstrations fitted the context window (seed{'s' * (len(of) > 1)} "
        f"{', '.join(map(str, sorted(of)))}); ICL and FT both used those only."
        for (task, k, k_used), of in seeds.items()
    ]


def _methods(run: Run) -> list[dict[str, Any]]:
    """Each method with its options, rates, and where the rates come from."""
    sources = run.provenance.get("learning_rate_source")
    tuned = overall(run.results).tuned
    return [
        {
            "name": name,
            "options": "; ".join(dict.fromkeys(each.texts["method_options"] for each in tuned if each.method == name)),
            "rates": ", ".join(dict.fromkeys(each.texts["learning_rate"] for each in tuned if each.method == name)),
            "source": sources.get(name, "not recorded") if isinstance(sources, dict) else "not recorded",
        }
        for name in dict.fromkeys(each.method for each in tuned)
    ]


def _definitions(run: Run) -> list[Any]:
    """The metrics that the page shows."""
    shown = {str(name).removesuffix("_specificity") for name in run.results["metric"].unique()}
    return [metric for name, metric in METRICS.items() if name in shown]
