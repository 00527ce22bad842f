"""The page Findings: its sentences, tables and pictures, made of what `make findings` has collected in `findings/`.

Written by hand are the questions and limits of `findings/runs.yaml`. A run that is not there is said to be missing.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from findings_pictures import distance, pictures_of
from findings_ranking import RANKING, in_three_sentences
from findings_runs import FINDINGS, Question, collected, questions

from demograd.report import ReportedRun, Table, deciding_p
from demograd.report.answer import answer, led_comparisons
from demograd.report.network_answer import NetworkFinding, network_answer, network_findings
from demograd.report.networks import by_subject, worlds_of
from demograd.report.paper.exhibits import PaperTable
from demograd.report.paper.markdown import escaped, table_file
from demograd.report.scores import at_one_rate
from demograd.report.sections.comparison import CLAIM
from demograd.report.sections.ranking import ranking_section
from demograd.statistics import Finding, Verdict
from demograd.statistics.number import Number, estimate, p_value, percentage
from demograd.words import Setting, Subject, Weights, listed, task_label

NOT_RUN = "not run in full here"
FOLDED = 12
"""Rows of a table; one of more has to be opened."""
NOTHING = "–"
MARKS = {Verdict.SUPPORTED: "✓", Verdict.CONTRADICTED: "✗", Verdict.NOT_SPECIFIC: "≈", Verdict.UNDECIDED: "?"}
LEADS = {
    Verdict.SUPPORTED: "✓ The same algorithm",
    Verdict.UNDECIDED: "? Open",
    Verdict.CONTRADICTED: "✗ No algorithm here is the same; nearest come",
}
"""Best verdict on a network and any algorithm → how the sentence begins."""
MOST = 6
"""Pairs of a sentence."""
SAME = {Verdict.SUPPORTED: "✓ yes", Verdict.CONTRADICTED: "✗ no", Verdict.UNDECIDED: "? open"}
"""Verdict on a network and a reference → whether they are the same."""


def at_a_glance() -> Iterator[str]:
    """A line for each question: how many of its findings have which verdict."""
    yield from _head("question", "verdicts", "command")
    for question in questions().values():
        run = collected(question.name)
        verdicts = "not run yet" if run is None else _all_verdicts(run, question)
        yield _row(f"[{escaped(question.asks)}](#{question.name})", verdicts, f"`make findings NAMES={question.name}`")


def findings(*, synthetic: bool) -> Iterator[str]:
    """What was found, question by question: of small transformers, or of language models."""
    for question in questions().values():
        if question.is_synthetic == synthetic:
            yield from finding(question, collected(question.name))


def finding(question: Question, run: ReportedRun | None) -> Iterator[str]:
    """A question, the sentences that answer it, pictures, numbers and limits."""
    yield f"\n### {escaped(question.asks)} {{#{question.name}}}\n"
    if run is None:
        yield f"Not run yet:\n\n```sh\nmake findings NAMES={question.name}\n```\n"
        return
    yield from _sentences(question, run)
    for shown in pictures_of(question, run):
        yield from shown.markdown()
    yield from _network_tables(run) if run.is_synthetic else _model_tables(question, run)
    yield f"\n**Limits.** {escaped(question.limits)} {_size(run)}\n"
    yield f"\n```sh\n{question.command}\n```\n"


def in_short(preset: str, measured: Mapping[str, Any], folder: Path = FINDINGS) -> str:
    """What the run of a preset found, in a cell that leads there: the number of these columns, if any, and its
    verdicts; and what was found with some settings changed, which are named.

    Says so where the preset was not run as it is; empty without a preset.
    """
    if not preset:
        return ""
    whole, changed = list[str](), list[str]()
    for question in (question for question in questions().values() if question.preset == preset):
        run = collected(question.name, folder)
        if run is None:
            continue
        verdicts = f"[{_all_verdicts(run, question)}](findings.md#{question.name})"
        if question.set:
            changed.append(f"with `{question.changes}` {verdicts}")
        else:
            whole += [*([_measured(run, **measured)] if measured else []), verdicts]
    return "; ".join([*(whole or [NOT_RUN]), *changed])


def _measured(run: ReportedRun, *, times: float = 1.0, **columns: Any) -> str:
    rows = run.networks_at_context
    rows = rows[rows[["at", "step"]].isna().all(axis=1) & (rows[list(columns)] == pd.Series(columns)).all(axis=1)]
    (row,) = rows.to_dict("records")
    return estimate(*(times * row[name] for name in ("value", "ci_low", "ci_high"))).with_bounds


def _sentences(question: Question, run: ReportedRun) -> Iterator[str]:
    """What answers the question, else the run's one sentence; and of other claims how many findings are decided."""
    yield from list(_answers(question, run)) or [f"{escaped(run.finding.sentence)}\n"]
    answered = {finding.claim for finding in _about(run, question)} | {*question.claims}
    for claim in run.claims["claims"]:
        findings = [finding for finding in run.findings if finding.claim == claim["name"]]
        if findings and claim["name"] not in answered:
            yield f"{escaped(claim['claim'])}: {_verdicts(findings)}.\n"


