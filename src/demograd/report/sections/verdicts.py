"""The verdicts on small networks: whether they do what references do."""

from demograd.report.networks import by_seed, of_context
from demograd.report.run import Run
from demograd.report.section import Section, section
from demograd.report.synthetic.comparison import comparison_section


@section("Are they the same algorithm?", order=30)
def comparison(run: Run) -> Section | None:
    """A row per network and reference."""
    ratios = by_seed(of_context(run.results, run.study.get("context")), "loss_ratio")
    return comparison_section(run.networks_at_context, ratios)
