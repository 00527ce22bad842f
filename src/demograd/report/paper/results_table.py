"""The main table of a paper: methods and weights by the leading scores, or networks by their references."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from demograd.metrics import METRICS
from demograd.report.paper.cells import Marks, add_marks, cell
from demograd.report.paper.exhibits import PaperTable, Position
from demograd.report.paper.facts import correction, counts, subject_of_run
from demograd.report.paper.network_table import network_table
from demograd.report.run import Check, ReportedRun
from demograd.report.scores import LEADING, Column
from demograd.report.section import NOTHING, Head, Table, TableRow, grouped
from demograd.report.sections.claims import deciding_p
from demograd.report.subject import Variant, row_words, world_labels
from demograd.statistics.number import NOT_MEASURED, Number, percents
from demograd.words import Control, Setting, Weights

NAME = "results"
_SIZE, _PREDICTED = "update_size_ratio", "auc"
_BEST = (
    "Bold: of the trained model’s fine-tunings that passed both gates, the highest mean of a column, where its whole "
    "95 % interval lies above those of all others of its block; in AUC, zero-shot and ICL are compared with them. "
    "Reordered ICL is the ceiling, and is not compared; the ratio of sizes has no better or worse."
)
_NONE_BEST = (
    "No cell is in bold: of no column does one interval lie above those of all others, among the trained model’s "
    "fine-tunings that passed both gates."
)
_FAILED = {
    "in_context_learning": "In-context learning was not shown there, which decides no claim about it",
    "fine_tuning": "Fine-tuning was not shown to learn anything there, which decides no claim about it",
}
Row = tuple[str, TableRow, Variant]
"""World, row, and what it is about: without a method in the rows of ZSL and ICL."""


def results_table(run: ReportedRun) -> PaperTable | None:
    """The main table of a run; None where it has neither fine-tuning nor networks held against references."""
    if run.scores.tuned():
        return _of_language_model(run)
    return network_table(run, NAME) if run.is_synthetic else None


def _of_language_model(run: ReportedRun) -> PaperTable:
    columns = _columns(run)
    rows = list(_rows(run, columns))
    marks = Marks()
    placed: dict[Position, str] = {}
    for number, (_, _, variant) in enumerate(rows):
        if variant.method:
            for place, column in enumerate(columns, start=1):
                add_marks(placed, (number, place), _claim_marks(run, marks, variant, column))
            add_marks(placed, (number, 0), _check_marks(run, marks, variant))
    lines = [(world, row) for world, row, _ in rows]
    table = Table((Head("method, weights"), *map(_head, columns)), grouped(lines))
    best = frozenset(_best(run, rows, columns))
    notes = [_BEST if best else _NONE_BEST, *marks.notes, *_missing(rows, columns)]
    shown = [cell.number for _, row, _ in rows for cell in row.entries if cell.number is not None]
    about = " ".join(filter(None, (_how_shown(shown), counts(run), correction(run))))
    caption = f"In-context learning against fine-tuning: {subject_of_run(run)}. {about}"
    return PaperTable(NAME, caption, table, tuple(notes), best, placed)


def _how_shown(numbers: Sequence[Number]) -> str:
    """What stands beside the means of a table, and in brackets beneath those without a deviation."""
    means = [number for number in numbers if number.value is not None]
    over = {number.conditional for number in means if number.bounds and number.std is None}
    sentences = {
        False: "in brackets, 95 % intervals over demonstration sets and queries",
        True: "95 % intervals called conditional are over queries alone, and conditional on these demonstrations",
    }
    deviation = " ± standard deviation" * any(number.std is not None for number in means)
    return f"{'; '.join((f'Mean{deviation} over demonstration sets', *(sentences[kind] for kind in sorted(over))))}."


def _columns(run: ReportedRun) -> list[Column]:
    """Each leading score and its specificity, against the first control that it was measured against; the ratio of the
    updates' sizes; and what the model predicts."""
    scores = run.scores
    measured = {metric for _, metric, _ in scores.numbers}
    columns = []
    for metric in LEADING:
        if metric in measured:
            columns.append(Column(metric, Setting.FT, METRICS[metric].title))
            controls = [
                control for control in Control if any(key[1:] == (metric, control) for key in scores.specificities)
            ]
            columns += [Column(metric, Setting.FT, METRICS[metric].title, control) for control in controls[:1]]
    others = [name for name in (_SIZE, _PREDICTED) if name in measured]
    return columns + [Column(name, Setting.FT, METRICS[name].title) for name in others]


