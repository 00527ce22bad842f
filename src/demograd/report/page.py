"""The report: one HTML file of one or several runs that needs no network, and runs no script but the package's own."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from demograd.errors import UserError
from demograd.files import Place, written_whole
from demograd.metrics import METRICS
from demograd.report.charts.drawing import NUMBER, rules_in_the_dark
from demograd.report.first_screen import first_screen
from demograd.report.networks import DEFINITIONS
from demograd.report.notes import page_notes
from demograd.report.run import ReportedRun, read_run
from demograd.report.section import Figure, Interactive, Section, Table, registered_sections
from demograd.statistics import SEEDS_FOR_SPECIFICITY, SEEDS_TO_DECIDE
from demograd.words import COLUMNS, Labels, Setting

_TEMPLATES = Path(__file__).parent / "templates"
_FILES = {
    "results.parquet": "every number of this page and those behind it, one a row",
    "study.yaml": "the settings, defaults filled in",
    "matching.parquet": "the matrices of matching: ICL on each demonstration set against FT on each, one value a row",
    "queries.parquet": "what was predicted for each query in each setting, one a row",
    "attention.parquet": "what the last token of the first queries attends to",
    "validity.json": "the validity checks",
    "claims.json": "the finding and the claims, with every comparison",
    "matrices.json": "trained weights beside the theoretical ones",
    "provenance.json": "versions, machine, fingerprints and notes",
    "report.html": "this page",
}


def write_report(*runs: ReportedRun | Place, to: Place | None = None) -> Place:
    """Write one page of these runs, whole or not at all, and return its path.

    Args:
        runs: run folders, or runs that were read; each has its own heading where there are several.
        to: the page's path. By default `report.html` in the folder of a single run, and `A+B.html` beside the folders
            `A` and `B`.

    Raises:
        UserError: a folder is no run folder (`read_run`), the page cannot be written, or there is no run.
    """
    if not runs:
        raise UserError("No run folder", "at least one", "Name the folder that `demograd run --out` named")
    read = [run if isinstance(run, ReportedRun) else read_run(run) for run in runs]
    path = read[0].path / "report.html"
    if len(read) > 1:
        path = read[0].path.resolve().parent / f"{'+'.join(run.path.resolve().name for run in read)}.html"
    page = render(*read)
    try:
        written_whole(to or path, lambda unfinished: unfinished.write_text(page, encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{to or path} cannot be written ({error.strerror})", "a folder of yours", "Check its permissions"
        ) from error
    return to or path


def render(*runs: ReportedRun) -> str:
    """The page as text: texts of a run are untrusted and escaped, charts have been checked."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    prefixes = [f"run-{i}-" for i in range(1, len(runs) + 1)] if len(runs) > 1 else [""]
    views = [_view(replace(run, n_on_page=len(runs)), prefix) for run, prefix in zip(runs, prefixes, strict=True)]
    style = _own_file("page.css") + _own_file("explorer.css") + rules_in_the_dark()
    scripts = [_own_file(name) for name in _script_names(views)]
    return environment.get_template("page.html.j2").render(
        views=views,
        policy=content_security_policy([style], scripts),
        style=Markup(style),
        scripts=[Markup(script) for script in scripts],
        number_word=NUMBER,
        next_number=count(1).__next__,
        result_columns=COLUMNS,
        seeds_to_decide=SEEDS_TO_DECIDE,
        seeds_for_specificity=SEEDS_FOR_SPECIFICITY,
    )


def content_security_policy(styles: Sequence[str], scripts: Sequence[str]) -> str:
    """The policy that allows these styles and scripts, each by the hash of its text, and nothing else at all."""
    rules = ["default-src 'none'", "base-uri 'none'", "form-action 'none'"]
    for kind, texts in (("style-src", styles), ("script-src", scripts)):
        if texts:
            hashes = [b64encode(sha256(text.encode()).digest()).decode() for text in texts]
            rules.append(" ".join([kind, *(f"'sha256-{value}'" for value in hashes)]))
    return "; ".join(rules)


