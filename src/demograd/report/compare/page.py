"""The page of a comparison: what differs, the verdicts, the matrices and every difference."""

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from demograd.metrics import METRICS
from demograd.report.charts.drawing import NUMBER, rules_in_the_dark
from demograd.report.charts.heat_map import heat_map
from demograd.report.compare.comparison import Comparison
from demograd.report.compare.differences import ScoreDifference, why_unpaired
from demograd.report.compare.verdicts import NOT_TESTED, ComparedVerdict
from demograd.report.matrices import MatchingMatrices, interaction
from demograd.report.page import content_security_policy
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
from demograd.report.subject import Variant, short_labels, world_labels
from demograd.statistics import SEEDS_FOR_SPECIFICITY, SEEDS_TO_DECIDE, number
from demograd.words import Setting

MOST_MAPS = 6
"""Pairs of heat maps."""
OUTCOMES = {"higher": "▲ higher", "lower": "▼ lower", "open": "open", "identical": "= identical"}
_TEMPLATES = Path(__file__).parent.parent / "templates"
_OWN_RULES = """
#settings table { width: 100%; }
#settings tbody th, #verdicts tbody th { min-width: min(20rem, 50vw); }
"""
_MARKS = {"supported": "✓ ", "contradicted": "✗ ", "not specific": "≈ "}
_LEAD_DIFFERENCES = (
    "Each run minus A, with a 95 % interval. p is corrected for all differences of its metric, of all runs together "
    "(Holm). “Higher” and “lower” are shown; “open” is not shown either way, and no finding that nothing differs; "
    "“identical” is the same value in every set, and for every query where these are known, which is not tested."
)
_PAIRED = (
    "Paired: both runs have the same demonstration sets and queries. By set and query: the folders hold the score of "
    "every query, and differences are tested query by query; their intervals are over sets and queries (crossed mean "
    "squares). By set: the differences of the sets are tested (Student’s t; of a specificity, over jackknife "
    "pseudo-values of the matrix of differences). Unpaired: the two means are tested as if the runs shared nothing "
    "(Welch; of a specificity, from jackknife means), which is wider where they share queries. The intervals of these "
    "two are over demonstration sets, and hold for these queries. There is no trait check here: two "
    "specificities may differ for a single trait of the sets, such as their length."
)


def render(comparison: Comparison) -> str:
    """The page as text: texts of runs are untrusted and escaped, charts have been checked."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    views = [
        {"name": name, "title": title, "section": section, "parts": _folded(section)}
        for name, title, section in _sections(comparison)
    ]
    style = (_TEMPLATES / "page.css").read_text(encoding="utf-8") + _OWN_RULES + rules_in_the_dark()
    return environment.get_template("compare.html.j2").render(
        runs=list(zip(comparison.letters, comparison.runs, strict=True)),
        views=views,
        policy=content_security_policy([style], []),
        style=Markup(style),
        number_word=NUMBER,
        next_number=count(1).__next__,
    )


def _folded(section: Section) -> list[tuple[Any, str]]:
    """The parts, and what stands in place of a table that has to be opened."""
    return [(part, part.folded if isinstance(part, Table) else "") for part in section.parts]


def _sections(comparison: Comparison) -> Iterator[tuple[str, str, Section]]:
    yield "settings", "What differs", _settings(comparison)
    if comparison.verdicts:
        yield "verdicts", "Verdicts", _verdicts(comparison)
    if maps := _maps(comparison):
        lead = (
            "Each row is ICL with one demonstration set, each column fine-tuning on one. If fine-tuning did what ICL "
            "does with the same demonstrations, the framed diagonal would glow. Maps of one pair share their colours: "
            "a score without the means of its row and its column, of which matching says nothing."
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
    matrices = [MatchingMatrices(run.matching) for run in comparison.runs]
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
            matrix = interaction(matrices[place].matrix(owner, LEADING[0]))
            if not matrix["value"].dropna().empty:
                maps[comparison.letters[place]] = matrix
        if len(maps) < 2:
            continue
        reach = max(float(matrix["value"].abs().max()) for matrix in maps.values())
        charts = [_map(matrix, letter, reach) for letter, matrix in maps.items()]
        figures += figure(charts, "", f"{METRICS[LEADING[0]].title}: {labels[subject]}", small=True)
    return tuple(figures)


def _map(matrix: Any, letter: str, reach: float) -> Chart:
    return heat_map(
        matrix,
        letter,
        x="FT on set",
        y="ICL with set",
        value="similarity beyond average",
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
        shown = sum(difference.outcome in ("higher", "lower") for difference in rows)
        folded = f"{title}: {shown} of {len(rows)} shown to differ" if place >= len(LEADING) else ""
        tables.append(Table(heads, groups, title=title, folded=folded))
    paired = sum(difference.paired != "no" for difference in differences)
    few = f"Fewer than {SEEDS_TO_DECIDE} sets decide nothing, of a specificity fewer than {SEEDS_FOR_SPECIFICITY}."
    lead = f"{paired} of {len(differences)} differences are paired. {_LEAD_DIFFERENCES}"
    return Section(tuple(tables), lead, (*why_unpaired(differences), _PAIRED, few))


def _row(difference: ScoreDifference) -> TableRow:
    test, p_value = difference.test, difference.decision.p_value
    tones: dict[str, Tone] = {"higher": "supported", "lower": "contradicted"}
    entries = (
        entry(difference.numbers[0]),
        entry(difference.numbers[1]),
        _difference_entry(difference),
        Entry(number.p_value(p_value)) if p_value == p_value else NOTHING,
        Entry(OUTCOMES[difference.outcome], tone=tones.get(difference.outcome, "undecided"), under=_why(difference)),
        Entry(difference.paired),
        Entry(str(test.n_seeds)) if test.n_seeds else NOTHING,
    )
    return TableRow(difference.score.words, entries)


def _why(difference: ScoreDifference) -> tuple[str, ...]:
    """Why nothing was tested, or decided for want of sets."""
    return (difference.decision.reason,) if difference.decision.p_value != difference.decision.p_value else ()


def _difference_entry(difference: ScoreDifference) -> Entry:
    """`+0.013`, its interval beneath."""
    shown = difference.number
    if shown.value is None:
        return NOTHING
    text, _, bounds = shown.signed.partition(" ")
    return Entry(text, under=(bounds,) if bounds else (), number=shown)


def variant_labels(variants: Sequence[Variant]) -> dict[Variant, str]:
    """`trec, abstract labels, k 24: GD, trained`, or `trec: not fine-tuned, trained`."""
    worlds = world_labels(variants)
    tuned = [variant for variant in variants if variant.method]
    methods = short_labels(tuned)
    return {
        variant: f"{worlds[variant]}: " + (methods[variant] if variant.method else f"not fine-tuned, {variant.weights}")
        for variant in variants
    }
