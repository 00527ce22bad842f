"""Whether ICL and FT attend to the same demonstrations, beside what chance gives (Dai 2023)."""

from demograd.report.run import ReportedRun
from demograd.report.section import Entry, Head, Section, Table, entry, section
from demograd.report.subject import Variant, variant_rows
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
    "How ICL and FT rank the demonstrations: in ICL by attention, in FT by inner products of the query’s q vector with "
    "those of the training tokens. Beneath each number, what random weights in FT’s place give."
)


@section("Attention to the demonstrations", order=190)
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
    return Section((Table(heads, rows),), _LEAD)
