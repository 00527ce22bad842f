"""The claims about small trained transformers (claims.yaml), each with a statement for everything that it is about."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from math import inf
from typing import Any

from demograd.statistics import ClaimDecision, Decision, RangeTest, Verdict
from demograd.statistics.number import number_of, written
from demograd.study.claims import claims_of
from demograd.study.synthetic.rows import ClaimedRow
from demograd.study.synthetic.standing import Standing, seeds_apart, standing, standing_in_words
from demograd.study.verdicts import Finding, Statement, decide_claims, verdicts_record
from demograd.words import Row, Setting, Subject, listed

ALGORITHM, PRECONDITIONER, BLOCKS, MATCHING, LEAST_SQUARES, RECURRENCE, LEARNED = (
    "same-algorithm",
    "closed-form-preconditioner",
    "covariance-blocks",
    "matching-attention",
    "least-squares",
    "recurrence",
    "learned",
)
RATIOS = {"loss_ratio", "loss_ratio_by_position", "loss_ratio_repeated"}
"""Metrics that are a network's loss over a reference's."""
GD_STEPS = {"GD", "preconditioned GD"}
GD_PP_STEPS = {"GD++", "preconditioned GD++"}
NO_WORSE = {Standing.AS_GOOD, Standing.AS_GOOD_OR_BETTER, Standing.BETTER}
"""References that are steps with an A each, and with a B too."""
CLAIMED = frozenset(metric for claim in claims_of("synthetic").values() for metric in claim["numbers"])
"""The metrics that claims are about."""
WITHOUT = "no network was held against anything"
"""The sentence of a run of which no claim is."""
_ADDED = {
    Standing.BETTER: " (it is better)",
    Standing.WORSE: " (it is worse)",
    Standing.AS_GOOD: " (it is as good)",
    Standing.AS_GOOD_OR_BETTER: " (it is as good or better)",
}
"""What a run's one sentence adds where a network is not what it was held against."""


@dataclass(frozen=True)
class Conclusion:
    """A statement, and how it is said."""

    statement: Statement
    subject: Subject
    title: str
    """What is compared, without its world."""
    sentence: Callable[[Decision], Finding]
    standing: str = ""
    """How the network's loss stands to the reference's, or that training seeds disagree; may be empty."""

    @property
    def tests(self) -> tuple[RangeTest, ...]:
        """The numbers."""
        assert isinstance(self.statement.test, tuple)
        return self.statement.test


class Evidence:
    """The numbers of networks at a study's context, by metric and subject.

    Args:
        rows: of the results.
        context: how many examples the networks were trained on.
        overfit: world and reference → why a comparison with it decides nothing.
    """

    def __init__(self, rows: Iterable[Row], context: int, overfit: Mapping[tuple[str, str], str]) -> None:
        self._rows = [
            row
            for row in rows
            if row.setting == Setting.TF
            and row.metric in CLAIMED
            and row.k in (None, context)
            and row.step is None
            and row.layer is None
        ]
        self._overfit = overfit

    @cached_property
    def over_seeds(self) -> dict[str, dict[Subject, dict[float | None, Row]]]:
        """Metric → subject → `at` → row over training seeds."""
        rows: dict[str, dict[Subject, dict[float | None, Row]]] = {}
        for row in (row for row in self._rows if row.seed is None):
            rows.setdefault(str(row.metric), {}).setdefault(_subject(row), {})[row.at] = row
        return rows

    def by_seed(self, metric: str, subject: Subject) -> list[float]:
        """A number of each training seed; missing ones are left out."""
        return [
            row.value
            for row in self._rows
            if (row.metric, _subject(row)) == (metric, subject) and row.seed is not None and row.value is not None
        ]

    def tests(self, claim: str, metric: str) -> dict[Subject, RangeTest]:
        """Whether a metric that has one value for each subject lies where a claim says."""
        rows = self.over_seeds.get(metric, {})
        return {subject: self.test(claim, row) for subject, by_place in rows.items() for row in by_place.values()}

    def test(self, claim: str, row: Row) -> RangeTest:
        """Whether one number lies where a claim says.

        A reference that is overfit is not the best of its kind, so a network that differs from it may be that best; one
        that errs more than it does errs more than the best too.
        """
        number = _claims()[claim]["numbers"][row.metric]
        low, high = number.get("within") or (number.get("above", -inf), number.get("below", inf))
        mean = row.mean if isinstance(row, ClaimedRow) else None
        status = row.status or ("missing" if row.value is None else "ok")
        value = number_of(asdict(row) | {"status": status})
        why = self._overfit.get((row.task or "", row.method or ""), "")
        objection = f"{row.method} is overfit to the problems that it was tuned on: {why}" if why else ""
        test = RangeTest(value, mean, float(low), float(high), number["title"])
        is_worse = row.metric in RATIOS and standing(test) == Standing.WORSE
        return test if is_worse else replace(test, objection=objection)

    def why_not_best(self, network: Subject, *, has_b: bool) -> str:
        """Why a network of A and B, or of A alone, is not shown to have the best matrices; empty where it is.

        It is where it errs no more than the richest steps that it can take, and than none of the others.
        """
        richest = GD_PP_STEPS if has_b else GD_STEPS
        standings = {
            subject.reference: standing(ratio)
            for subject, ratio in self.tests(ALGORITHM, "loss_ratio").items()
            if subject._replace(reference="") == network and _family(subject.reference) in richest | GD_STEPS
        }
        better = [reference for reference, by_loss in standings.items() if by_loss == Standing.WORSE]
        if better:
            return f"training did not end at the best matrices, which the theorem is about: {better[0]} errs less"
        if any(by_loss in NO_WORSE and _family(reference) in richest for reference, by_loss in standings.items()):
            return ""
        return "training is not shown to have ended at the best matrices, which the theorem is about"


