"""The notes of a page: limits of its numbers, beside the notes that the run wrote."""

from collections.abc import Sequence

from demograd.report.finding import Finding, listed
from demograd.report.networks import by_subject, of_context
from demograd.report.run import Run
from demograd.report.synthetic.decision import SAME_LOSS
from demograd.statistics import Verdict

NORMAL = 1.96
"""Half the width of a 95 % interval, in standard errors."""
CLAMPED_SHARE = 0.001
"""A larger share of clamped tokens has a note."""


def page_notes(run: Run, findings: Sequence[Finding]) -> list[str]:
    """The notes of a page in their order."""
    provenance = run.provenance.get("notes", [])
    if not run.is_synthetic:
        return [*fewer_demonstrations(run), *provenance]
    return [*provenance, *filter(None, [precision(run), clamped(run), multiplicity(findings)])]


def fewer_demonstrations(run: Run) -> list[str]:
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


def precision(run: Run) -> str:
    """A note on losses whose standard error, sd / √n over test sequences, exceeds the 2 % that decide ratios, or empty.

    A ratio's interval can be narrower, for both losses are of the same sequences.
    """
    rows = of_context(run.results, run.study["context"])
    # of one learner, a reference or one training seed's network: over test sequences alone
    alone = rows[(rows["metric"] == "loss") & (rows["interval"] == "conditional") & (rows["value"] > 0)]
    errors = (alone["ci_high"] - alone["ci_low"]) / (2 * NORMAL * alone["value"])
    wide = alone[errors > SAME_LOSS[1] - 1]
    if wide.empty:
        return ""
    names = dict.fromkeys(f"“{name}”" for name in wide["model"].fillna(wide["method"]))
    return (
        f"The loss of {listed(names)} has a standard error of up to {100 * errors.max():.0f} % over test "
        "sequences, more than the 2 % within which losses count as the same: more test_sequences may decide what is "
        "open here."
    )


def clamped(run: Run) -> str:
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


def multiplicity(findings: Sequence[Finding]) -> str:
    """A note on the number of statements of a page, some of which chance decides; empty for a single statement.

    Intervals, unlike p-values, are kept at one level, so the decisions are not corrected (Holm) as those of a language
    model's page are. How many are wrong is not said: it depends on how many statements are true, and on how often
    their numbers err together.
    """
    if len(findings) < 2:
        return ""
    decided = sum(finding.verdict != Verdict.UNDECIDED for finding in findings)
    return (
        f"This page decides {decided} of {len(findings)} statements, each by 95 % intervals of its own, and corrects "
        "none for being one of many, so chance alone may have decided some of them. A statement that needs k numbers "
        "(all rivals, all positions) is supported by all of them together and contradicted by any one: where it is "
        "true, it is contradicted by chance in up to k × 2.5 % of such studies."
    )
