"""The methods section of a synthetic run: worlds, networks, references and statistics, as its files say."""

from collections.abc import Iterator, Mapping
from typing import Any

from demograd.report.captions import ranges
from demograd.report.networks import DEFINITIONS, KINDS
from demograd.report.paper.facts import distinct, in_words, whole
from demograd.report.paper.prose import SOURCES, Paragraph, Sentence, cite, cite_sources, say
from demograd.report.paper.software import software
from demograd.report.run import ReportedRun
from demograd.statistics import SEEDS_TO_DECIDE
from demograd.words import Setting, listed


def methods(run: ReportedRun) -> list[Paragraph]:
    """The paragraphs of a synthetic run, without those that it has nothing to say in."""
    paragraphs = [
        ("Worlds", _worlds(run)),
        ("Networks", _networks(run)),
        ("References", _references(run)),
        ("Metrics", _metrics(run)),
        ("Statistics", _statistics(run)),
        ("Software", software(run)),
    ]
    written = ((title, tuple(sentences)) for title, sentences in paragraphs)
    return [Paragraph(title, sentences) for title, sentences in written if sentences]


def _worlds(run: ReportedRun) -> Iterator[Sentence]:
    for name, world in run.study["worlds"].items():
        kind = KINDS.get(str(world.get("kind", "linear")), str(world.get("kind")))
        others = {key: value for key, value in world.items() if key != "kind" and value is not None}
        yield say(f"The world “{name}” is {kind}{f' ({in_words(others)})' if others else ''}.")
    yield say(f"A sequence holds {run.study['context']} examples in context; sequences are drawn anew.")
    yield from (say(str(note)) for note in run.study.get("notes") or [])


def _networks(run: ReportedRun) -> Iterator[Sentence]:
    networks: Mapping[str, Any] = run.study.get("networks") or {}
    for name, settings in networks.items():
        words = {key: value for key, value in (settings or {}).items() if value is not None}
        yield say(f"The network “{name}” is a small transformer{f': {in_words(words)}' if words else ''}.")
    if training := run.study.get("training"):
        yield say("Networks are trained on fresh sequences by Adam", cite("kingma2015"), f": {in_words(training)}.")
    if seeds := whole(run, "seed"):
        yield say(f"There are {len(seeds)} training seeds ({ranges(seeds)}).")


def _references(run: ReportedRun) -> Iterator[Sentence]:
    rows = run.networks_at_context
    names = [str(name) for name in rows.loc[rows["setting"] == Setting.REFERENCE, "method"].dropna().unique()]
    about = str(run.study.get("about", ""))
    if names:
        sources = tuple(key for name, key in SOURCES.items() if name in about)
        cited = [cite(*sources)] if sources else []
        yield say(f"References are algorithms without training: {listed(names)}", *cited, ".")
        yield say("Their step sizes and penalties are tuned on other sequences of the same world.")


def _metrics(run: ReportedRun) -> Iterator[Sentence]:
    measured = set(distinct(run, "metric"))
    for name, metric in DEFINITIONS.items():
        if name in measured:
            yield say(f"The {metric.title} is: {metric.definition}", *cite_sources(metric.source), ".")


def _statistics(run: ReportedRun) -> Iterator[Sentence]:
    sequences = run.study.get("test_sequences")
    if sequences:
        yield say(f"Networks and references are compared on the same {sequences:,} test sequences.")
    intervals = set(run.networks["interval"].dropna())
    if "demonstrations" in intervals:
        yield say(
            "Intervals (95 %) are over training seeds and test sequences, by crossed mean squares with Satterthwaite’s "
            "degrees of freedom",
            cite("satterthwaite1946"),
            ".",
        )
    if "conditional" in intervals:
        yield say("Intervals that are over test sequences alone are called conditional, and decide nothing.")
    tested = [claim for claim in run.claims["claims"] if claim["comparisons"]]
    for claim in tested:
        yield say(f"Tested: “{claim['claim']}” ({claim['source']}).")
    if tested and run.claims["correction"]:
        holm = [cite("holm1979")] if "Holm" in run.claims["correction"] else []
        yield say(f"p-values are corrected: {run.claims['correction']}", *holm, "; the level is 5 %.")
        yield say(f"No claim is decided with fewer than {SEEDS_TO_DECIDE} training seeds.")
