"""What the command line prints of a comparison; its page has all of it."""

from collections.abc import Sequence

from demograd.cli.printing import output, print_table, say
from demograd.errors import shortened
from demograd.report import Comparison
from demograd.report.compare.differences import ScoreDifference, why_unpaired
from demograd.report.compare.page import OUTCOMES, variant_labels
from demograd.report.compare.settings import DifferingSetting
from demograd.statistics.number import p_value as p_text
from demograd.words import Setting

_LEADING = ("accuracy", "auc", "sim_aou", "sim_am_delta", "loss", "loss_ratio", "sensitivity_cosine")
"""Metrics of a language model's runs, and of synthetic ones, that a terminal has room for."""
_LONGEST = 40
"""Characters of a setting."""
_MOST_SETTINGS = 12


def print_comparison(comparison: Comparison) -> None:
    """What differs, the leading differences, and the verdicts that changed."""
    for letter, run in zip(comparison.letters, comparison.runs, strict=True):
        say(f"{letter}: {run.path}")
        say(f"   {run.finding.sentence}")
    _print_settings(comparison.letters, comparison.settings)
    for letter, differences in comparison.differences.items():
        _print_differences(letter, differences)
    _print_verdicts(comparison)
    _collect(comparison)


def _print_settings(letters: Sequence[str], settings: Sequence[DifferingSetting]) -> None:
    if not settings:
        say("\nWhat differs: nothing in the study, and nothing that it ran on")
        return
    say("\nWhat differs:")
    # of versions and machines the page has all
    rows = [(row.name, *(shortened(text, _LONGEST) for text in row.texts)) for row in settings]
    print_table(["setting", *letters], rows[:_MOST_SETTINGS])
    if len(rows) > _MOST_SETTINGS:
        say(f"and {len(rows) - _MOST_SETTINGS} others: see the page")


def _print_differences(letter: str, differences: Sequence[ScoreDifference]) -> None:
    shown = [
        difference
        for metric in _LEADING
        for difference in differences
        if difference.score.metric == metric
        and difference.score.setting != Setting.ICL_REORDERED
        and difference.variants[0].weights != "no_training"
    ]
    labels = variant_labels(list(dict.fromkeys(difference.variants[0] for difference in shown)))
    paired = sum(difference.paired != "no" for difference in differences)
    say(f"\n{letter} − A, with its 95 % interval ({paired} of {len(differences)} differences are paired):")
    for sentence in why_unpaired(differences):
        say(sentence)
    for label in dict.fromkeys(labels.values()):
        rows = [_row(difference) for difference in shown if labels[difference.variants[0]] == label]
        say(f"\n{label}")
        print_table(["score", "A", letter, f"{letter} − A", "p", "outcome"], rows)
    counts = {outcome: sum(difference.outcome == outcome for difference in differences) for outcome in OUTCOMES}
    say(
        f"Of all {len(differences)} differences, corrected metric by metric over all runs (Holm), {letter} is higher "
        f"in {counts['higher']}, lower in {counts['lower']}; {counts['open']} are open, "
        f"{counts['identical']} identical."
    )


def _row(difference: ScoreDifference) -> tuple[str, ...]:
    number, score, p_value = difference.number, difference.score, difference.decision.p_value
    return (
        f"{score.title}, {score.words}",
        *(number.value_text for number in difference.numbers),
        "" if number.value is None else number.signed,
        p_text(p_value) if p_value == p_value else "",
        OUTCOMES[difference.outcome],
    )


def _print_verdicts(comparison: Comparison) -> None:
    changed = [verdict for verdict in comparison.verdicts if not verdict.is_same]
    say(f"\nVerdicts: {len(comparison.verdicts) - len(changed)} the same, {len(changed)} others")
    if changed:
        rows = [(verdict.compared, *verdict.verdicts, verdict.change) for verdict in changed]
        print_table(["compared", *comparison.letters, ""], rows)


def _collect(comparison: Comparison) -> None:
    letters = comparison.letters
    if not output().is_json:
        return
    output().facts |= {
        "runs": {letter: run.path.resolve() for letter, run in zip(letters, comparison.runs, strict=True)},
        "settings": [
            {"setting": row.name, **dict(zip(letters, row.texts, strict=True))} for row in comparison.settings
        ],
        "verdicts": [
            {
                "claim": verdict.claim,
                "compared": verdict.compared,
                **dict(zip(letters, verdict.verdicts, strict=True)),
                "change": verdict.change,
            }
            for verdict in comparison.verdicts
        ],
        "differences": comparison.table().to_dict("records"),
    }
