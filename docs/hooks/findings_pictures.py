"""The pictures of the page Findings: networks beside algorithms, and figures of the runs' own pages."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import inf, log

import pandas as pd
from findings_runs import Question, collected, questions

from demograd.metrics import METRICS
from demograd.report import ReportedRun, Section
from demograd.report.charts.headed_dots import headed_dots
from demograd.report.charts.headings import Heading
from demograd.report.network_answer import network_findings
from demograd.report.networks import by_subject, worlds_of
from demograd.report.panels import bounded
from demograd.report.paper.exhibits import sentence
from demograd.report.paper.markdown import escaped
from demograd.report.scores import LEADING
from demograd.report.section import Chart, Figure, Key, registered_sections
from demograd.report.sections.comparison import CLAIM
from demograd.statistics import Verdict
from demograd.statistics.number import Number
from demograd.words import Subject

PICTURES = 4
"""Of more pictures in a figure, the others have to be opened."""
WIDE = {"ranking"}
"""Sections whose pictures need more room than their own page gives them."""
MOST = 12
"""Pairs of a picture; of more, each network has its nearest algorithm alone."""
SERIES = {Verdict.SUPPORTED: "the same", Verdict.CONTRADICTED: "not the same", Verdict.UNDECIDED: "open"}
UNTESTED = "not tested"


def pictures() -> dict[str, Chart]:
    """The pictures of all runs that are there, by the names of their files."""
    return {
        name: chart
        for question in questions().values()
        if (run := collected(question.name)) is not None
        for shown in pictures_of(question, run)
        for name, chart in shown.charts.items()
    }


@dataclass(frozen=True)
class Shown:
    """A picture of the page, or several: the first figure of a section of a run's own page, or one of ratios."""

    title: str
    charts: dict[str, Chart]
    """By the names of their files."""
    legend: tuple[Key, ...]
    caption: str
    is_narrow: bool = False

    def markdown(self) -> Iterator[str]:
        """Title, legend, pictures and caption."""
        yield f"\n**{escaped(sentence(self.title))}** {escaped(self.caption)}\n"
        if self.legend:
            yield f'<p class="legend">{"".join(map(_key, self.legend))}</p>\n'
        names = list(self.charts)
        yield from self._beside(names[:PICTURES])
        if more := names[PICTURES:]:
            yield f'<details markdown="1"><summary>{len(more)} more</summary>\n'
            yield from self._beside(more)
            yield "</details>\n"

    def _beside(self, names: Sequence[str]) -> Iterator[str]:
        yield f'<div class="pictures{" narrow" * self.is_narrow}" markdown="1">\n'
        for name in names:
            title = f"<figcaption>{escape(self.charts[name].title)}</figcaption>" if len(self.charts) > 1 else ""
            picture = f"![{escaped(self.title)}](pictures/{name}.svg){{ .picture }}"
            yield f'<figure markdown="span">{title}\n{picture}\n</figure>\n'
        yield "</div>\n"


def pictures_of(question: Question, run: ReportedRun) -> Iterator[Shown]:
    """How networks stand to algorithms, and the sections that the question names."""
    titles = {registered.name: registered for registered in registered_sections()}
    yield from _ratios(question, run)
    for name in question.shows:
        section = titles[name].make(run)
        if section is not None:
            yield from _shown(question, name, section.title or titles[name].title, section)


def _shown(question: Question, name: str, title: str, section: Section) -> Iterator[Shown]:
    figure = next((part for part in section.parts if isinstance(part, Figure)), None)
    if figure is not None:
        charts = {f"findings/{question.name}-{name}-{place}": chart for place, chart in enumerate(figure.charts)}
        leading = METRICS[LEADING[0]].title
        leading_first = dict(sorted(charts.items(), key=lambda item: not item[1].title.startswith(leading)))
        yield Shown(title, leading_first, figure.legend, section.lead, is_narrow=figure.small and name not in WIDE)


def _ratios(question: Question, run: ReportedRun) -> Iterator[Shown]:
    """The loss of each network over that of each algorithm, world by world, on one axis; shapes are verdicts."""
    ratios = {pair: ratio for pair, ratio in by_subject(run.networks_at_context, "loss_ratio").items() if ratio.value}
    verdicts = {item.subject: SERIES[item.finding.verdict] for item in network_findings(run).get(CLAIM, [])}
    charts = {}
    for place, world in enumerate(worlds_of(ratios)):
        pairs = {pair: ratio for pair, ratio in ratios.items() if pair.world == world}
        chart = _ratios_in(world, nearest(pairs) if len(pairs) > MOST else pairs, verdicts)
        charts[f"findings/{question.name}-ratios-{place}"] = chart
    if charts:
        title = "Loss of each network over that of algorithms"
        caption = "At 1 both err as much; to the left the network errs less."
        caption += " Whether two are the same is decided by their sensitivities too." * bool(verdicts)
        yield Shown(title, charts, (), caption, is_narrow=True)


def _ratios_in(world: str, pairs: Mapping[Subject, Number], verdicts: Mapping[Subject, str]) -> Chart:
    headings: list[Heading] = []
    points = []
    for network in dict.fromkeys(pair.network for pair in pairs):
        headings.append(Heading(f"“{network}” beside"))
        for pair, ratio in pairs.items():
            if pair.network == network:
                points.append({"row": len(headings), "series": verdicts.get(pair, UNTESTED), **bounded(ratio)})
                headings.append(Heading(pair.reference, ratio.value_text))
    data = pd.DataFrame(points)
    series = [*SERIES.values(), *([UNTESTED] if UNTESTED in set(data["series"]) else [])]
    axis = "ratio of losses (line: the same)"
    return headed_dots(data, world, headings, series, x=axis, is_log=True, is_one_line=True, level=1.0)


def nearest(pairs: Mapping[Subject, Number]) -> dict[Subject, Number]:
    """Of each network in a world the pair whose ratio of losses is nearest to one."""
    by_network: dict[Subject, list[Subject]] = {}
    for pair in pairs:
        by_network.setdefault(pair._replace(reference=""), []).append(pair)
    chosen = [min(members, key=lambda pair: distance(pairs[pair])) for members in by_network.values()]
    return {pair: pairs[pair] for pair in chosen}


def distance(ratio: Number) -> float:
    """How far a ratio is from one, in either direction."""
    return abs(log(ratio.value)) if ratio.value else inf


def _key(key: Key) -> str:
    dash = f' stroke-dasharray="{escape(key.dash)}"' if key.dash else ""
    line = f'<path d="M0 5H34" stroke="{escape(key.colour)}" stroke-width="{key.width}"{dash}/>'
    return f'<span><svg viewBox="0 0 34 10" aria-hidden="true">{line}</svg>{escape(key.label)}</span>'
