"""What the rankings of all models say together, in three sentences made of their verdicts."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from findings_runs import Question, collected, questions

from demograd.metrics import METRICS
from demograd.report import ReportedRun, deciding_p
from demograd.report.answer import CLAIM, LedComparison
from demograd.report.paper.markdown import escaped
from demograd.statistics import Finding, Verdict
from demograd.statistics.number import p_value, percentage
from demograd.words import listed

INSIDE, OF_PREDICTIONS = "sim_aou", "sim_labels_mean_removed"
"""The metric of each claim that the sentences are about."""
RANKING = "ranking"


def in_three_sentences() -> Iterator[str]:
    """Of the collected runs that rank methods; nothing where there is none."""
    ranked = [
        (question, run)
        for question in questions().values()
        if RANKING in question.shows and (run := collected(question.name)) is not None
    ]
    if not ranked:
        return
    inside = [item for _, run in ranked for item in _cases(run, CLAIM, INSIDE)]
    predicted = [item for question, run in ranked for item in _others(question, run)]
    yield "What these rankings say together:\n"
    yield f"1. {escaped(_inside(inside))}"
    yield f"2. {escaped(_of_predictions(predicted))}"
    yield f"3. {escaped(_limits([*inside, *predicted], [run for _, run in ranked]))}\n"


def _cases(run: ReportedRun, claim_name: str, metric: str) -> Iterator[LedComparison]:
    """The comparisons of one task each, by this metric over all layers."""
    for claim in run.claims["claims"]:
        for comparison in claim["comparisons"] if claim["name"] == claim_name else ():
            if comparison["left_side"]["metric"] == metric and comparison["task"] in run.study["tasks"]:
                verdict = Verdict(comparison["verdict"])
                finding = Finding(claim_name, comparison["compared"], verdict, comparison["reason"], "", "")
                yield LedComparison(finding, comparison)


def _others(question: Question, run: ReportedRun) -> Iterator[LedComparison]:
    for name in question.claims:
        yield from _cases(run, name, OF_PREDICTIONS)


def _inside(cases: Sequence[LedComparison]) -> str:
    """`Inside the network (SimAOU), of 10 cases …, 0 are specific to their demonstrations and 10 are not`."""
    decided = _decided(cases)
    text = f"Inside the network ({METRICS[INSIDE].title}), {_counted(decided)}"
    shares = [item.share for item in decided if item.share is not None]
    if shares:
        lowest, highest = min(low for _, low, _ in shares), max(high for *_, high in shares)
        text += f"; all intervals of the specific share lie in {percentage(lowest).value_text} to "
        text += f"{percentage(highest).value_text} %"
        ceilings = sorted({item.ceiling for item in decided if item.ceiling is not None})
        if ceilings:
            ends = dict.fromkeys(percentage(*end).with_bounds for end in (ceilings[0], ceilings[-1]))
            text += f", where that of ICL in another order is {' to '.join(ends)} %"
    return f"{text}."


def _of_predictions(cases: Sequence[LedComparison]) -> str:
    """The same of predictions, with each case that is specific and has a bounded share."""
    decided = _decided(cases)
    text = f"In what is predicted ({METRICS[OF_PREDICTIONS].title}), {_counted(decided)}"
    specific = [item for item in decided if item.finding.verdict == Verdict.SUPPORTED]
    nearest = [_with_share(item.comparison, item.share) for item in specific]
    return f"{text}: {listed(nearest)}." if nearest else f"{text}."


def _limits(cases: Sequence[LedComparison], runs: Sequence[ReportedRun]) -> str:
    """How many cases are undecided and why, and what is not shown."""
    reasons = Counter(re.sub(r" \([^()]*\)", "", item.finding.reason) for item in cases if not _decided([item]))
    counted = "; ".join(f"{reason}: {number}" for reason, number in reasons.most_common())
    places = "; ".join(dict.fromkeys(map(_place, runs)))
    text = f"Of {len(cases)} cases {reasons.total()} are undecided" + f" ({counted})" * bool(counted)
    return (
        f"{text}, and what is said is of {places}, of each method at one learning rate: a method that learned nothing "
        "here is not shown to be unlike ICL, and one that is not specific here may be so elsewhere."
    )


def _place(run: ReportedRun) -> str:
    """`smollm2-135m on trec (k 16, abstract labels, 8 demonstration sets)`."""
    k = listed(f"{k:g}" for k in sorted(run.results["k"].dropna().unique()))
    labels = listed(sorted(run.results["labels"].dropna().unique()))
    size = f"k {k}, {labels} labels, {len(run.study['seeds'])} demonstration sets"
    return f"{run.study['model']} on {listed(run.study['tasks'])} ({size})"


def _decided(cases: Sequence[LedComparison]) -> list[LedComparison]:
    return [item for item in cases if item.finding.verdict != Verdict.UNDECIDED]


def _counted(decided: Sequence[LedComparison]) -> str:
    if not decided:
        return "no case of a method on a task can be decided"
    counts = Counter(item.finding.verdict for item in decided)
    margins = dict.fromkeys(f"{percentage(item.comparison['margin']).value_text} %" for item in decided)
    counts = [
        f"{counts[Verdict.SUPPORTED]} are more like ICL from their own demonstrations than from others",
        f"{counts[Verdict.NOT_SPECIFIC]} as like it to within {listed(margins)} of the similarity",
        f"{counts[Verdict.CONTRADICTED]} less",
    ]
    return f"of {len(decided)} cases of a method on a task that can be decided, {listed(counts)}"


def _with_share(comparison: Mapping[str, Any], share: tuple[float, float, float] | None) -> str:
    side = comparison["left_side"]
    p, _ = deciding_p(comparison)
    size = f"{percentage(*share).with_bounds} % of the similarity" if share else "a share without bounds"
    if share and max(-share[1], share[2]) <= comparison["margin"]:
        size += ", all of it within the margin"
    corrected = f", corrected p {p_value(p)}" if p is not None else ""
    return f"{side['method']} on {comparison['task']} in {side['model']} ({size}{corrected})"
