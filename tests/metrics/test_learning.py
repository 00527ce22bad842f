"""Facts about the gates: which changes are learning, which close a gate, and which count for nothing."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from demograd import metrics
from demograd.metrics import Learning
from demograd.observe.observation import Observation

from .conftest import Make

QUERIES = 60
GOLD = [query % 2 for query in range(QUERIES)]


def scores(
    make: Make,
    sets: int,
    *,
    signal: float = 0,
    bias: float = 0,
    format: float = 0,
    seed: int = 0,
    gold: Sequence[int] = GOLD,
) -> list[Observation]:
    """Observations of so many demonstration sets, with noise that all sets share and a tenth of their own.

    `signal` is added to the gold word, `bias` to word 1, `format` to all words, on a zero-shot that knows a little.
    """
    classes = max(gold) + 1
    shared = torch.randn(len(gold), classes, generator=torch.Generator().manual_seed(7))
    right = torch.eye(classes)[list(gold)]

    def of_set(number: int) -> Tensor:
        own = torch.randn(len(gold), classes, generator=torch.Generator().manual_seed(100 * seed + number))
        return (shared + 0.1 * own + (1.5 + signal) * right + bias * torch.eye(classes)[1]).log_softmax(-1)

    return [make(log_probs=of_set(number) - 5 + format, gold=list(gold)) for number in range(sets)]


GATES = [
    (metrics.check_in_context_learning, "no in-context learning here"),
    (metrics.check_fine_tuning, "fine-tuning learned nothing here"),
]


@pytest.mark.parametrize(("check", "nothing"), GATES)
def test_what_tells_the_classes_better_apart_has_learned(
    observation: Make, check: type[metrics.LearningCheck], nothing: str
) -> None:
    zsl, learned = scores(observation, 5), scores(observation, 5, signal=1.5, seed=1)
    gate = check(zsl, learned)
    assert gate.passed and gate.outcome == Learning.LEARNED
    assert "over demonstrations" in gate.message and "98.8 %" in gate.message
    assert [change.measure for change in gate.changes] == [
        "accuracy",
        "AUC",
        "calibrated accuracy",
        "likelihood among the label words",
        "format",
    ]
    by_hand = np.mean([metrics.auc(after) - metrics.auc(before) for before, after in zip(zsl, learned, strict=True)])
    assert gate.changes[1].difference == pytest.approx(by_hand)
    for before, after in ((learned, zsl), (zsl, zsl)):
        closed = check(before, after)
        assert closed.outcome == Learning.NOTHING and closed.message.startswith(nothing)


@pytest.mark.parametrize(("check", "nothing"), GATES)
def test_a_likelier_format_opens_no_gate(observation: Make, check: type[metrics.LearningCheck], nothing: str) -> None:
    """Every label word is e⁴ times as likely, none preferred: only the likelihood among all words rises."""
    zsl, formatted = scores(observation, 5), scores(observation, 5, format=4)
    gate = check(zsl, formatted)
    assert gate.changes[-1].is_better and gate.changes[-1].difference == pytest.approx(4, abs=1e-4)
    assert not gate.passed and gate.message.startswith(nothing)


@pytest.mark.parametrize(("check", "nothing"), GATES)
def test_a_bias_that_costs_accuracy_closes_the_gate_though_the_format_is_likelier(
    observation: Make, check: type[metrics.LearningCheck], nothing: str
) -> None:
    """Accuracy and likelihood among the label words fall, the format's rises, and the order of the queries stays.

    SST2 with six demonstrations is such a case.
    """
    gate = check(scores(observation, 5), scores(observation, 5, bias=4, format=6))
    accuracy, auc, _, among, form = gate.changes
    assert accuracy.is_worse and among.is_worse and form.is_better and auc.difference == pytest.approx(0, abs=1e-6)
    assert gate.outcome == Learning.NOTHING
    assert gate.message.startswith(f"{nothing}, worse in accuracy and likelihood among the label words")


def test_something_significantly_worse_closes_a_gate_that_something_better_would_open(observation: Make) -> None:
    """Queries are told apart better, but a bias assigns nearly all of them to one class."""
    gate = metrics.check_in_context_learning(scores(observation, 5), scores(observation, 5, signal=1.5, bias=6, seed=1))
    assert gate.changes[1].is_better and gate.changes[0].is_worse
    assert not gate.passed and "worse in" in gate.message and "(better in AUC" in gate.message


def test_a_bias_that_happens_to_suit_the_classes_opens_no_gate(observation: Make) -> None:
    """Class 1 has nine of ten queries: always predicting it raises accuracy, and tells no query from another."""
    gold = [int(query % 10 > 0) for query in range(QUERIES)]
    zsl, biased = (scores(observation, 5, bias=bias, gold=gold) for bias in (-1, 0.3))
    gate = metrics.check_in_context_learning(zsl, [_without_likelihood(z, b) for z, b in zip(zsl, biased, strict=True)])
    assert gate.changes[0].is_better and not gate.passed


def _without_likelihood(zsl: Observation, biased: Observation) -> Observation:
    """The predictions of `biased` with margins so small that the gold word's likelihood does not exceed zero-shot's."""
    centred = biased.label_log_probs - biased.label_log_probs.mean(dim=1, keepdim=True)
    level = zsl.label_log_probs.mean(dim=1, keepdim=True)
    return type(zsl)(zsl.attention_output, zsl.attention_logits, level + 1e-3 * centred, zsl.gold)


@pytest.mark.parametrize("sets", [1, 3, 4])
def test_few_demonstration_sets_leave_a_gate_undecided_and_say_what_was_seen_on_them(
    observation: Make, sets: int
) -> None:
    zsl = scores(observation, sets)
    better = metrics.check_in_context_learning(zsl, scores(observation, sets, signal=1.5, seed=1))
    worse = metrics.check_in_context_learning(zsl, scores(observation, sets, bias=4, format=6))
    for gate, words in (
        (better, "in-context learning improves on zero-shot in AUC"),
        (worse, "no in-context learning here, worse in accuracy"),
    ):
        assert gate.outcome == Learning.UNDECIDED and not gate.passed
        plural = "s" * (sets > 1)
        assert gate.message.startswith(
            f"undecided with {sets} demonstration set{plural}, and at least 5 decide; on these demonstrations {words}"
        )
        assert "conditional on these demonstrations" in gate.message


def test_with_several_classes_there_is_no_calibrated_accuracy_and_the_rest_decides(observation: Make) -> None:
    gold = [query % 3 for query in range(QUERIES)]
    zsl, learned = (scores(observation, 5, signal=signal, gold=gold) for signal in (0, 2))
    gate = metrics.check_in_context_learning(zsl, learned)
    assert np.isnan(gate.changes[2].difference) and "calibrated" not in gate.message
    assert gate.passed


def test_one_query_decides_nothing(observation: Make) -> None:
    single = scores(observation, 5, gold=[1])
    gate = metrics.check_in_context_learning(single, single)
    assert gate.outcome == Learning.UNDECIDED and "no interval" in gate.message


def test_chance_seldom_opens_a_gate(observation: Make) -> None:
    n_open = 0
    for run in range(40):
        random = torch.Generator().manual_seed(run)
        zsl, icl = (
            [
                observation(log_probs=torch.randn(40, 2, generator=random), gold=[q % 2 for q in range(40)])
                for _ in range(5)
            ]
            for _ in range(2)
        )
        n_open += metrics.check_in_context_learning(zsl, icl, resamples=300).passed
    assert n_open <= 4


def test_a_label_s_likelihood_is_the_format_s_times_its_share_among_the_label_words(observation: Make) -> None:
    observed = observation(log_probs=torch.tensor([[0.3, 0.1], [0.06, 0.02]]).log(), gold=[0, 1])
    assert metrics.format_log_likelihood(observed).exp().tolist() == pytest.approx([0.4, 0.08])
    parts = metrics.format_log_likelihood(observed) + metrics.normalised_label_log_likelihood(observed)
    assert parts.tolist() == pytest.approx(metrics.label_log_likelihood(observed).tolist())
