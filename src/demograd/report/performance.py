"""What the model predicts in each setting: accuracy and its like, which show whether there is in-context learning."""

from demograd.metrics import METRICS
from demograd.report.scores import Scores
from demograd.report.section import Head, Row, Section, Table, entry, grouped
from demograd.report.variant import Variant, in_order, row_words, world_labels
from demograd.words import Control, Setting

FEW = 24
"""Rows that are all shown at once; in a longer run, those of fine-tuning have to be opened."""
_SETTINGS = (Setting.ZSL, Setting.ICL, Setting.FT, *(control.setting for control in Control))


def performance_section(scores: Scores) -> Section | None:
    """Per task and weights: ZSL and ICL, then FT and its controls."""
    metrics = [name for name, metric in METRICS.items() if metric.kind == "performance" and len(metric.arguments) == 1]
    measured = dict.fromkeys(
        (of, setting)
        for of, metric, setting in scores.cells
        if metric in metrics and setting in _SETTINGS and of.selection == "all"
    )
    metrics = [name for name in metrics if any(metric == name for _, metric, _ in scores.cells)]
    variants = in_order(of for of, _ in measured)
    worlds = world_labels(variants)
    lines = [
        (worlds[of], _row(scores, of, setting, metrics, variants))
        for world in in_order(of.untuned for of in variants)
        for of in variants
        if of.untuned == world
        for setting in _SETTINGS
        if (of, setting) in measured
    ]
    if not lines:
        return None
    heads = (Head("setting, weights"), *(Head(METRICS[name].title) for name in metrics))
    untuned = [(world, row) for world, row in lines if row.name in (Setting.ZSL, Setting.ICL)]
    if len(lines) <= FEW:
        tables = [Table(heads, grouped(lines))]
    else:
        tables = [Table(heads, grouped(untuned)), Table(heads, grouped(lines), folded="The same with fine-tuning")]
    return Section("performance", "What the model predicts", "", tuple(tables))


def _row(scores: Scores, of: Variant, setting: Setting, metrics: list[str], variants: list[Variant]) -> Row:
    among = [other for other in variants if other.method == of.method and of.method]
    control = setting.control
    under = (f"on {control.words}",) if control else ()
    entries = tuple(entry(scores.get(of, name, setting)) for name in metrics)
    name = f"FT by {of.method}" if of.method else setting
    return Row(name, entries, of.weights, (*under, *row_words(of, among)))
