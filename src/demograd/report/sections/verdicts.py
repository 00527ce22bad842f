"""The verdicts of the run: on the papers' claims, and on whether small networks do what references do."""

from demograd.report.claims import claims_section
from demograd.report.networks import by_seed, of_context
from demograd.report.run import Run
from demograd.report.section import Section, section
from demograd.report.synthetic.comparison import comparison_section


@section("The papers’ claims", order=-10)
def claims(run: Run) -> Section | None:
    """Verdicts at a glance, then the comparisons behind them, beside the finding."""
    return claims_section(run.claims)


@section("Are they the same algorithm?", order=30)
def comparison(run: Run) -> Section | None:
    """A row per network and reference."""
    ratios = by_seed(of_context(run.results, run.study.get("context")), "loss_ratio")
    return comparison_section(run.networks_at_context, ratios)
