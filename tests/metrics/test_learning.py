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
    assert "over demonstrations" in gate.message and "98.3 %" in gate.message
    assert [change.measure for change in gate.changes] == [
        "AUC",
        "calibrated accuracy",
        "likelihood among the label words",
        "accuracy",
        "format",
    ]
    by_hand = np.mean([metrics.auc(after) - metrics.auc(before) for before, after in zip(zsl, learned, strict=True)])
    assert gate.changes[0].difference == pytest.approx(by_hand)
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
def test_a_bias_that_costs_likelihood_closes_the_gate_though_the_format_is_likelier(
    observation: Make, check: type[metrics.LearningCheck], nothing: str
) -> None:
    """Likelihood among the label words falls, the format's rises, and the order of the queries stays.

    SST2 with six demonstrations is such a case.
    """
    gate = check(scores(observation, 5), scores(observation, 5, bias=4, format=6))
    auc, _, among, accuracy, form = gate.changes
    assert accuracy.is_worse and among.is_worse and form.is_better and auc.difference == pytest.approx(0, abs=1e-6)
    assert gate.outcome == Learning.NOTHING
    assert gate.message.startswith(f"{nothing}, worse in likelihood among the label words:")


def test_something_significantly_worse_closes_a_gate_that_something_better_would_open(observation: Make) -> None:
    """Queries are told apart better, but a bias assigns nearly all of them to one class, and surely."""
    gate = metrics.check_in_context_learning(scores(observation, 5), scores(observation, 5, signal=1.5, bias=6, seed=1))
    auc, _, among, _, _ = gate.changes
    assert auc.is_better and among.is_worse
    assert not gate.passed and "worse in likelihood" in gate.message and "(better in AUC" in gate.message


def test_plain_accuracy_closes_no_gate(observation: Make) -> None:
    """Queries are told apart better, zero-shot's sure mistakes are gone, and class 1 is always preferred a little."""
    zsl = [_scaled(z, 6) for z in scores(observation, 5)]
    other = [_scaled(o, 0.02) for o in scores(observation, 5, signal=1.5, bias=12, seed=1)]
    gate = metrics.check_in_context_learning(zsl, other)
    auc, _, among, accuracy, _ = gate.changes
    assert auc.is_better and not among.is_worse and accuracy.is_worse
    assert gate.passed and "accuracy −" in gate.message


def _scaled(observed: Observation, by: float) -> Observation:
    """The same predictions with margins so many times as large."""
    log_probs = (by * observed.label_log_probs).log_softmax(dim=-1)
    return type(observed)(observed.attention_output, observed.attention_logits, log_probs, observed.gold)


def test_a_bias_that_happens_to_suit_the_classes_opens_no_gate(observation: Make) -> None:
    """Class 1 has nine of ten queries: always predicting it raises accuracy, and tells no query from another."""
    gold = [int(query % 10 > 0) for query in range(QUERIES)]
    zsl, biased = (scores(observation, 5, bias=bias, gold=gold) for bias in (-1, 0.3))
    gate = metrics.check_in_context_learning(zsl, [_without_likelihood(z, b) for z, b in zip(zsl, biased, strict=True)])
    assert gate.changes[3].is_better and not gate.passed


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
        (worse, "no in-context learning here, worse in likelihood among the label words"),
    ):
        assert gate.outcome == Learning.UNDECIDED and not gate.passed
        plural = "s" * (sets > 1)
        assert gate.message.startswith(
            f"undecided with {sets} demonstration set{plural}, and at least 5 decide; on these demonstrations {words}"
        )
        assert "conditional on these demonstrations" in gate.message


@pytest.mark.parametrize("classes", [3, 6])
def test_several_classes_have_all_measures_too(observation: Make, classes: int) -> None:
    gold = [query % classes for query in range(QUERIES)]
    zsl, learned = (scores(observation, 5, signal=signal, gold=gold) for signal in (0, 2))
    gate = metrics.check_in_context_learning(zsl, learned)
    assert gate.passed and all(change.is_better for change in gate.changes[:3])
    assert not metrics.check_in_context_learning(learned, zsl).passed


def test_a_bias_alone_opens_no_gate_of_several_classes_by_auc_or_calibrated_accuracy(observation: Make) -> None:
    """Zero-shot prefers a letter, as with abstract labels; demonstrations take that away, and teach nothing else."""
    gold = [query % 6 for query in range(QUERIES)]
    zsl, other = (scores(observation, 5, bias=bias, gold=gold) for bias in (8, 0))
    gains = metrics.learned(zsl[0], other[0])
    assert gains.auc == pytest.approx(0, abs=1e-3) and gains.calibrated_accuracy == pytest.approx(0, abs=0.02)
    assert gains.likelihood > 1  # which says that the bias is gone


def test_what_is_learned_on_each_set_averages_to_the_changes_of_the_gate(observation: Make) -> None:
    gold = [query % 3 for query in range(QUERIES)]
    zsl, other = (scores(observation, 5, signal=signal, gold=gold, seed=signal) for signal in (0, 1))
    gains = [metrics.learned(before, after) for before, after in zip(zsl, other, strict=True)]
    gate = metrics.check_fine_tuning(zsl, other)
    means = [np.mean([getattr(gain, name) for gain in gains]) for name in ("auc", "calibrated_accuracy", "likelihood")]
    assert means == pytest.approx([change.difference for change in gate.changes[:3]])
    assert metrics.learned(zsl[0], zsl[0]) == metrics.Gains(0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="quer"):
        metrics.learned(zsl[0], observation(log_probs=torch.zeros(4, 3), gold=[0, 1, 2, 0]))


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
