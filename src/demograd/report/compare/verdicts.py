"""The verdicts of runs beside each other, as each run's `claims.json` holds them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from demograd.report.effects import in_words
from demograd.report.run import ReportedRun
from demograd.words import task_label

NOT_TESTED = "not tested"


@dataclass(frozen=True)
class ComparedVerdict:
    """One comparison of one claim, in each run."""

    claim: str
    """What the claim says."""
    compared: str
    """`trec, abstract labels: SimAOU, GD, trained: FT − FT on other sets`."""
    verdicts: tuple[str, ...]
    """Of each run; `not tested` where it has not both sides."""

    @property
    def is_same(self) -> bool:
        """Whether all runs say the same."""
        return len(set(self.verdicts)) == 1

    @property
    def change(self) -> str:
        """`same`, `changed`, or `not in all`: a run has not both sides."""
        return "same" if self.is_same else "not in all" if NOT_TESTED in self.verdicts else "changed"


def compared_verdicts(runs: Sequence[ReportedRun]) -> list[ComparedVerdict]:
    """Every comparison that a run has, in the order of claims; a k, or a place on curves, of which each run has one
    need not be the same."""
    by_run = [_comparisons(run) for run in runs]
    return [
        ComparedVerdict(claim, words, verdicts)
        for claim, words in dict.fromkeys(key for comparisons in by_run for key in comparisons)
        for verdicts in _side_by_side([comparisons.get((claim, words), {}) for comparisons in by_run])
    ]


def _comparisons(run: ReportedRun) -> dict[tuple[str, str], dict[tuple[Any, ...], str]]:
    """(claim, what is compared) → (k, place, initialisation) → verdict."""
    comparisons: dict[tuple[str, str], dict[tuple[Any, ...], str]] = {}
    for claim in run.claims.get("claims", []):
        for comparison in claim["comparisons"]:
            words = f"{task_label(comparison['task'], comparison.get('labels'))}: {in_words(comparison['compared'])}"
            place = comparison["k"], comparison.get("place", ""), comparison.get("initialisation")
            comparisons.setdefault((claim["claim"], words), {})[place] = comparison["verdict"]
    return comparisons


def _side_by_side(by_place: Sequence[Mapping[tuple[Any, ...], str]]) -> Iterator[tuple[str, ...]]:
    if all(len(verdicts) <= 1 for verdicts in by_place):
        yield tuple(next(iter(verdicts.values()), NOT_TESTED) for verdicts in by_place)
        return
    for place in dict.fromkeys(place for verdicts in by_place for place in verdicts):
        yield tuple(verdicts.get(place, NOT_TESTED) for verdicts in by_place)
