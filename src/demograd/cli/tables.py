"""What the command line prints as tables."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from demograd.cli.printing import print_table, say
from demograd.files import Place
from demograd.metrics import METRICS
from demograd.report import ReportedRun, deciding_p, network_table, read_run, score_table
from demograd.report.section import percent
from demograd.self_check import CheckResult
from demograd.statistics import Verdict
from demograd.statistics.number import estimate
from demograd.words import task_label

_AT_A_GLANCE = (
    "SimAOU",
    "SimAOU, mismatched",
    "SimAOU, specificity vs permuted labels",
    "SimAOU_norm",
    "SimAM",
    "SimAM_Δ",
)
_HEADS_BESIDE_EACH_OTHER = 4
# What a terminal has room for.
_SPECIFIC = ("SimAOU, ", "SimAM_Δ, ")
_PLAIN = ("SimAOU", "SimAOU_norm", "random SimAOU", "SimAM", "SimAM_Δ", "‖u_FT‖ / ‖u_ICL‖")


def print_scores(folder: Place) -> None:
    """The finding of a run, its matching in one table, and how many comparisons are decided; the report has all scores.

    A run that does not match has its leading scores instead: a metric a line, or, where there are many methods, weights
    or tasks, a line for each of those.
    """
    run = read_run(folder)
    if run.is_synthetic:
        _print_networks(run)
        return
    say(run.finding.sentence)
    compared = _matched(run)
    if compared:
        _print_matched(compared)
    scores = score_table(run.results)
    added = {metric.title for metric in METRICS.values() if metric.is_of_another_package}
    plain = added if compared else {*_PLAIN, *added}
    metrics = [str(name) for name in scores if name in plain or (not compared and str(name).startswith(_SPECIFIC))]
    if metrics:  # none where only networks or distributions were looked at: the report has them
        _print_metrics(scores, metrics)
    _print_verdicts(run)


def _matched(run: ReportedRun) -> list[dict[str, Any]]:
    """The comparisons by SimAOU of the leading claim, one for each task and method."""
    return [
        comparison
        for claim in run.claims["claims"]
        if claim["name"] == "specificity"
        for comparison in claim["comparisons"]
        if comparison["left_side"]["metric"] == "sim_aou"
    ]


def _print_matched(compared: Sequence[dict[str, Any]]) -> None:
    """A line for each; what all share stands above, so that the table fits 80 columns. The page has the intervals of
    specificities."""
    subjects = [_subject(comparison) for comparison in compared]
    shared = [part for place, part in enumerate(subjects[0]) if part and len({s[place] for s in subjects}) == 1]
    names = [", ".join(part for part in subject if part and part not in shared) for subject in subjects]
    say(f"SimAOU, {', '.join(shared)}:" if shared else "SimAOU:")
    rows = [(name, *_matching(comparison)) for name, comparison in zip(names, compared, strict=True)]
    print_table(["", "matched", "mismatched", "specificity", "share", "verdict"], rows)


def _subject(comparison: dict[str, Any]) -> tuple[str, ...]:
    """Task, k, model, method, weights and place on curves."""
    side = comparison["left_side"]
    task = task_label(comparison["task"], comparison.get("labels"))
    return task, f"k {comparison['k']}", side["model"], side["method"], side["weights"], comparison["place"]


def _matching(comparison: dict[str, Any]) -> tuple[str, ...]:
    matching = comparison["matching"] or {}
    share = percent(*(matching.get(name) for name in ("specific_share", "share_ci_low", "share_ci_high")))
    return (
        _rounded(comparison["left"]),
        _rounded(comparison["right"]),
        _difference(comparison)[0],
        " ".join((share.text, *share.under)) if matching else "",
        comparison["verdict"],
    )


def _print_verdicts(run: ReportedRun) -> None:
    """How many comparisons of the claims are decided."""
    compared = [comparison for claim in run.claims["claims"] for comparison in claim["comparisons"]]
    if compared:
        verdicts, unfair = (
            Counter(comparison["verdict"] for comparison in compared),
            sum(comparison.get("one_rate_each", False) for comparison in compared),
        )
        summary = ", ".join(f"{verdicts[verdict]} {verdict}" for verdict in Verdict)
        how = f" ({unfair} at one learning rate each)" if unfair else ""
        say(f"Comparisons behind the papers' claims: {summary}{how}; see demograd claims {run.path}")


def _print_networks(run: ReportedRun) -> None:
    """Small transformers beside what they are held against, world by world; the report has the intervals."""
    say(run.finding.sentence)
    networks = network_table(run)
    for world, rows in networks.groupby("world", sort=False) if len(networks) else ():
        say(f"In {world}:")
        plain = rows.drop(columns="world").map(lambda cell: cell.split(" [")[0])
        print_table([str(name) for name in plain], [tuple(line) for line in plain.itertuples(index=False)])
    _print_verdicts(run)


def _print_metrics(scores: pd.DataFrame, metrics: list[str]) -> None:
    names = [name for name in scores if name in ("task", "k", "method", "weights", "learning rate")]
    heads = [", ".join(values) for values in scores[names].itertuples(index=False)]
    if len(heads) <= _HEADS_BESIDE_EACH_OTHER:
        print_table(["", *heads], [(name, *scores[name]) for name in metrics])
        return
    shown = [name for name in metrics if name in _AT_A_GLANCE]
    without_interval = [[cell.split(" [")[0] for cell in scores[name]] for name in shown]
    print_table([", ".join(names), *shown], list(zip(heads, *without_interval, strict=True)))


def print_claims(run: ReportedRun) -> None:
    """The finding, and each claim with its comparisons; then what the rest would need."""
    say(run.finding.sentence)
    claims_ = run.claims["claims"]
    for claim in claims_:
        if claim["comparisons"]:
            say(f"{claim['claim']} ({claim['source']})", style="bold")
            if run.is_synthetic:
                heads = ["verdict", "compared", "numbers", "corrected p"]
                print_table(heads, [_statement(comparison) for comparison in claim["comparisons"]])
                say("")
                continue
            print_table(
                ["verdict", "compared", "difference", "95 % interval", "Hedges g, or share", "corrected p"],
                [_comparison(comparison) for comparison in claim["comparisons"]],
            )
            if subject := {deciding_p(comparison)[1] for comparison in claim["comparisons"]} - {""}:
                say(f"Here p is {', '.join(subject)}, but where the claim is contradicted.")
            for reason in dict.fromkeys(
                comparison["reason"] for comparison in claim["comparisons"] if comparison["p_corrected"] is None
            ):
                say(f"Not tested: {reason}.")
            say("")
    if any(claim["comparisons"] for claim in claims_):
        say(f"p-values are corrected for many comparisons: {run.claims['correction']}.")
    for claim in claims_:
        if not claim["comparisons"]:
            say(f"Cannot be decided here: {claim['claim']} ({claim['source']}). It needs {claim['needs']}.")


def _comparison(comparison: dict[str, Any]) -> tuple[str, ...]:
    task = task_label(comparison["task"], comparison.get("labels"))
    matching = comparison.get("matching")
    effect = percent(matching["specific_share"]).text if matching else _plain(comparison["effect_size"])
    return (
        comparison["verdict"],
        f"{task}, k {comparison['k']}: {comparison['compared']}",
        *_difference(comparison),
        effect,
        _plain(deciding_p(comparison)[0]),
    )


def _statement(comparison: dict[str, Any]) -> tuple[str, ...]:
    """A comparison of a synthetic run: numbers in ranges."""
    numbers = "; ".join(f"{number['title']} {number['text']}" for number in comparison["numbers"])
    compared = f"{comparison['task']}, k {comparison['k']}: {comparison['compared']}"
    return comparison["verdict"], compared, numbers, _plain(comparison["p_corrected"])


def print_checks(results: Sequence[CheckResult]) -> None:
    """Each self-check, what was measured and what was allowed."""
    rows = [
        (result.name, "passed" if result.passed else "FAILED", result.measured, result.allowed) for result in results
    ]
    print_table(["check", "result", "measured", "allowed"], rows)


def _difference(comparison: dict[str, Any]) -> tuple[str, str]:
    """`+0.013` and `[−0.002, +0.028]`, each empty where there is none."""
    number = estimate(comparison["difference"], comparison["ci_low"], comparison["ci_high"])
    text, _, bounds = number.signed.partition(" ")
    return ("", "") if number.value is None else (text, bounds)


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