def check_claims(
    rows: Iterable[Row], context: int, dimensions: Mapping[str, int], overfit: Mapping[tuple[str, str], str]
) -> dict[str, Any]:
    """The content of `claims.json`.

    Args:
        rows: of the results; those that a claim is decided by are `ClaimedRow`.
        context: how many examples the networks were trained on; other numbers are of no claim.
        dimensions: world → of how many dimensions it is.
        overfit: world and reference → by how much it is worse on problems that it was not tuned on; of the others none.
    """
    evidence = Evidence(rows, context, overfit)
    conclusions = [
        *_algorithms(evidence),
        *_preconditioners(evidence),
        *_blocks(evidence),
        *_matching(evidence),
        *_least_squares(evidence, dimensions),
        *_recurrences(evidence),
        *_without_loss(evidence),
    ]
    decisions = decide_claims([conclusion.statement for conclusion in conclusions])
    comparisons: dict[str, list[dict[str, Any]]] = {}
    findings = []
    for conclusion, decision in zip(conclusions, decisions, strict=True):
        findings.append(conclusion.sentence(decision))
        comparisons.setdefault(conclusion.statement.claim, []).append(_record(conclusion, decision, context))
    return verdicts_record("synthetic", comparisons, findings, WITHOUT)


def _family(reference: str) -> str:
    """`GD++` of `GD++ (shared), 2 steps`."""
    return reference.partition(",")[0].removesuffix(" (shared)")


def _claims() -> dict[str, dict[str, Any]]:
    return claims_of("synthetic")


def _subject(row: Row) -> Subject:
    return Subject(row.task or "", row.model or "", row.method or "")


def _record(conclusion: Conclusion, decision: ClaimDecision, context: int) -> dict[str, Any]:
    """A statement as `claims.json` has it."""
    return {
        "task": conclusion.subject.world,
        "k": context,
        "compared": conclusion.title,
        "network": conclusion.subject.network,
        "reference": conclusion.subject.reference,
        "numbers": [
            {
                "title": test.title,
                "value": test.number.value,
                "ci_low": test.number.low,
                "ci_high": test.number.high,
                "low": None if test.low == -inf else test.low,
                "high": None if test.high == inf else test.high,
                "text": written(test.number),
            }
            for test in conclusion.tests
        ],
        "standing": conclusion.standing,
        "p_corrected": None if decision.p_value != decision.p_value else decision.p_value,
        "n_seeds": _n_seeds(conclusion.tests),
        "verdict": str(decision.verdict),
        "reason": decision.reason,
    }


def _n_seeds(tests: Sequence[RangeTest]) -> int:
    return min(test.number.n_seeds for test in tests)


def _sentence(
    claim: str, world: str, yes: str, no: str, values: str, about: str, n_seeds: int
) -> Callable[..., Finding]:
    """A function that says a decision, of which `yes` and `no` are clauses, and why it is open or on what it rests."""

    def say(decision: Decision) -> Finding:
        clauses = {Verdict.SUPPORTED: yes, Verdict.CONTRADICTED: no, Verdict.UNDECIDED: f"it is open whether {yes}"}
        reason = decision.reason if decision.verdict == Verdict.UNDECIDED else ""
        seeds = f"{n_seeds} training seed{'s' * (n_seeds != 1)}"
        ending = f": {reason}" if reason else f"; 95 % intervals over {seeds}, verdicts corrected by Holm"
        sentence = f"{decision.verdict.capitalize()}: in {world}, {clauses[decision.verdict]} ({values}){ending}."
        return Finding(claim, f"{about} in {world}", decision.verdict, reason, sentence)

    return say