def _answers(question: Question, run: ReportedRun) -> Iterator[str]:
    """The clauses with which the run's own page answers, claim by claim; of algorithms, network by network."""
    if not run.is_synthetic:
        yield from (f"**{escaped(clause.lead)}:** {escaped(clause.text)}\n" for clause in answer(run))
        yield from _other_claims(run, question)
        return
    for claim in question.claims:
        if claim == CLAIM:
            yield from _algorithms(run, question)
        else:
            for clause in network_answer(_of_claims(run, [claim]))[1]:
                yield f"**{MARKS[clause.verdict]} {str(clause.verdict).capitalize()}:** {escaped(clause.text)}\n"


def _other_claims(run: ReportedRun, question: Question) -> Iterator[str]:
    """Of each claim about language models that the question names besides: its verdicts, and what is supported."""
    for claim, comparisons in _compared(run, question):
        yield f"**{escaped(claim['claim'])}:** {_verdicts(comparisons)}."
        for comparison in comparisons:
            if comparison["verdict"] == Verdict.SUPPORTED:
                left, right = (estimate(comparison[side]).value_text for side in ("left", "right"))
                about = f"{comparison['compared']} on {task_label(comparison['task'], comparison.get('labels'))}"
                yield escaped(f" {about}: {comparison['reason']} ({left} against {right}).")
        yield ""


def _algorithms(run: ReportedRun, question: Question) -> Iterator[str]:
    """How networks that are held against each other stand; which do what an algorithm does, of which that is open, and
    what the others come nearest to."""
    by_network: dict[Subject, list[NetworkFinding]] = {}
    items = network_findings(run).get(CLAIM, [])
    for item in items:
        if question.is_about(item.subject):
            by_network.setdefault(item.subject._replace(reference=""), []).append(item)
    has_worlds = len(worlds_of(by_network)) > 1
    ratios = by_subject(run.networks_at_context, "loss_ratio")
    networks = {subject.network for subject in by_subject(run.networks_at_context, "loss")}
    for pair, ratio in ratios.items():
        if pair.reference in networks and question.is_about(pair):
            sentence = f"“{pair.network}” has {ratio.with_bounds} times the loss of “{pair.reference}”"
            beside = _beside_the_band(ratio, items[0].comparison["numbers"][0]) if items else ""
            yield escaped(f"{sentence}{beside}.") + "\n"

    groups: dict[Verdict, list[str]] = {verdict: [] for verdict in LEADS}
    for network, items in by_network.items():
        verdict = next(verdict for verdict in LEADS if any(item.finding.verdict == verdict for item in items))
        nearest = min(
            (item for item in items if item.finding.verdict == verdict), key=lambda item: distance(ratios[item.subject])
        )
        numbers, reason = nearest.numbers, nearest.finding.reason
        if verdict == Verdict.UNDECIDED and reason not in numbers:
            numbers = f"{numbers}; {reason}"
        if "seeds" in (standing := nearest.comparison["standing"]):  # a mean over seeds that ended apart hides this
            numbers = f"{numbers}; {standing}"
        place = f" in {network.world}" * has_worlds
        groups[verdict].append(f"“{network.network}” and {nearest.subject.reference}{place} ({numbers})")
    for verdict, lead in LEADS.items():
        if pairs := groups[verdict]:
            more = len(pairs) - MOST
            rest = f"; and {more} more in the table" * (more > 0)
            yield f"**{lead}:** {escaped('; '.join(pairs[:MOST]) + rest)}.\n"


