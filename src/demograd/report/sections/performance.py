"""Predictions in each setting: accuracy and its like, which show whether there is in-context learning."""

from demograd.metrics import METRICS
from demograd.report.run import ReportedRun
from demograd.report.scores import Scores
from demograd.report.section import Head, Section, Table, TableRow, entry, grouped, section
from demograd.report.subject import Variant, in_order, row_words, world_labels
from demograd.words import Control, Setting

FEW = 24
"""Rows that are all shown at once; in a longer run, those of fine-tuning have to be opened."""
_SETTINGS = (Setting.ZSL, Setting.ICL, Setting.FT, *(control.setting for control in Control))


@section("What the model predicts", order=230, brief="Predictions")
def performance_section(run: ReportedRun) -> Section | None:
    """Per task and weights: ZSL and ICL, then FT and its controls."""
    scores = run.scores
    metrics = [name for name, metric in METRICS.items() if metric.arguments == ("observation",)]
    metrics = [name for name in metrics if any(metric == name for _, metric, _ in scores.numbers)]
    measured = dict.fromkeys(
        (variant, Setting(setting))
        for variant, metric, setting in scores.numbers
        if metric in metrics and setting in _SETTINGS and variant.selection == "all"
    )
    if not measured:
        return None
    variants = in_order(variant for variant, _ in measured)
    worlds = world_labels(variants)
    lines = [
        (worlds[variant], _row(scores, variant, setting, metrics, variants))
        for world in in_order(variant.untuned for variant in variants)
        for variant in variants
        if variant.untuned == world
        for setting in _SETTINGS
        if (variant, setting) in measured
    ]
    heads = (Head("setting, weights"), *(Head(METRICS[name].title) for name in metrics))
    tables = [Table(heads, grouped(lines))]
    if len(lines) > FEW:
        untuned = [(world, row) for world, row in lines if row.name in (Setting.ZSL, Setting.ICL)]
        tables = [Table(heads, grouped(untuned)), Table(heads, grouped(lines), folded="The same with fine-tuning")]
    return Section(tuple(tables), title="What the language model predicts" * run.is_synthetic)


def _row(scores: Scores, variant: Variant, setting: Setting, metrics: list[str], variants: list[Variant]) -> TableRow:
    rivals = [rival for rival in variants if rival.method == variant.method and variant.method]
    under = (f"on {setting.control.words}",) if setting.control else ()
    entries = tuple(entry(scores.get(variant, name, setting)) for name in metrics)
    name = f"FT by {variant.method}" if variant.method else setting
    return TableRow(name, entries, variant.weights, (*under, *row_words(variant, rivals)))
