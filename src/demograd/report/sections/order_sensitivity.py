"""The dependence of the output on the order of the demonstrations (Shen 2023, Figure 4): in ICL and FT, and of small
networks, constructions and references."""

from dataclasses import replace

from demograd.report.captions import interval_note
from demograd.report.charts.dots import Dot, dot_chart
from demograd.report.networks import by_subject
from demograd.report.run import ReportedRun
from demograd.report.section import Figure, Head, Section, Table, TableRow, Tone, entry, figure, grouped, section
from demograd.report.subject import Variant, by_world, short_labels, world_labels
from demograd.statistics.number import Number
from demograd.words import Setting

METRIC = "order_sensitivity"
FEW = 10
"""Numbers that are shown at once beneath the dots."""
_LEAD = (
    "It is the standard deviation of the next-token probabilities over orders of the same demonstrations, mean over "
    "vocabulary and queries. Equal algorithms have equal order sensitivity (Shen 2023, Theorem 1); full-batch GD has "
    "none, up to rounding."
)


@section("Does the order matter?", order=180, brief="Order")
def order_sensitivity_section(run: ReportedRun) -> Section | None:
    """Order sensitivity of a language model, or of a synthetic run's learners."""
    return _of_networks(run) if run.is_synthetic else _of_language_model(run)


def _of_language_model(run: ReportedRun) -> Section | None:
    """Dots with intervals, and the numbers."""
    spreads = {**run.scores.by_variant(METRIC, Setting.ICL), **run.scores.by_variant(METRIC, Setting.FT)}
    if not spreads:
        return None
    worlds = world_labels(spreads)
    lines, charts = [], []
    for title, variants in by_world(spreads).items():
        labels = short_labels(variants)
        lines += [(worlds[variant], TableRow(label, (entry(spreads[variant]),))) for variant, label in labels.items()]
        dots = [Dot(label, spreads[variant]) for variant, label in labels.items()]
        charts.append(dot_chart(dots, title or "Over orders", "standard deviation of a probability", zero=True))
    folded = "All numbers" if len(lines) > FEW else ""
    table = Table((Head("setting"), Head("order sensitivity")), grouped(lines), folded=folded)
    return Section((*figure(charts, interval_note("Lines", spreads.values())), table), f"{_sentence(spreads)} {_LEAD}")


def _sentence(spreads: dict[Variant, Number]) -> str:
    """The first of ICL beside the methods of the same world."""
    first = next(iter(spreads)).untuned
    labels = {variant: variant.method or "ICL" for variant in spreads if variant.untuned == first}
    numbers = (f"{spreads[variant].with_bounds} of {label}" for variant, label in labels.items())
    return f"Order sensitivity on {first.task} ({first.weights}): {'; '.join(numbers)}."


RELATIVE = "order_sensitivity_relative"
_RELATIVE_LEAD = (
    "It is the standard deviation of the prediction over orders of the same examples, over the root mean square "
    "prediction. Attention without positions, and GD on all examples at once, do not know an order: what they have is "
    "rounding. A “causal” construction is the same layers under the mask that language models have, where each token "
    "sees itself and those before it: of two layers or more it depends on the order, without positions and without "
    "having been trained."
)
_UNITS = (
    "Of the language model it is the standard deviation of next-token probabilities, mean over a vocabulary most of "
    "which is never likely. The units differ, so only whether there is any sensitivity can be compared, not how much."
)
_KINDS = {Setting.TF: "network", Setting.CONSTRUCTION: "construction", Setting.REFERENCE: "reference"}
_TONES: dict[str, Tone] = {Setting.TF: "", Setting.CONSTRUCTION: "reference", Setting.REFERENCE: "reference"}


def _of_networks(run: ReportedRun) -> Section | None:
    """A row per learner; then the language model's, if the folder has one."""
    spreads = {setting: by_subject(run.networks_at_context, RELATIVE, setting) for setting in _KINDS}
    lines = [
        (
            subject.world,
            TableRow(subject.network or subject.reference, (entry(number),), _KINDS[setting], tone=_TONES[setting]),
        )
        for setting, numbers in spreads.items()
        for subject, number in numbers.items()
        # a construction's layers stand for the algorithm
        if setting != Setting.REFERENCE or subject not in spreads[Setting.CONSTRUCTION]
    ]
    beside = _of_language_model(run)
    if not lines:
        return beside
    table = Table((Head("", "shaded: not trained"), Head("relative order sensitivity")), grouped(lines))
    if not beside:
        return Section((table,), _RELATIVE_LEAD)
    models = dict.fromkeys(variant.model for variant, metric, _ in run.scores.numbers if metric == METRIC)
    first, *rest = beside.parts
    assert isinstance(first, Figure | Table), "what a language model measured is static"
    first = replace(first, title=f"Beside it, {', '.join(models)}")
    return Section((table, first, *rest), _RELATIVE_LEAD, (_UNITS,))
