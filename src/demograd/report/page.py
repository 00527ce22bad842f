"""The report: one HTML file that needs no network and runs no script."""

from typing import Any

from demograd.errors import UserError
from demograd.files import Place, written_whole
from demograd.metrics import METRICS, SEEDS_FOR_SPECIFICITY, SEEDS_TO_DECIDE
from demograd.report.against_k import against_k_section
from demograd.report.alpha import alpha_section
from demograd.report.attention_to_demonstrations import attention_section
from demograd.report.claims import claims_section
from demograd.report.corrected import corrected_section
from demograd.report.finding import finding, findings
from demograd.report.gradient_norms import gradient_norms_section
from demograd.report.implicit_update import implicit_update_section
from demograd.report.layer_chart import layers_section
from demograd.report.layer_pairs import layer_pairs_section
from demograd.report.not_ok import missing_section
from demograd.report.order_sensitivity import order_sensitivity_section
from demograd.report.performance import performance_section
from demograd.report.published import published_section
from demograd.report.rates import rates_section
from demograd.report.rendering import rendered
from demograd.report.run import Run, read_run
from demograd.report.score_tables import score_section
from demograd.report.scores import Scores, overall
from demograd.report.section import Section
from demograd.report.sparsity import sparsity_section
from demograd.report.synthetic import synthetic_page
from demograd.report.training_time import training_time_section
from demograd.report.validity import validity_section


def write_report(folder: Place) -> Place:
    """Write `report.html` into a run folder, whole or not at all, and return where it is.

    **Raises:** UserError if the folder is no run folder (`read_run`), or cannot be written.
    """
    page = render(read_run(folder))
    path = folder / "report.html"
    try:
        written_whole(path, lambda unfinished: unfinished.write_text(page, encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror})", "a folder of yours", "Check its permissions"
        ) from error
    return path


def render(run: Run) -> str:
    """The page as text, of whatever kind the run is."""
    if run.is_synthetic:
        return synthetic_page(run)
    scores = overall(run.results)
    return rendered(
        "page.html.j2",
        run,
        finding(run.results, run.validity),
        findings(run.results, run.validity),
        _sections(run, scores),
        heading=_heading(run),
        seeds_to_decide=SEEDS_TO_DECIDE,
        seeds_for_specificity=SEEDS_FOR_SPECIFICITY,
        claims=claims_section(run.claims),
        claims_are_tested=any(claim["comparisons"] for claim in run.claims["claims"]),
        notes=_fewer_demonstrations(run) + list(run.provenance.get("notes", [])),
        methods=_methods(run, scores),
        definitions=_definitions(run),
    )


def _sections(run: Run, scores: Scores) -> list[Section | None]:
    """In the order of the page; what the run did not measure is not there."""
    results = run.results
    return [
        validity_section(run.validity, has_prompts=bool(results["task"].notna().any())),
        score_section(scores),
        published_section(scores, run.study),
        rates_section(results, scores),
        against_k_section(scores),
        layers_section(results, scores),
        alpha_section(results, scores),
        layer_pairs_section(results, scores),
        gradient_norms_section(results, scores),
        order_sensitivity_section(scores),
        attention_section(scores),
        implicit_update_section(results, scores),
        training_time_section(results, scores, run.study),
        sparsity_section(results),
        performance_section(scores),
        corrected_section(results, scores),
        missing_section(results),
    ]


def _heading(run: Run) -> dict[str, Any]:
    results = run.results

    def distinct(column: str) -> list[Any]:
        return list(results[column].dropna().unique())

    return {
        "models": distinct("model"),
        "tasks": distinct("task"),
        "k": [int(k) for k in sorted(distinct("k"))],
        "seeds": [int(seed) for seed in sorted(results["seed"][results["task"].notna()].dropna().unique())],
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


def _methods(run: Run, scores: Scores) -> list[dict[str, Any]]:
    """Each method with its options, rates, and where the rates come from."""
    sources = run.provenance.get("learning_rate_source")
    tuned = scores.tuned()
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
    shown = set(run.results["metric"])
    return [metric for name, metric in METRICS.items() if name in shown]