def _of_claims(run: ReportedRun, claims: Sequence[str]) -> ReportedRun:
    """The run, as if nothing but these claims had been asked about."""
    findings = [finding for finding in run.claims.get("findings", []) if finding["claim"] in claims]
    return replace(run, claims={**run.claims, "findings": findings})


def _about(run: ReportedRun, question: Question) -> list[Finding]:
    """The findings that answer the question."""
    if not run.is_synthetic:
        return run.findings
    by_claim = network_findings(_of_claims(run, question.claims))
    return [item.finding for items in by_claim.values() for item in items if question.is_about(item.subject)]


def _compared(run: ReportedRun, question: Question) -> Iterator[tuple[Mapping[str, Any], list[Mapping[str, Any]]]]:
    """The claims about language models that the question names besides the leading one, with their comparisons of one
    task each."""
    if run.is_synthetic:
        return
    tasks = {*run.study["tasks"]}
    for claim in run.claims["claims"]:
        if claim["name"] in question.claims:
            yield claim, [comparison for comparison in claim["comparisons"] if comparison["task"] in tasks]


def _all_verdicts(run: ReportedRun, question: Question) -> str:
    """Those of the findings that answer the question, and of other claims that it names."""
    others = [f"{claim['name']}: {_verdicts(comparisons)}" for claim, comparisons in _compared(run, question)]
    return "; ".join([_verdicts(_about(run, question)) or "numbers alone", *others])


def _beside_the_band(ratio: Number, band: Mapping[str, Any]) -> str:
    """Where the whole interval lies beside the range of losses that count as the same, if on one side or within."""
    low, high = band["low"], band["high"]
    if ratio.low is None or ratio.high is None:
        return ""
    if ratio.high < low or ratio.low > high:
        return f", which is outside {low} to {high} with its whole interval"
    return (
        f", which is within {low} to {high} with its whole interval" if low <= ratio.low <= ratio.high <= high else ""
    )


def _verdicts(findings: Sequence[Finding] | Sequence[Mapping[str, Any]]) -> str:
    """`✓ 2 supported, ✗ 1 contradicted`."""
    counts = Counter(item.verdict if isinstance(item, Finding) else Verdict(item["verdict"]) for item in findings)
    return ", ".join(f"{mark} {counts[verdict]} {verdict}" for verdict, mark in MARKS.items() if counts[verdict])


def _network_tables(run: ReportedRun) -> Iterator[str]:
    yield from _folded("Losses", _losses(run))
    if nearest := list(_nearest(run)):
        yield "\nThe algorithm whose predictions are nearest, by the mean squared difference:\n"
        yield from nearest


def _losses(run: ReportedRun) -> Iterator[str]:
    """A line for each network and reference that it is held against; of networks without any, their losses alone."""
    rows = run.networks_at_context
    losses, ratios = by_subject(rows, "loss"), by_subject(rows, "loss_ratio")
    references = by_subject(rows, "loss", Setting.REFERENCE)
    verdicts = {item.subject: item.finding.verdict for item in network_findings(run).get(CLAIM, [])}
    has_worlds = len(worlds_of(losses)) > 1
    world = ["world"] * has_worlds
    if not ratios:
        yield from _head(*world, "network or algorithm", "loss, 95 % interval")
        for subject, loss in {**losses, **references}.items():
            yield _row(*[escaped(subject.world)] * has_worlds, _learner(subject), _number(loss))
        return
    same = ["the same?"] if verdicts else []
    yield from _head(*world, "network", "loss", "beside", "its loss", "ratio, 95 % interval", *same)
    for subject in sorted(ratios, key=lambda subject: worlds_of(losses).index(subject.world)):
        beside = references.get(subject._replace(network=""))
        beside = beside or losses.get(Subject(subject.world, subject.reference, ""))
        yield _row(
            *[escaped(subject.world)] * has_worlds,
            escaped(subject.network),
            _number(losses.get(subject._replace(reference=""))),
            escaped(subject.reference),
            _number(beside),
            _number(ratios[subject]),
            *[SAME[verdicts[subject]] if subject in verdicts else NOTHING] * bool(verdicts),
        )


def _learner(subject: Subject) -> str:
    return escaped(subject.network or subject.reference)


