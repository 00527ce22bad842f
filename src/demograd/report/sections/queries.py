"""Query by query: predictions, similarity, and what the last token attends to."""

from demograd.report.explorer import STATIC_ROWS, explorer_of
from demograd.report.run import ReportedRun
from demograd.report.section import Interactive, Section, section

_LEAD = (
    "Each row is a query: what the model predicts for it without demonstrations (ZSL), behind them (ICL), and after "
    "fine-tuning on them (FT). ✗ marks a wrong prediction. Similarity: SimAOU of this query, mean over layers."
)
_ATTENTION = (
    "Choose a query to see its prompts, each token shaded by how much the query’s last token attends to it: from there "
    "the label is predicted."
)


@section("Query by query", order=-5, name="queries", brief="Queries")
def queries_section(run: ReportedRun) -> Section | None:
    """A table of the queries, and the prompts of the one that is chosen."""
    explorer = None if run.queries is None else explorer_of(run.queries, run.attention, run.n_on_page)
    if explorer is None:
        return None
    part = Interactive("explorer.html.j2", "explorer.js", explorer)
    notes = []
    if explorer.n_shown < explorer.n_queries:
        notes.append(
            f"To keep the page small, it has the first {explorer.n_shown:,} of {explorer.n_queries:,} queries; "
            "queries.parquet has them all."
        )
    if explorer.n_attention:
        notes.append(
            f"Attention is on the page for the first {explorer.n_attention} queries at most, with the first "
            "demonstration set: attention.parquet has what the run kept."
        )
    if len(explorer.rows) == STATIC_ROWS < explorer.n_shown:
        notes.append(f"Without scripts the table has the first {STATIC_ROWS} queries.")
    return Section((part,), f"{_LEAD} {_ATTENTION}" if explorer.n_attention else _LEAD, tuple(notes))
