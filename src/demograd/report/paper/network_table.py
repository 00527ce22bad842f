"""The main table of a paper on a synthetic run: networks beside the algorithms that they are held against."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from demograd.report.networks import DEFINITIONS, by_subject, worlds_of
from demograd.report.paper.cells import Marks, add_marks, cell
from demograd.report.paper.exhibits import PaperTable, Position
from demograd.report.paper.facts import correction, counts, subject_of_run
from demograd.report.run import ReportedRun
from demograd.report.section import NOTHING, Entry, Head, Table, TableRow, entry, grouped
from demograd.report.sections.comparison import CLAIM, SHOWN
from demograd.statistics.number import NOT_MEASURED, Number
from demograd.words import Setting, Subject, listed


def network_table(run: ReportedRun, name: str) -> PaperTable | None:
    """A row for each network and algorithm that it is held against; None where there is no such pair."""
    rows = run.networks_at_context
    metrics = {metric: values for metric in SHOWN if (values := by_subject(rows, metric))}
    if not metrics:
        return None
    losses, of_references = by_subject(rows, "loss"), by_subject(rows, "loss", Setting.REFERENCE)
    pairs = dict.fromkeys(subject for values in metrics.values() for subject in values)
    marks, placed, lines, shown = Marks(), dict[Position, str](), [], list[Number]()
    for row, subject in enumerate(sorted(pairs, key=lambda subject: worlds_of(pairs).index(subject.world))):
        numbers = [
            losses.get(subject._replace(reference=""), NOT_MEASURED),
            of_references.get(subject._replace(network=""), NOT_MEASURED),
            *(values.get(subject, NOT_MEASURED) for values in metrics.values()),
        ]
        cells = tuple(NOTHING if number is NOT_MEASURED else _bounded_cell(number) for number in numbers)
        lines.append((subject.world, TableRow(subject.network, cells, under=(f"against {subject.reference}",))))
        shown += numbers
        add_marks(placed, (row, 0), _statement_marks(run, marks, subject))
    heads = (
        Head("network", "against"),
        Head("loss", "of the network"),
        Head("loss", "of the algorithm"),
        *(Head(DEFINITIONS[metric].title) for metric in metrics),
    )
    about = (counts(run), _fewer_sequences(run, metrics), _over(shown), correction(run))
    caption = (
        f"Small transformers against algorithms in {subject_of_run(run)}. A row is a network, trained on sequences of "
        "examples, and an algorithm that it is held against: one without training, whose step sizes and penalties are "
        f"tuned on other sequences. {' '.join(filter(None, about))}"
    )
    return PaperTable(name, caption, Table(heads, grouped(lines)), tuple(marks.notes), frozenset(), placed)


def _bounded_cell(number: Number) -> Entry:
    """A number with its interval; with its deviation where it has none."""
    return replace(entry(number), std="") if number.bounds else cell(number)


def _fewer_sequences(run: ReportedRun, metrics: Mapping[str, Mapping[Subject, Number]]) -> str:
    """`On the first 1,024 of them: sensitivity cosine.`: the metrics of fewer test sequences than the study has."""
    planned = run.study.get("test_sequences")
    fewer: dict[int, list[str]] = {}
    for metric, numbers in metrics.items():
        sequences = max((n.n + n.n_missing) // n.n_seeds if n.n_seeds else 0 for n in numbers.values())
        if isinstance(planned, int) and 0 < sequences < planned:
            fewer.setdefault(sequences, []).append(DEFINITIONS[metric].title)
    return " ".join(f"On the first {n:,} test sequences: {listed(titles)}." for n, titles in fewer.items())


def _over(numbers: Sequence[Number]) -> str:
    """What the means, and the intervals beneath them, of networks and algorithms are over."""
    kinds = {number.conditional for number in numbers if number.bounds}
    sentences = ["Means over training seeds"]
    if kinds:
        over = "training seeds and test sequences" if False in kinds else "test sequences alone"
        sentences.append(f"in brackets, 95 % intervals over {over}")
    if len(kinds) == 2:
        sentences.append("those called conditional are over test sequences alone, for an algorithm has no seed")
    return f"{'; '.join(sentences)}."


def _statement_marks(run: ReportedRun, marks: Marks, subject: Subject) -> list[str]:
    """The symbol of the verdict on network and reference."""
    return [
        marks.symbol(f"{claim['claim']}: {comparison['verdict']}", comparison["p_corrected"])
        for claim in run.claims["claims"]
        if claim["name"] == CLAIM
        for comparison in claim["comparisons"]
        if comparison["verdict"] != "undecided"
        and (comparison["task"], comparison["network"], comparison["reference"]) == tuple(subject)
    ]
