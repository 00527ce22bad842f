"""The page of a synthetic run: small transformers beside the algorithms that they may have learned."""

from dataclasses import replace
from typing import Any

from demograd.metrics import METRICS
from demograd.report.finding import Finding
from demograd.report.not_ok import missing_section
from demograd.report.performance import performance_section
from demograd.report.rendering import rendered
from demograd.report.run import Run
from demograd.report.scores import overall
from demograd.report.section import Section
from demograd.report.synthetic.clamped import clamped
from demograd.report.synthetic.comparison import comparison_section
from demograd.report.synthetic.constructions import constructions_section
from demograd.report.synthetic.curves import CURVES, curve_section
from demograd.report.synthetic.definitions import DEFINITIONS
from demograd.report.synthetic.finding import first_finding, synthetic_findings
from demograd.report.synthetic.losses import losses_section
from demograd.report.synthetic.multiplicity import multiplicity
from demograd.report.synthetic.numbers import CONSTRUCTION, NETWORK, REFERENCE, by_seed, of_context, synthetic_rows
from demograd.report.synthetic.order import synthetic_order_section
from demograd.report.synthetic.precision import precision
from demograd.report.synthetic.sparsity import synthetic_sparsity_section
from demograd.report.synthetic.training import training_section
from demograd.report.synthetic.weights import weights_section
from demograd.statistics import SEEDS_TO_DECIDE


def synthetic_page(run: Run) -> str:
    """The page as text. What comes from the run is untrusted and escaped; the charts have been checked."""
    found = _findings(run)
    every = [one for of_claim in found.values() for one in of_claim]
    shown = set(run.results["metric"])
    at_context = of_context(synthetic_rows(run.results), run.study["context"])
    return rendered(
        "synthetic.html.j2",
        run,
        first_finding(found),
        every,
        _sections(run),
        heading=_heading(run),
        seeds_to_decide=SEEDS_TO_DECIDE,
        claims_are_tested=False,
        notes=[
            *run.provenance.get("notes", []),
            *filter(None, [precision(run), clamped(at_context), multiplicity(every)]),
        ],
        definitions=[each for name, each in {**DEFINITIONS, **METRICS}.items() if name in shown],
    )


def synthetic_finding(run: Run) -> Finding:
    """The sentence that the page of a synthetic run begins with."""
    return first_finding(_findings(run))


def _findings(run: Run) -> dict[str, list[Finding]]:
    return synthetic_findings(run.results, run.study["context"], run.study["worlds"])


def _sections(run: Run) -> list[Section | None]:
    """In the order of the page; what the run did not measure is not there."""
    at_every_context = synthetic_rows(run.results)
    rows = of_context(at_every_context, run.study["context"])
    language_model = overall(run.results[~run.results["setting"].isin([NETWORK, CONSTRUCTION, REFERENCE])])
    return [
        constructions_section(rows),
        losses_section(rows),
        comparison_section(rows, by_seed(of_context(run.results, run.study["context"]), "loss_ratio")),
        training_section(rows),
        *(curve_section(at_every_context if curve.column == "k" else rows, curve) for curve in CURVES),
        weights_section(run.matrices),
        synthetic_sparsity_section(run.results),
        synthetic_order_section(rows, language_model),
        _of_language_model(performance_section(language_model)),
        missing_section(run.results),
    ]


def _of_language_model(section: Section | None) -> Section | None:
    return section and replace(section, title="What the language model predicts")


def _heading(run: Run) -> dict[str, Any]:
    losses = run.results[run.results["metric"].isin(["loss", "training_loss", "loss_by_position"])]
    of_networks, of_references = (losses[losses["setting"] == setting] for setting in (NETWORK, REFERENCE))
    systems = {world["kind"] == "system" for world in run.study["worlds"].values()}
    return {
        "in_context": "states" if systems == {True} else "examples or states" if True in systems else "examples",
        "worlds": list(losses["task"].dropna().unique()),
        "networks": list(of_networks["model"].dropna().unique()),
        "references": list(of_references["method"].dropna().unique()),
        "seeds": sorted(int(seed) for seed in of_networks["seed"].dropna().unique()),
    }
