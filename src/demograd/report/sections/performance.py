"""Predictions in each setting: accuracy and its like, which show whether there is in-context learning."""

from demograd.metrics import METRICS
from demograd.report.captions import interval_note
from demograd.report.charts.dots import Dot, dot_chart
from demograd.report.run import ReportedRun
from demograd.report.scores import Scores, at_one_rate
from demograd.report.section import Figure, Head, Section, Table, TableRow, entry, figure, grouped, section
from demograd.report.subject import Variant, by_world, in_order, row_words, world_labels
from demograd.words import Control, Setting, listed

UNITS = {
    "auc": "chance of the right ranking (line: guessing)",
    "accuracy": "share of queries",
    "normalised_label_log_likelihood": "nats per query",
}
"""Metrics that are drawn, where they were measured → their units."""
GUESSING = {"auc": 0.5}
_LEAD = (
    "ZSL: the query alone (zero-shot). ICL: demonstrations before it in the prompt. FT: the model fine-tuned on them, "
    "and asked without them. AUC is the chance that a query’s class is ranked above another, 0.5 by guessing; accuracy "
    "the share of queries that are answered correctly."
)
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
    pictures = [
        part
        for world, members in by_world(_shown(scores, variants)).items()
        for part in _figure(scores, members, [name for name in UNITS if name in metrics], world)
    ]
    lead = " ".join(filter(None, (_sentence(scores, variants, metrics), _LEAD)))
    return Section((*pictures, *tables), lead, title="What the language model predicts" * run.is_synthetic)


def _row(scores: Scores, variant: Variant, setting: Setting, metrics: list[str], variants: list[Variant]) -> TableRow:
    rivals = [rival for rival in variants if rival.method == variant.method and variant.method]
    under = (f"on {setting.control.words}",) if setting.control else ()
    entries = tuple(entry(scores.get(variant, name, setting)) for name in metrics)
    name = f"FT by {variant.method}" if variant.method else setting
    return TableRow(name, entries, variant.weights, (*under, *row_words(variant, rivals)))


def _shown(scores: Scores, variants: list[Variant]) -> list[Variant]:
    """Those without fine-tuning, and each method at one rate."""
    one_rate = at_one_rate(scores)
    return [variant for variant in variants if variant.method is None or variant in one_rate]


def _figure(scores: Scores, variants: list[Variant], metrics: list[str], world: str) -> tuple[Figure, ...]:
    """A chart per metric: a row for each setting, a series for each state of the weights."""
    several = len({variant.weights for variant in variants}) > 1
    present = [
        (_name(variant, setting), variant, setting)
        for setting in _SETTINGS
        for variant in variants
        if any((variant, metric, setting) in scores.numbers for metric in metrics)
    ]
    charts, numbers = [], []
    for metric in metrics:
        dots = [
            Dot(name, scores.get(variant, metric, setting), _weights(variant) if several else "")
            for name, variant, setting in present
        ]
        numbers += [dot.number for dot in dots]
        charts.append(dot_chart(dots, METRICS[metric].title, UNITS[metric], level=GUESSING.get(metric)))
    return figure(charts, interval_note("Lines", numbers), world)


def _weights(variant: Variant) -> str:
    return variant.weights + f", initialisation {variant.initialisation}" * bool(variant.initialisation)


def _name(variant: Variant, setting: Setting) -> str:
    name = f"FT by {variant.method}" if variant.method else str(setting)
    return f"{name}, {setting.control.words}" if setting.control else name


def _sentence(scores: Scores, variants: list[Variant], metrics: list[str]) -> str:
    """What the first chart shows of the first world and weights."""
    metric = next((name for name in UNITS if name in metrics), None)
    if metric is None:
        return ""
    first = variants[0].untuned
    tuned = [variant for variant in _shown(scores, variants) if variant.untuned == first and variant.method]
    clauses = [
        f"{scores.get(first, metric, setting).with_bounds} {words}"
        for setting, words in ((Setting.ZSL, "without demonstrations (ZSL)"), (Setting.ICL, "with them (ICL)"))
        if (first, metric, setting) in scores.numbers
    ]
    methods = [
        f"{scores.get(variant, metric, Setting.FT).with_bounds} by {variant.method}"
        for variant in tuned
        if (variant, metric, Setting.FT) in scores.numbers
    ]
    if methods:
        clauses.append(f"after fine-tuning {listed(methods)}")
    return f"On {first.task}, with {first.weights} weights, {METRICS[metric].title} is {'; '.join(clauses)}."