def _nearest(run: ReportedRun) -> Iterator[str]:
    """Of runs that measure it: for each network and world the reference of the smallest squared difference."""
    differences = by_subject(run.networks_at_context, "squared_prediction_difference")
    worlds = worlds_of(differences)
    if not worlds:
        return
    yield from _head("network", *map(escaped, worlds))
    for network in dict.fromkeys(subject.network for subject in differences):
        cells = []
        for world in worlds:
            present = [
                (difference.value, subject.reference, difference)
                for subject, difference in differences.items()
                if (subject.world, subject.network) == (world, network) and difference.value is not None
            ]
            _, reference, difference = min(present, default=(0.0, NOTHING, None))
            cells.append(escaped(reference) + ("" if difference is None else f"<br>{_number(difference)}"))
        yield _row(escaped(network), *cells)


def _model_tables(question: Question, run: ReportedRun) -> Iterator[str]:
    yield from _folded("What is predicted", _learning(run))
    yield from _folded("Matching by SimAOU", _matching(run))
    ranking = ranking_section(run) if RANKING in question.shows else None
    for table in (part for part in (ranking.parts if ranking else ()) if isinstance(part, Table)):
        yield f'\n<details markdown="1"><summary>Ranking by {escaped(table.title)}</summary>\n'
        yield table_file(PaperTable("", table.title, table))
        yield "</details>\n"


def _learning(run: ReportedRun) -> Iterator[str]:
    """Accuracy and AUC without demonstrations, with them in the prompt, and after training on them."""
    settings = {Setting.ZSL: "zero-shot", Setting.ICL: "ICL", Setting.FT: "FT"}
    metrics = {"accuracy": "accuracy", "auc": "AUC"}
    yield from _head(
        "task", "method", *(f"{title}, {name}" for title in metrics.values() for name in settings.values())
    )
    for variant in at_one_rate(run.scores):
        if variant.weights == Weights.TRAINED:
            numbers = [run.scores.get(variant, metric, setting) for metric in metrics for setting in settings]
            task = escaped(task_label(variant.task, variant.labels))
            yield _row(task, escaped(variant.method or ""), *map(_number, numbers))


def _matching(run: ReportedRun) -> Iterator[str]:
    """Of each method what is alike with its own demonstrations, with others, and what that says."""
    yield from _head("task", "method", "matched", "mismatched", "specific share, %", "corrected p", "verdict")
    for led in led_comparisons(run):
        comparison = led.comparison
        p, hypothesis = deciding_p(comparison)
        yield _row(
            escaped(task_label(comparison["task"], comparison.get("labels"))),
            escaped(str(comparison["left_side"]["method"])),
            *(estimate(comparison[side]).value_text for side in ("left", "right")),
            _number(percentage(*led.share)) if led.share else NOTHING,
            NOTHING if p is None else " ".join(filter(None, (p_value(p), hypothesis))),
            f"{MARKS[led.finding.verdict]} {led.finding.verdict}",
        )


def _size(run: ReportedRun) -> str:
    """How large the run was, from its study and its provenance."""
    study = run.study
    if run.is_synthetic:
        parts = [f"{len(study['seeds'])} training seeds", f"{study['test_sequences']:,} test sequences"]
    else:
        parts = [f"{len(study['seeds'])} demonstration sets", f"{study['queries']} queries"]
        parts.append(f"k {listed(f'{k:g}' for k in sorted(run.results['k'].dropna().unique()))}")
    seconds = run.provenance.get("seconds")
    minutes = max(round(seconds / 60), 1) if seconds else 0
    device = run.provenance.get("machine", {}).get("device", "cpu").upper()
    time = f", {minutes} minute{'s' * (minutes > 1)} on a {device}" if minutes else ""
    return f"Size: {listed(parts)}{time}."


def _number(number: Number | None) -> str:
    return NOTHING if number is None else escaped(number.with_bounds)


def _folded(title: str, table: Iterable[str]) -> Iterator[str]:
    """A table; one with many rows has to be opened."""
    lines = list(table)
    is_long = len(lines) - 2 > FOLDED
    yield f'\n<details markdown="1"><summary>{title}: {len(lines) - 2} rows</summary>\n' if is_long else ""
    yield from lines
    yield "\n</details>\n" if is_long else ""


def _head(*titles: str) -> Iterator[str]:
    yield _row(*titles)
    yield _row(*["---"] * len(titles))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


TEXTS = {
    "findings at a glance": at_a_glance,
    "findings of small transformers": partial(findings, synthetic=True),
    "findings of language models": partial(findings, synthetic=False),
    "what the rankings say": in_three_sentences,
}
"""By the names of their markers."""
