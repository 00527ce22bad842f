"""How a run was judged, in the sentences of a methods section: metrics, intervals, tests and gates."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from demograd.metrics import METRICS
from demograd.report.paper.facts import has_setting
from demograd.report.paper.prose import Cite, Sentence, cite, cite_sources, say
from demograd.report.run import Check, ReportedRun
from demograd.statistics import SEEDS_FOR_SPECIFICITY, SEEDS_TO_DECIDE
from demograd.statistics.pairings import ALL_PAIRINGS_UP_TO, DRAWN_PAIRINGS
from demograd.words import Reading, Setting, Weights, listed, task_label


def metrics(run: ReportedRun) -> Iterator[Sentence]:
    """The definitions of all metrics that were measured."""
    measured = set(run.results["metric"])
    yield say(
        "ZSL stands for the model that has seen no demonstrations, ICL for the demonstrations in its prompt, FT for "
        "the model fine-tuned on them; u_ICL = h_ICL − h_ZSL and u_FT = h_FT − h_ZSL."
    )
    shown = [metric for name, metric in METRICS.items() if name in measured]
    pieces: list[str | Cite] = []
    for place, metric in enumerate(shown):
        pieces += [
            "; " * bool(place) + f"{metric.title}: {_uncapitalised(metric.definition)}",
            *cite_sources(metric.source),
        ]
    if pieces:
        yield say("Measured were ", *pieces, ".")
    if run.matching is not None or has_setting(run, Setting.FT_OTHER_SETS):
        yield say(
            "Specificity is a score with FT on ICL’s own demonstrations (matched) minus the mean score with FT on the "
            "other demonstration sets (mismatched)."
        )


def statistics(run: ReportedRun) -> Iterator[Sentence]:
    if not run.scores.numbers:
        return
    means = run.results[run.results["seed"].isna() & run.results["task"].notna()]
    reported = (
        ", and reported as mean ± sample standard deviation over demonstration sets"
        if means["std"].notna().any()
        else ", then demonstration sets, of which there are too few for a standard deviation"
    )
    yield say(f"Scores are averaged over heads, then queries, then layers{reported}.")
    yield from _intervals(means)
    compared = [claim for claim in run.claims["claims"] if claim["comparisons"]]
    tested = [claim for claim in compared if _has(claim, "p_value", "p_equal")]
    specific = [claim for claim in tested if any(c.get("matching") for c in claim["comparisons"])]
    if specific:
        yield from _matching(run, specific)
    yield from _tests([claim for claim in tested if claim not in specific])
    if untested := [claim for claim in compared if claim not in tested]:
        yield say(f"Compared, with nothing to test it by, were: {_claims(untested)}.")
    corrected = [claim for claim in tested if _has(claim, "p_corrected", "p_equal_corrected")]
    if corrected and run.claims["correction"]:
        yield _correction(run.claims["correction"])
    if compared:
        yield say(
            f"No claim is decided with fewer than {SEEDS_TO_DECIDE} demonstration sets, none about specificity with "
            f"fewer than {SEEDS_FOR_SPECIFICITY}."
        )


def _has(claim: Mapping[str, Any], *names: str) -> bool:
    """Whether a comparison of this claim has one of these numbers."""
    return any(c.get(name) is not None for c in claim["comparisons"] for name in names)


def _intervals(means: pd.DataFrame) -> Iterator[Sentence]:
    """What the intervals of these rows are over."""
    over_sets = means[means["interval"] == "demonstrations"]
    if (over_sets["metric"] != "auc").any():
        yield say(
            "Intervals of means (95 %) are over demonstration sets and queries, both of which vary: they rest on the "
            "mean squares of sets, of queries and of what remains, with Satterthwaite’s degrees of freedom",
            cite("satterthwaite1946"),
            ".",
        )
    if (over_sets["metric"] == "auc").any():
        yield say("Intervals of AUC (95 %) are by a bootstrap of sets and, beside them, queries", cite("owen2007"), ".")
    if (means["interval"] == "conditional").any():
        alone = "Intervals" if over_sets.empty else "Other intervals"
        yield say(
            f"{alone} (95 %) are over queries alone: they are conditional on these demonstrations, and decide nothing."
        )


def _tests(claims: Sequence[Mapping[str, Any]]) -> Iterator[Sentence]:
    """How claims about two means were tested."""
    above = [claim for claim in claims if claim.get("compare") == "above" and _has(claim, "p_value")]
    if above:
        yield say(
            "By t tests, paired over sets and queries, with the mean squares of sets, of queries and of what remains, "
            f"we tested: {_claims(above)}."
        )
        if any(_has(claim, "effect_size") for claim in above):
            yield say("Effect sizes are Hedges’ g over demonstration sets", cite("hedges1981"), ".")
    equal = [claim for claim in claims if claim.get("compare") == "equal" and _has(claim, "p_equal")]
    if equal:
        margins = sorted({c["margin"] for claim in equal for c in claim["comparisons"] if c.get("margin") is not None})
        within = f" (margins {listed(f'{margin:g}' for margin in margins)})" if margins else ""
        yield say(f"By tests of equivalence within a margin{within} we tested: {_claims(equal)}.")


def _correction(correction: str) -> Sentence:
    holm = [cite("holm1979")] if "Holm" in correction else []
    family = correction.removeprefix("Holm, ")
    by = "by Holm’s procedure" if holm else f"by {family}"
    over = f", {family}" if holm and family != correction else ""
    return say(f"p-values are corrected {by}", *holm, f"{over}; the level is 5 %.")


def _matching(run: ReportedRun, claims: Sequence[Mapping[str, Any]]) -> Iterator[Sentence]:
    yield say(
        f"Specificity is tested by permuting which set of ICL is paired with which of FT ({_pairings(run, claims)})",
        cite("mantel1967"),
        ", and again after the product of the sets’ main effects is taken out",
        cite("tukey1949"),
        f": {_claims(claims)}.",
    )
    yield say("Its interval is a jackknife over sets", cite("arvesen1969"), ", with queries as a second factor.")
    yield say(
        "The specific share is specificity over the matched score, with Fieller’s interval", cite("fieller1954"), "."
    )
    margins = sorted(
        {c["margin"] for claim in claims for c in claim["comparisons"] if c.get("matching") and c.get("margin")}
    )
    if margins:
        bounds = listed(f"±{100 * margin:g} %" for margin in margins)
        yield say(f"A specific share that is shown to lie within {bounds} is called not specific.")
    if (run.results["reading"] == Reading.IDENTIFIED).any():
        yield say("A set is identified where the best assignment of ICL’s sets to FT’s gives it its own.")
    if (run.results["setting"] == Setting.ICL_REORDERED).any():
        yield say("As a ceiling, ICL with the same demonstrations in another order takes the place of FT.")


def _pairings(run: ReportedRun, claims: Sequence[Mapping[str, Any]]) -> str:
    """Which pairings the tests of these claims go through; a pooled test, of several tasks, draws them."""
    tasks = set(run.results["task"].dropna())
    is_exact = {
        c["n_seeds"] <= ALL_PAIRINGS_UP_TO and c["task"] in tasks
        for claim in claims
        for c in claim["comparisons"]
        if c.get("matching")
    }
    random = f"{DRAWN_PAIRINGS:,} random pairings and the true one"
    if len(is_exact) > 1:
        return f"all pairings of up to {ALL_PAIRINGS_UP_TO} sets of a task, {random} of more sets or tasks"
    return "all pairings" if is_exact == {True} else random


def validity(run: ReportedRun) -> Iterator[Sentence]:
    gates = [check for check in run.validity if check.check in ("in_context_learning", "fine_tuning")]
    if not gates:
        return
    yield say(
        "A claim about in-context learning counts only where ICL is shown to improve on zero-shot in AUC, calibrated "
        "accuracy or the likelihood among the label words, and makes none of them significantly worse, and one about "
        "fine-tuning only where FT does so."
    )
    for check in gates:
        yield say(f"For {_subject(check)}: {check.message.split(':')[0]}.")


def _subject(check: Check) -> str:
    """`smollm2-135m, norms_only 1, mr, abstract labels, k 16, GD 0.001`: all that tells it from other checks."""
    is_drawn = check.weights != Weights.TRAINED and check.initialisation is not None
    weights = f"{check.weights} {check.initialisation}" if is_drawn else check.weights
    k = f"k {check.k}" if check.k is not None else ""
    return ", ".join(filter(None, (check.model, weights, task_label(check.task, check.labels), k, check.method)))


def _claims(claims: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(f"“{claim['claim']}” ({claim['source']})" for claim in claims)


def _uncapitalised(text: str) -> str:
    """A definition within a sentence; a name such as SimAOU keeps its letters."""
    first_word = text.partition(" ")[0]
    return text[:1].lower() + text[1:] if first_word[1:].islower() else text
