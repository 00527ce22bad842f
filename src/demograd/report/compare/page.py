"""The page of a comparison: what differs, the verdicts, the matrices and every difference."""

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import jinja2

from demograd.metrics import METRICS
from demograd.report.charts.drawing import NUMBER
from demograd.report.charts.heat_map import heat_map
from demograd.report.compare.comparison import Comparison
from demograd.report.compare.differences import ScoreDifference
from demograd.report.compare.verdicts import NOT_TESTED, ComparedVerdict
from demograd.report.scores import LEADING
from demograd.report.section import (
    NOTHING,
    Chart,
    Entry,
    Figure,
    Group,
    Head,
    Section,
    Table,
    TableRow,
    Tone,
    entry,
    figure,
    grouped,
)
from demograd.report.sections.matching import Matrices
from demograd.report.subject import Variant, short_labels, world_labels
from demograd.statistics import SEEDS_TO_DECIDE
from demograd.statistics.number import Number, formatted, scientific
from demograd.words import Setting

MOST_MAPS = 6
"""Pairs of heat maps."""
OUTCOMES = {"higher": "▲ higher", "lower": "▼ lower", "open": "open"}
_MARKS = {"supported": "✓ ", "contradicted": "✗ ", "not specific": "≈ "}
_LEAD_DIFFERENCES = (
    "Each run minus A, with a 95 % interval. p is corrected for all differences of its metric (Holm). “Higher” and "
    "“lower” are shown; “open” is not shown either way, and no finding that nothing differs."
)
_PAIRED = (
    "Paired by set: both runs have the same demonstration sets and queries, and the differences are tested set by set "
    "(Student’s t; of a specificity, by permutations of the pairing of the matrix of differences). Unpaired: the two "
    "means are tested as if the runs shared nothing (Welch; of a specificity, from jackknife means), which is wider "
    "where they share queries. The intervals are over demonstration sets, and hold for these queries."
)


