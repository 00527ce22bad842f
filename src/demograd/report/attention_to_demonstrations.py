"""Whether ICL and FT attend to the same demonstrations, beside what chance gives (Dai 2023)."""

from demograd.report.scores import Scores
from demograd.report.section import Entry, Head, Row, Section, Table, entry, grouped
from demograd.report.variant import Variant, row_words, world_labels

SHOWN = tuple(f"attention_{what}_by_{unit}" for what in ("kendall", "recall") for unit in ("token", "demonstration"))
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


def attention_section(scores: Scores) -> Section | None:
    """A table with a row per method and weights."""
    found = [name for name in SHOWN if scores.of(name, "FT")]
    if not found:
        return None
    variants = [each for each in scores.tuned() if any(each in scores.of(name, "FT") for name in found)]
    worlds = world_labels(variants)
    lines = [
        (
            worlds[each],
            Row(
                each.method or "",
                tuple(_beside_chance(scores, each, name) for name in found),
                each.weights,
                row_words(each, [other for other in variants if other.method == each.method]),
            ),
        )
        for each in variants
    ]
    heads = (Head("method, weights"), *(head for name, head in zip(SHOWN, _HEADS, strict=True) if name in found))
    return Section("attention", "Attention to the demonstrations", _LEAD, (Table(heads, grouped(lines)),))


def _beside_chance(scores: Scores, each: Variant, name: str) -> Entry:
    measured, chance = entry(scores.get(each, name, "FT")), scores.get(each, f"random_{name}", "FT")
    beside = f"random {chance.value_text} {chance.bounds}{' conditional' * chance.marked}".strip()
    return Entry(measured.text, measured.std, (*measured.under, beside), measured.tone)
