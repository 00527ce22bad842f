"""The notes of a page: limits of its numbers, beside the notes that the run wrote."""

from demograd.report.networks import by_subject, of_context
from demograd.report.run import ReportedRun
from demograd.words import listed

SAME = 0.02
"""Share of a loss within which another counts as the same."""
NORMAL = 1.96
"""Half the width of a 95 % interval, in standard errors."""
CLAMPED_SHARE = 0.001
"""A larger share of clamped tokens has a note."""


def page_notes(run: ReportedRun) -> list[str]:
    """The notes of a page in their order."""
    provenance = run.provenance.get("notes", [])
    if not run.is_synthetic:
        return [*fewer_demonstrations(run), *provenance]
    return [*provenance, *filter(None, [precision(run), clamped(run)])]


def fewer_demonstrations(run: ReportedRun) -> list[str]:
    """A sentence for each task and k of which not all demonstrations fitted the context window."""
    used = run.results[["task", "k", "k_used", "seed"]].dropna().drop_duplicates()
    fewer: dict[tuple[str, int, int], list[int]] = {}
    for task, k, k_used, seed in used.itertuples(index=False):
        if k_used < k:
            fewer.setdefault((str(task), int(k), int(k_used)), []).append(int(seed))
    return [
        f"On {task}, {k_used} of {k} demonstrations fitted the context window (seed{'s' * (len(seeds) > 1)} "
        f"{', '.join(map(str, sorted(seeds)))}); ICL and FT both used those only."
        for (task, k, k_used), seeds in fewer.items()
    ]


def precision(run: ReportedRun) -> str:
    """A note on losses whose standard error, sd / √n over test sequences, exceeds the 2 % that decide ratios, or empty.

    A ratio's interval can be narrower, for both losses are of the same sequences.
    """
    rows = of_context(run.results, run.study["context"])
    # of one learner, a reference or one training seed's network: over test sequences alone
    alone = rows[(rows["metric"] == "loss") & (rows["interval"] == "conditional") & (rows["value"] > 0)]
    errors = (alone["ci_high"] - alone["ci_low"]) / (2 * NORMAL * alone["value"])
    wide = alone[errors > SAME]
    if wide.empty:
        return ""
    names = dict.fromkeys(f"“{name}”" for name in wide["model"].fillna(wide["method"]))
    return (
        f"The loss of {listed(names)} has a standard error of up to {100 * errors.max():.0f} % over test "
        "sequences, more than the 2 % within which losses count as the same: more test_sequences may decide what is "
        "open here."
    )


def clamped(run: ReportedRun) -> str:
    """A note on networks with more than `CLAMPED_SHARE` of their tokens clamped in tests; else empty."""
    shares = {
        subject: number.value or 0.0 for subject, number in by_subject(run.networks_at_context, "clamped_share").items()
    }
    clauses = [
        f"{100 * share:.2g} % of “{subject.network}” in {subject.world}"
        for subject, share in shares.items()
        if share > CLAMPED_SHARE
    ]
    return (
        f"The bound on tokens was felt: of those of the test problems it clamped {listed(clauses)}." if clauses else ""
    )