def render(comparison: Comparison) -> str:
    """The page as text: texts of runs are untrusted and escaped, charts have been checked."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent.parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    views = [{"name": name, "title": title, "section": section} for name, title, section in _sections(comparison)]
    return environment.get_template("compare.html.j2").render(
        runs=list(zip(comparison.letters, comparison.runs, strict=True)),
        views=views,
        number_word=NUMBER,
        next_number=count(1).__next__,
    )


def _sections(comparison: Comparison) -> Iterator[tuple[str, str, Section]]:
    yield "settings", "What differs", _settings(comparison)
    if comparison.verdicts:
        yield "verdicts", "Verdicts", _verdicts(comparison)
    if maps := _maps(comparison):
        lead = (
            "Each row is ICL with one demonstration set, each column fine-tuning on one. If fine-tuning did what ICL "
            "does with the same demonstrations, the framed diagonal would glow. Maps of one pair share their colours: "
            "a score minus the mean of the mismatched pairs of its own map."
        )
        yield "matching", "Matching", Section(maps, lead)
    for letter, differences in comparison.differences.items():
        yield f"differences-{letter}", f"{letter} minus A", _differences(letter, differences)


def _settings(comparison: Comparison) -> Section:
    if not comparison.settings:
        return Section((), "Nothing: study and provenance agree in every setting.")
    groups = {
        title: tuple(
            TableRow(setting.name, tuple(map(Entry, setting.texts)))
            for setting in comparison.settings
            if setting.is_provenance == is_provenance
        )
        for title, is_provenance in (("The study", False), ("What it ran on", True))
    }
    heads = (Head("setting"), *(Head(letter, words=True) for letter in comparison.letters))
    return Section((Table(heads, tuple(Group(title, rows) for title, rows in groups.items() if rows)),))


def _verdicts(comparison: Comparison) -> Section:
    changed = [verdict for verdict in comparison.verdicts if not verdict.is_same]
    same = [verdict for verdict in comparison.verdicts if verdict.is_same]
    lead = (
        f"{len(changed)} of {len(comparison.verdicts)} comparisons behind the papers’ claims have another verdict, or "
        "are not tested in every run. Verdicts are those of each run’s own claims."
    )
    heads = (
        Head("what is compared"),
        *(Head(letter, words=True) for letter in comparison.letters),
        Head("change", words=True),
    )
    tables = [Table(heads, _by_claim(changed))] if changed else []
    if same:
        tables.append(Table(heads, _by_claim(same), folded=f"{len(same)} with the same verdict in every run"))
    return Section(tuple(tables), lead)


def _by_claim(verdicts: Sequence[ComparedVerdict]) -> tuple[Group, ...]:
    rows = [
        (verdict.claim, TableRow(verdict.compared, (*map(_verdict, verdict.verdicts), Entry(verdict.change))))
        for verdict in verdicts
    ]
    return tuple(Group(claim, tuple(row for of_claim, row in rows if of_claim == claim)) for claim in dict(rows))


def _verdict(verdict: str) -> Entry:
    if verdict == NOT_TESTED:
        return Entry(verdict, tone="absent")
    tones: dict[str, Tone] = {"supported": "supported", "contradicted": "contradicted", "not specific": "not-specific"}
    return Entry(f"{_MARKS.get(verdict, '')}{verdict}", tone=tones.get(verdict, "undecided"))


def _maps(comparison: Comparison) -> tuple[Figure, ...]:
    """The matrices of the leading score in all runs beside each other, for each method."""
    matrices = [Matrices(run.matching) for run in comparison.runs]
    by_subject: dict[Variant, dict[int, Variant]] = {}
    for place, differences in enumerate(comparison.differences.values(), 1):
        for difference in differences:
            if (difference.score.metric, difference.score.setting) == (LEADING[0], Setting.FT):
                by_subject.setdefault(difference.variants[0], {})[place] = difference.variants[1]
    labels = variant_labels(list(by_subject))
    figures: list[Figure] = []
    for subject, others in list(by_subject.items())[:MOST_MAPS]:
        maps = {}
        for place, owner in {0: subject, **others}.items():
            mismatched = matrices[place].mismatched(owner, LEADING[0])
            if mismatched is not None:
                matrix = matrices[place].matrix(owner, LEADING[0])
                maps[comparison.letters[place]] = matrix.assign(value=matrix["value"] - mismatched)
        if len(maps) < 2:
            continue
        reach = max(float(matrix["value"].abs().max()) for matrix in maps.values())
        charts = [_map(matrix, letter, reach) for letter, matrix in maps.items()]
        figures += figure(charts, "", f"{METRICS[LEADING[0]].title}: {labels[subject]}", small=True)
    return tuple(figures)


def _map(matrix: Any, letter: str, reach: float) -> Chart:
    title = METRICS[LEADING[0]].title
    return heat_map(
        matrix,
        letter,
        x="FT on set",
        y="ICL with set",
        value=f"{title} − mismatched",
        colours="signed",
        downwards=True,
        reach=reach,
        is_diagonal_framed=True,
    )


def _differences(letter: str, differences: Sequence[ScoreDifference]) -> Section:
    """A table for each metric, the leading ones open."""
    if not differences:
        return Section((), f"No score of {letter} has a counterpart in A.")
    metrics = list(dict.fromkeys(difference.score.metric for difference in differences))
    metrics = [*(metric for metric in LEADING if metric in metrics), *(name for name in metrics if name not in LEADING)]
    labels = variant_labels(list(dict.fromkeys(difference.variants[0] for difference in differences)))
    heads = (
        Head("score"),
        Head("A"),
        Head(letter),
        Head(f"{letter} − A", "95 % interval"),
        Head("corrected p"),
        Head("outcome", words=True),
        Head("paired", words=True),
        Head("sets"),
    )
    tables = []
    for place, metric in enumerate(metrics):
        rows = [difference for difference in differences if difference.score.metric == metric]
        rows.sort(key=lambda difference: difference.variants[0].method is None)  # what was fine-tuned comes first
        title = rows[0].score.title
        groups = grouped([(labels[difference.variants[0]], _row(difference)) for difference in rows])
        shown = sum(difference.outcome != "open" for difference in rows)
        folded = f"{title}: {shown} of {len(rows)} shown to differ" if place >= len(LEADING) else ""
        tables.append(Table(heads, groups, title=title, folded=folded))
    paired = sum(difference.paired != "no" for difference in differences)
    why = next((difference.why_unpaired for difference in differences if difference.why_unpaired), ())
    reasons = (f"Unpaired because these differ: {', '.join(why)}.",) if why else ()
    few = (f"Fewer than {SEEDS_TO_DECIDE} demonstration sets decide nothing.",)
    lead = f"{paired} of {len(differences)} differences are paired. {_LEAD_DIFFERENCES}"
    return Section(tuple(tables), lead, (*reasons, _PAIRED, *few))


def _row(difference: ScoreDifference) -> TableRow:
    test, p_value = difference.test, difference.decision.p_value
    tones: dict[str, Tone] = {"higher": "supported", "lower": "contradicted"}
    entries = (
        entry(difference.numbers[0]),
        entry(difference.numbers[1]),
        difference_entry(difference),
        Entry(p_text(p_value)) if p_value == p_value else NOTHING,
        Entry(OUTCOMES[difference.outcome], tone=tones.get(difference.outcome, "undecided"), under=_why(difference)),
        Entry(difference.paired),
        Entry(str(test.n_seeds)) if test.n_seeds else NOTHING,
    )
    return TableRow(difference.score.words, entries)


def _why(difference: ScoreDifference) -> tuple[str, ...]:
    """Why nothing was tested, or decided for want of sets."""
    return (difference.decision.reason,) if difference.decision.p_value != difference.decision.p_value else ()


def difference_entry(difference: ScoreDifference) -> Entry:
    """`+0.013`, its interval beneath."""
    test = difference.test
    if test.difference != test.difference:
        return NOTHING
    low, high = (test.interval.low, test.interval.high) if test.interval else (None, None)
    number = Number(test.difference, None, low, high, False, 0, 0, test.n_seeds, "ok")
    shown = entry(number)
    return Entry(f"+{shown.text}" if test.difference > 0 else shown.text, under=shown.under)


def p_text(p_value: float) -> str:
    """`0.021`, `1.23e−6`."""
    return formatted(p_value) if p_value >= 0.001 else scientific(p_value)


def variant_labels(variants: Sequence[Variant]) -> dict[Variant, str]:
    """`trec, abstract labels, k 24: GD, trained`, or `trec: not fine-tuned, trained`."""
    worlds = world_labels(variants)
    tuned = [variant for variant in variants if variant.method]
    methods = short_labels(tuned)
    return {
        variant: f"{worlds[variant]}: " + (methods[variant] if variant.method else f"not fine-tuned, {variant.weights}")
        for variant in variants
    }
