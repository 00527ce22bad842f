"""Whether ICL and FT attend to the same demonstrations, beside what chance gives (Dai 2023)."""

from collections.abc import Iterable

from demograd.report.captions import interval_note
from demograd.report.charts.dots import Dot, dot_chart
from demograd.report.run import ReportedRun
from demograd.report.scores import Scores, at_one_rate
from demograd.report.section import Entry, Figure, Head, Section, Table, entry, figure, section
from demograd.report.subject import Variant, by_world, short_labels, variant_rows
from demograd.words import Setting

SHOWN = tuple(
    f"attention_{statistic}_by_{unit}" for statistic in ("kendall", "recall") for unit in ("token", "demonstration")
)
_HEADS = (
    Head("Kendall’s τ", "by token"),
    Head("Kendall’s τ", "by demonstration"),
    Head("top recall", "by token"),
    Head("top recall", "by demonstration"),
)
_LEAD = (
    "Kendall’s τ says how alike two rankings are (1: the same, 0: unrelated), top recall which share of the highest "
    "ranks they have in common. Here of the demonstrations: in ICL by attention, in FT by inner products of the "
    "query’s q vector with those of the training tokens. Beside each number, what random weights in FT’s place give."
)


@section("Attention to the demonstrations", order=190, brief="Attention")
def attention_section(run: ReportedRun) -> Section | None:
    """A table with a row per method and weights."""
    scores = run.scores
    measured = {name: numbers for name in SHOWN if (numbers := scores.by_variant(name, Setting.FT))}
    if not measured:
        return None

    def beside_chance(variant: Variant, name: str) -> Entry:
        score, chance = entry(scores.get(variant, name, Setting.FT)), scores.get(variant, f"random_{name}", Setting.FT)
        under = f"random {chance.value_text} {chance.bounds}{' conditional' * chance.marked}".strip()
        return Entry(score.text, score.std, (*score.under, under), score.tone, score.number)

    variants = [variant for variant in scores.tuned() if any(variant in numbers for numbers in measured.values())]
    rows = variant_rows(variants, lambda variant: (beside_chance(variant, name) for name in measured))
    heads = (Head("method, weights"), *(head for name, head in zip(SHOWN, _HEADS, strict=True) if name in measured))
    shown = [variant for variant in at_one_rate(scores) if variant in variants]
    pictures = [
        part for world, members in by_world(shown).items() for part in _figure(scores, members, list(measured), world)
    ]
    return Section((*pictures, Table(heads, rows)), f"{_sentence(scores, shown[0], measured)} {_LEAD}")


def _figure(scores: Scores, variants: list[Variant], metrics: list[str], world: str) -> tuple[Figure, ...]:
    """A chart per statistic: FT's number beside that of random weights."""
    labels, charts, numbers = short_labels(variants), [], []
    for name in metrics:
        dots = [
            Dot(label, scores.get(variant, metric, Setting.FT), series)
            for variant, label in labels.items()
            for metric, series in ((name, "fine-tuned"), (f"random_{name}", "random weights in its place"))
        ]
        numbers += [dot.number for dot in dots]
        head = _HEADS[SHOWN.index(name)]
        charts.append(dot_chart(dots, f"{head.text}, {head.under}", f"{head.text} (1: the same)", zero=True))
    return figure(charts, interval_note("Lines", numbers), world)


def _sentence(scores: Scores, variant: Variant, measured: Iterable[str]) -> str:
    """How the first method ranks the demonstrations, beside chance."""
    name = next(iter(measured))
    head, metrics = _HEADS[SHOWN.index(name)], (name, f"random_{name}")
    score, chance = (scores.get(variant, metric, Setting.FT).with_bounds for metric in metrics)
    return f"{head.text} {head.under} of ICL and {variant.method} is {score}; with random weights {chance}."
