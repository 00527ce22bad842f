"""Verdicts of a family of matching tests: specific, the other way round, shown to be not specific, or undecided."""

from collections.abc import Mapping
from math import isnan, nan

from demograd.statistics.matching import MatchingTest
from demograd.statistics.significance import NO_VARIATION, ClaimDecision, holm
from demograd.statistics.verdict import SEEDS_FOR_SPECIFICITY, Verdict


def decide_matching(
    tests: Mapping[str, MatchingTest], alpha: float = 0.05, least: int = SEEDS_FOR_SPECIFICITY
) -> dict[str, ClaimDecision]:
    """A verdict for each claim "matched sets are more alike than mismatched ones", together wrong with a chance of
    `alpha` at most (Holm).

    Each claim asks two questions, both corrected for: does the pairing matter (`p_two_sided`, so that either side is
    wrong with half of α), and is the specific share within ±margin (`p_equal`)?

    * not specific: the share is within the margin. This is so even where the pairing is shown to matter: with sets
      enough, any trace of the demonstrations can be detected, and the reason then says both.
    * supported, or contradicted: the pairing matters, and still does after the product of the main effects is taken out
      (the trait check, at the same corrected level).
    * undecided: else; also where only the trait check stands against it. Differences that are the same for all sets
      and queries have no `p_equal`, and are never shown to be small. Tests on fewer than `least` sets are
      undecided, and no part of the family.
    """
    decidable = {name: test for name, test in tests.items() if not test.reason and test.n_sets >= least}
    family = holm([p for test in decidable.values() for p in (test.p_two_sided, test.p_equal)])
    corrected = dict(zip(decidable, zip(family.p_values[::2], family.p_values[1::2], strict=True), strict=True))
    decisions = {}
    for name, test in tests.items():
        p_value, p_equal = corrected.get(name, (nan, nan))
        verdict, reason = _verdict(test, p_value, p_equal, alpha, least)
        decisions[name] = ClaimDecision(verdict, reason, p_value, p_equal, family.n_tested)
    return decisions


def _verdict(test: MatchingTest, p_value: float, p_equal: float, alpha: float, least: int) -> tuple[Verdict, str]:
    if test.reason:
        return Verdict.UNDECIDED, test.reason
    if test.n_sets < least:
        return Verdict.UNDECIDED, f"{test.n_sets} demonstration set{'s' * (test.n_sets != 1)}, fewer than {least}"
    margin, shown = f"the margin of {100 * test.margin:g} %", f"corrected p = {p_value:.2g}"
    if p_equal <= alpha:
        return Verdict.NOT_SPECIFIC, _not_specific(test, p_value, p_equal, alpha)
    is_specific = test.p_value < test.p_opposite
    more = "more alike" if is_specific else "less alike"
    if p_value > alpha or isnan(p_value):
        reason = f"matched sets are not shown to be more alike than mismatched ones ({shown})"
        if not isnan(p_equal):
            reason += f", nor the difference to be smaller than {margin} (corrected p = {p_equal:.2g})"
        elif test.n_sets > 2:
            reason += f"; {test.why_no_interval}: {NO_VARIATION}"
        return Verdict.UNDECIDED, reason
    # corrected as the p-value of the pairing is, by the same factor
    of_rest = test.trait_p_value if is_specific else test.trait_p_opposite
    of_rest = min(1.0, 2 * of_rest * max(1.0, p_value / test.p_two_sided))
    if of_rest > alpha:
        return Verdict.UNDECIDED, (
            f"matched sets are {more} ({shown}), but no longer so when a single trait that the sets differ in, such as "
            f"their length, is taken out (p = {of_rest:.2g})"
        )
    # one without bounds may be any
    share = "" if test.share_interval is None else f", by {100 * abs(test.share):.2g} % of their similarity"
    verdict = Verdict.SUPPORTED if is_specific else Verdict.CONTRADICTED
    return verdict, f"matched sets are {more} than mismatched ones{share} ({shown})"


def _not_specific(test: MatchingTest, p_value: float, p_equal: float, alpha: float) -> str:
    small = f"less than the margin of {100 * test.margin:g} % (corrected p = {p_equal:.2g})"
    detectable = f"detectable (corrected p = {p_value:.2g}), but " if p_value <= alpha else ""
    return f"what is specific is {detectable}at most {_most(test)} of the similarity, {small}"


def _most(test: MatchingTest) -> str:
    """The end of the share's interval that is farther from zero."""
    if test.share_interval is None:
        return f"{100 * test.margin:g} %"
    return f"{100 * max(-test.share_interval.low, test.share_interval.high):.2g} %"