def _head(column: Column) -> Head:
    return Head(column.title, column.under.replace("specificity vs", "specificity,") if column.versus else "")


def _rows(run: ReportedRun, columns: Sequence[Column]) -> Iterator[Row]:
    """ZSL, ICL and reordered ICL of each state of the weights, then fine-tuning."""
    variants = run.scores.tuned()
    worlds = world_labels(variants)
    for world in dict.fromkeys(worlds.values()):
        members = [variant for variant in variants if worlds[variant] == world]
        for untuned in dict.fromkeys(variant.untuned for variant in members):
            for setting in (Setting.ZSL, Setting.ICL, Setting.ICL_REORDERED):
                numbers = [_untuned(run, untuned, column, setting) for column in columns]
                if any(number is not NOT_MEASURED for number in numbers):
                    cells = tuple(NOTHING if number is NOT_MEASURED else cell(number) for number in numbers)
                    yield world, TableRow(setting.words, cells, untuned.weights, _initialisation(untuned)), untuned
        for variant in members:
            rivals = [rival for rival in members if rival.method == variant.method]
            cells = tuple(cell(run.scores.column(variant, column)) for column in columns)
            yield world, TableRow(variant.method or "", cells, variant.weights, row_words(variant, rivals)), variant
    yield from _over_tasks(run, columns)


def _over_tasks(run: ReportedRun, columns: Sequence[Column]) -> Iterator[Row]:
    """The means over the tasks of a run that has several (Deutch 2024, Table 2: Average)."""
    means, scores = run.means_over_tasks.tuned(), run.means_over_tasks
    for variant, world in world_labels(means).items():
        numbers = [NOT_MEASURED if column.versus else scores.column(variant, column) for column in columns]
        cells = tuple(NOTHING if number is NOT_MEASURED else cell(number) for number in numbers)
        yield f"mean over {world}", TableRow(variant.method or "", cells, variant.weights), variant


def _initialisation(variant: Variant) -> tuple[str, ...]:
    return (f"initialisation {variant.initialisation}",) if variant.initialisation else ()


def _untuned(run: ReportedRun, untuned: Variant, column: Column, setting: Setting) -> Number:
    """What ZSL and ICL predict; of reordered ICL, how alike ICL is to itself."""
    is_shown = column.versus is None and (column.metric == _PREDICTED) != (setting == Setting.ICL_REORDERED)
    return run.scores.numbers.get((untuned, column.metric, setting), NOT_MEASURED) if is_shown else NOT_MEASURED


def _missing(rows: Sequence[Row], columns: Sequence[Column]) -> Iterator[str]:
    """A sentence on the values that are left out of each column."""
    for place, column in enumerate(columns):
        if column.versus is not None:  # counted in pairs of sets, of which a layer may be missing
            continue
        numbers = [row.entries[place].number for _, row, _ in rows]
        shares = [
            number.n_missing / (number.n + number.n_missing)
            for number in numbers
            if number is not None and number.value is not None and number.n_missing
        ]
        if shares:
            yield f"{column.name}: up to {percents(max(shares))} % of a row’s values are missing, and left out."