def _algorithms(evidence: Evidence) -> Iterator[Conclusion]:
    """Whether a network does what each reference does that it was held against.

    Where seeds ended at different optima their mean is the loss of no network, so the sentence counts them.
    """
    cosines = evidence.tests(ALGORITHM, "sensitivity_cosine")
    for subject, ratio in evidence.tests(ALGORITHM, "loss_ratio").items():
        if subject not in cosines:  # a linear system: there is no query whose x a prediction is sensitive to
            continue
        cosine, has_ratio = cosines[subject], ratio.number.value is not None
        apart = seeds_apart(evidence.by_seed("loss_ratio", subject), ratio.low, ratio.high) if has_ratio else ""
        yield Conclusion(
            Statement(ALGORITHM, (ratio, cosine)),
            subject,
            f"“{subject.network}” as {subject.reference}",
            _algorithm_sentence(subject, ratio, cosine, apart),
            apart or standing_in_words(ratio),
        )


def _algorithm_sentence(subject: Subject, ratio: RangeTest, cosine: RangeTest, apart: str) -> Callable[..., Finding]:
    does = f"“{subject.network}” does what {subject.reference} does"
    but = f" from every seed: {apart}" if apart else _but(ratio)
    does_not = f"“{subject.network}” does not do what {subject.reference} does{but}"
    times = (
        f"its loss is {written(ratio.number)} times as large" if ratio.number.value is not None else ratio.number.text
    )
    title = f"“{subject.network}” as {subject.reference}"

    def say(decision: Decision) -> Finding:
        is_contradicted = decision.verdict == Verdict.CONTRADICTED
        seeds = f", a mean over seeds of which {apart}" if apart and not is_contradicted else ""
        values = f"{times}{seeds}; the cosine of their sensitivities {written(cosine.number)}"
        added = " (its seeds disagree)" if apart else _ADDED.get(standing(ratio), "")
        about = title + added * is_contradicted
        n_seeds = ratio.number.n_seeds
        return _sentence(ALGORITHM, subject.world, does, does_not, values, about, n_seeds)(decision)

    return say


def _but(ratio: RangeTest) -> str:
    """What a network that is not a reference is instead: another algorithm may be a better one."""
    words = standing_in_words(ratio)
    match standing(ratio):
        case Standing.BETTER:
            return f": {words}, so it is not that algorithm but a better one"
        case Standing.WORSE:
            return f": {words}, so it is not that algorithm but a worse one"
        case Standing.AS_GOOD | Standing.AS_GOOD_OR_BETTER:
            return f", though {words}: it is another algorithm that is as good"
        case Standing.OPEN:
            return ""


def _preconditioners(evidence: Evidence) -> Iterator[Conclusion]:
    """Whether a one-layer network has the preconditioner of the closed form."""
    for subject, distance in evidence.tests(PRECONDITIONER, "preconditioner_distance").items():
        own = f"the preconditioner of “{subject.network}”"
        yes, no = (f"{own} is {negation}that of the {subject.reference}" for negation in ("", "not "))
        values = f"relative Frobenius distance {written(distance.number)}; up to {distance.high:g} counts as equal"
        about = f"“{subject.network}”"
        say = _sentence(PRECONDITIONER, subject.world, yes, no, values, about, distance.number.n_seeds)
        yield Conclusion(Statement(PRECONDITIONER, (distance,)), subject, about, say)


def _blocks(evidence: Evidence) -> Iterator[Conclusion]:
    """Whether the A of a network are multiples of Σ⁻¹, and its B of I: a statement about all of them.

    The theorems are about the best matrices. Matrices of a network that is not shown to have found those contradict
    nothing.
    """
    tests: dict[Subject, list[RangeTest]] = {}
    for subject, distance in evidence.tests(BLOCKS, "multiple_distance").items():
        tests.setdefault(subject._replace(reference=""), []).append(replace(distance, title=subject.reference))
    for subject, distances in tests.items():
        objection = evidence.why_not_best(subject, has_b=len(distances) > 1)
        if objection and any((distance.number.value or 0.0) > distance.high for distance in distances):
            distances = [replace(distance, objection=objection) for distance in distances]
        own, and_b = f"the A of “{subject.network}”", " and its B of I" * (len(distances) > 1)
        yes, no = (f"{own} are {negation}multiples of Σ⁻¹{and_b}" for negation in ("", "not all "))
        values = ", ".join(f"{distance.title} {written(distance.number)}" for distance in distances)
        values = f"relative Frobenius distances {values}; up to {distances[0].high:g} counts as none"
        about, numbers = f"“{subject.network}”", tuple(distances)
        say = _sentence(BLOCKS, subject.world, yes, no, values, about, _n_seeds(numbers))
        yield Conclusion(Statement(BLOCKS, numbers), subject, about, say)