def _own_file(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _script_names(views: Sequence[dict[str, Any]]) -> list[str]:
    """The scripts of interactive parts, each once."""
    parts = [part for view in views for section in view["contents"] for part, _ in section["parts"]]
    return list(dict.fromkeys(part.script for part in parts if isinstance(part, Interactive)))


def _view(run: ReportedRun, prefix: str) -> dict[str, Any]:
    """What the template shows of one run; its addresses begin with `prefix`."""
    sections = list(_sections(run, prefix))
    return {
        "run": run,
        "prefix": prefix,
        "heading": _heading_of_networks(run) if run.is_synthetic else _heading(run),
        "finding": run.finding,
        "findings": run.findings,
        "first": first_screen(run),
        "contents": sections,
        "before_notes": [view for view in sections if view["order"] < 0],
        "sections": [view for view in sections if view["order"] >= 0],
        "notes": page_notes(run),
        "methods": _methods(run),
        "definitions": _definitions(run),
        "files": {name: words for name, words in _FILES.items() if name == "report.html" or (run.path / name).exists()},
    }


def _sections(run: ReportedRun, prefix: str) -> Iterator[dict[str, Any]]:
    """The sections of a run in the order of the page, without those that it measured nothing of."""
    for registered in registered_sections():
        try:
            section = registered.make(run)
        except Exception as error:
            error.add_note(f"in the section {registered.name} of the page")
            raise
        if section is not None:
            title = section.title or registered.title
            address = f"{prefix}{registered.name}"
            yield {
                "name": address,
                "title": title,
                "brief": registered.brief or title,
                "section": section,
                "parts": list(_laid_out(section)),
                "order": registered.order,
            }


def _laid_out(section: Section) -> Iterator[tuple[Table | Figure | Interactive, str]]:
    """The parts, and what stands in place of one that has to be opened: pictures lead, with the tables folded beneath;
    of tables alone, the first is open."""
    pictures = [part for part in section.parts if not isinstance(part, Table)]
    yield from ((picture, "") for picture in pictures)
    for place, table in enumerate(part for part in section.parts if isinstance(part, Table)):
        name = table.folded or table.title or "the numbers"
        is_open = place == 0 and not pictures and not table.folded
        yield table, "" if is_open else f"Table: {name}" if pictures and not table.folded else name


def _distinct(run: ReportedRun, column: str) -> list[Any]:
    return list(run.results[column].dropna().unique())


def _heading(run: ReportedRun) -> dict[str, Any]:
    results = run.results
    seeds = [int(seed) for seed in sorted(results["seed"][results["task"].notna()].dropna().unique())]
    whole = list(range(seeds[0], seeds[-1] + 1)) if seeds else []
    return {
        "kicker": "does learning from the prompt look like fine-tuning?",
        "title": (", ".join(_distinct(run, "model")), "on", ", ".join(_distinct(run, "task"))),
        "k": [int(k) for k in sorted(_distinct(run, "k"))],
        "n_seeds": len(seeds),
        "seeds": f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 3 and seeds == whole else ", ".join(map(str, seeds)),
        "weights": _distinct(run, "weights"),
        "labels": [] if (labels := _distinct(run, "labels")) == [Labels.GOLD] else labels,
        "methods": _distinct(run, "method"),
    }


def _heading_of_networks(run: ReportedRun) -> dict[str, Any]:
    losses = run.results[run.results["metric"].isin(["loss", "training_loss", "loss_by_position"])]
    networks, references = (losses[losses["setting"] == setting] for setting in (Setting.TF, Setting.REFERENCE))
    systems = {world["kind"] == "system" for world in run.study["worlds"].values()}
    return {
        "kicker": "is what a transformer learns in its context gradient descent?",
        "title": ("Small transformers", "in", ", ".join(losses["task"].dropna().unique())),
        "in_context": "states" if systems == {True} else "examples or states" if True in systems else "examples",
        "networks": list(networks["model"].dropna().unique()),
        "references": list(references["method"].dropna().unique()),
        "seeds": sorted(int(seed) for seed in networks["seed"].dropna().unique()),
    }


def _methods(run: ReportedRun) -> list[dict[str, Any]]:
    """The methods with their options, rates, and the source of the rates."""
    if run.is_synthetic:
        return []
    sources = run.provenance.get("learning_rate_source")
    variants = run.scores.tuned()

    def texts(method: str | None, column: str) -> list[str]:
        return list(dict.fromkeys(variant.texts[column] for variant in variants if variant.method == method))

    return [
        {
            "name": method,
            "options": "; ".join(texts(method, "method_options")),
            "rates": ", ".join(texts(method, "learning_rate")),
            "source": sources.get(method, "not recorded") if isinstance(sources, dict) else "not recorded",
        }
        for method in dict.fromkeys(variant.method for variant in variants)
    ]


def _definitions(run: ReportedRun) -> list[Any]:
    """The metrics that the page shows."""
    shown = set(run.results["metric"])
    definitions = {**DEFINITIONS, **METRICS} if run.is_synthetic else METRICS
    return [metric for name, metric in definitions.items() if name in shown]