def _claim_marks(run: ReportedRun, marks: Marks, variant: Variant, column: Column) -> list[str]:
    """The symbols of the claims that were decided about a score, by its corrected p."""
    symbols = []
    for claim in run.claims["claims"]:
        for comparison in claim["comparisons"]:
            if comparison["verdict"] != "undecided" and _is_about(comparison, variant, column):
                p_value, hypothesis = deciding_p(comparison)
                meaning = f"{claim['claim']}: {comparison['verdict']}{f'; p {hypothesis}' * bool(hypothesis)}"
                symbols.append(marks.symbol(meaning, p_value))
    return list(dict.fromkeys(symbols))


def _is_about(comparison: Mapping[str, Any], variant: Variant, column: Column) -> bool:
    """Whether a comparison's left side is this number, or its two sides this specificity."""
    left, right = comparison.get("left_side"), comparison.get("right_side")
    if not left or left.get("metric") != column.metric or not _is_at_one_rate(comparison):
        return False
    against = right.get("setting") if isinstance(right, Mapping) else None
    is_specificity = comparison.get("matching") is not None or against in {control.setting for control in Control}
    if is_specificity != (column.versus is not None) or (column.versus and against != column.versus.setting):
        return False
    about = {"task": comparison["task"], "labels": comparison.get("labels"), "k": comparison["k"], **left}
    if comparison.get("initialisation") is not None:
        about["initialisation"] = comparison["initialisation"]
    names = ("task", "labels", "k", "model", "method", "weights", "initialisation", "learning_rate")
    return left.get("setting", Setting.FT) == Setting.FT and all(
        about[name] in (None, getattr(variant, name)) for name in names if name in about
    )


def _is_at_one_rate(comparison: Mapping[str, Any]) -> bool:
    """Whether it compares the scores that the table shows, and nothing read between learning rates."""
    return comparison.get("place", "") == "" or str(comparison["place"]).startswith("at one learning rate")


def _check_marks(run: ReportedRun, marks: Marks, variant: Variant) -> list[str]:
    """The symbols of the gates that a row did not pass."""
    return [
        marks.symbol(meaning)
        for name, meaning in _FAILED.items()
        if not all(check.passed for check in _gates(run, name, variant))
    ]


def _gates(run: ReportedRun, name: str, variant: Variant) -> list[Check]:
    """The checks of this name that are about a row."""
    return [check for check in run.validity if check.check == name and _is_of(check, variant)]


def _is_of(check: Check, variant: Variant) -> bool:
    if (check.weights, check.task) != (variant.weights, variant.task):
        return False
    same = all(getattr(check, field) in (None, getattr(variant, field)) for field in ("labels", "k", "model")) and (
        check.initialisation or 0
    ) == (variant.initialisation or 0)
    return same and check.method in (None, variant.method, f"{variant.method} {variant.texts['learning_rate']}")


def _best(run: ReportedRun, rows: Sequence[Row], columns: Sequence[Column]) -> Iterator[Position]:
    """The highest mean of each column and world, where its interval lies above all that it is compared with."""
    compared = [_is_compared(run, variant) for _, _, variant in rows]
    for place, column in enumerate(columns, start=1):
        if column.metric == _SIZE:
            continue
        for world in dict.fromkeys(world for world, _, _ in rows):
            numbers = {
                number: row.entries[place - 1].number or NOT_MEASURED
                for number, (of_world, row, variant) in enumerate(rows)
                if of_world == world and compared[number] and (variant.method or column.metric == _PREDICTED)
            }
            shown = {number: value for number, value in numbers.items() if value.value is not None}
            if len(shown) < 2 or any(value.low is None or value.conditional for value in shown.values()):
                continue
            highest = max(shown, key=lambda number: shown[number].value or 0.0)
            low = shown[highest].low
            if all(low > value.high for number, value in shown.items() if number != highest):  # type: ignore[operator]
                yield highest, place


def _is_compared(run: ReportedRun, variant: Variant) -> bool:
    """Whether a row is of trained weights and, if of a fine-tuning, is shown to have passed both gates."""
    gates = [_gates(run, name, variant) for name in _FAILED] if variant.method else []
    return variant.weights == Weights.TRAINED and all(checks and all(c.passed for c in checks) for checks in gates)