def _matching(evidence: Evidence) -> Iterator[Conclusion]:
    """Whether the network whose attention is the world's kernel has the lowest loss of that world."""
    margins: dict[tuple[str, str], dict[str, RangeTest]] = {}
    for subject, margin in evidence.tests(MATCHING, "loss_margin").items():
        if subject.network != subject.reference:
            margins.setdefault((subject.world, subject.reference), {})[subject.network] = margin
    for (world, best), others in margins.items():
        own = f"“{best}”, whose attention is the world’s kernel,"
        yes, no = f"{own} has the lowest loss", f"{own} does not have the lowest loss"
        above = [f"{written(margin.number)} of “{network}”" for network, margin in others.items()]
        values, tests = f"by how much the others’ losses are higher: {listed(above)}", tuple(others.values())
        say = _sentence(MATCHING, world, yes, no, values, f"“{best}”", _n_seeds(tests))
        yield Conclusion(Statement(MATCHING, tests), Subject(world, best, ""), f"“{best}”", say)


def _least_squares(evidence: Evidence, dimensions: Mapping[str, int]) -> Iterator[Conclusion]:
    """Whether a network errs as much as least squares, once it has seen more states than the system has dimensions."""
    reference = _claims()[LEAST_SQUARES]["against"]
    for subject, by_position in evidence.over_seeds.get("loss_ratio_by_position", {}).items():
        if subject.reference != reference:
            continue
        dimension = dimensions[subject.world]
        tests = {
            place: evidence.test(LEAST_SQUARES, row)
            for place, row in by_position.items()
            if place is not None and place > dimension
        }
        if tests:
            error = f"with more than {dimension} states seen, the error of “{subject.network}”"
            yes, no = (f"{error} is {adverb} within 10 % of {reference}’" for adverb in ("always", "not always"))
            about, numbers = f"“{subject.network}”", tuple(tests.values())
            values = _extremes(tests, "with {:g} states seen")
            say = _sentence(LEAST_SQUARES, subject.world, yes, no, values, about, _n_seeds(numbers))
            yield Conclusion(Statement(LEAST_SQUARES, numbers), subject, about, say)


def _recurrences(evidence: Evidence) -> Iterator[Conclusion]:
    """Whether a layer that is applied again errs as much as GD does after as many steps, whatever their number."""
    for subject, by_time in evidence.over_seeds.get("loss_ratio_repeated", {}).items():
        tests = {time: evidence.test(RECURRENCE, row) for time, row in by_time.items() if time is not None}
        loss = f"applied up to {max(tests):g} times, “{subject.network}” has a loss"
        yes, no = (f"{loss} {adverb} within 10 % of that of as many GD steps" for adverb in ("always", "not always"))
        about, numbers = f"“{subject.network}” again and again", tuple(tests.values())
        values = _extremes(tests, "after {:g} times")
        say = _sentence(RECURRENCE, subject.world, yes, no, values, about, _n_seeds(numbers))
        yield Conclusion(Statement(RECURRENCE, numbers), subject, about, say)


def _extremes(tests: Mapping[float, RangeTest], place: str) -> str:
    """The largest ratio and its place, the smallest too if it is under its bound, and which count as equal."""
    ratios = {place: test.number for place, test in tests.items()}
    values = {place: ratio.value for place, ratio in ratios.items() if ratio.value is not None}
    if not values:
        return next(iter(ratios.values())).text
    bounds = next(iter(tests.values()))
    largest, smallest = max(values, key=values.__getitem__), min(values, key=values.__getitem__)
    text = f"the largest ratio is {written(ratios[largest])}, {place.format(largest)}"
    if values[smallest] < bounds.low:
        text += f"; the smallest is {written(ratios[smallest])}, {place.format(smallest)}"
    return f"{text}; {bounds.low:g} to {bounds.high:g} counts as equal"


def _without_loss(evidence: Evidence) -> Iterator[Conclusion]:
    """The networks of which there is nothing to say, for they diverged."""
    for subject, loss in evidence.tests(LEARNED, "loss").items():
        if loss.number.value is None and not subject.reference:
            network, world, why = subject.network, subject.world, loss.number.text

            def say(decision: Decision, network: str = network, world: str = world, why: str = why) -> Finding:
                sentence = f"Undecided: in {world}, nothing can be said of “{network}”: {why}."
                return Finding(LEARNED, f"“{network}” in {world}", decision.verdict, why, sentence)

            yield Conclusion(Statement(LEARNED, (loss,)), subject, f"“{network}”", say)
