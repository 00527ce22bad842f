"""Kernel regression and induction, against mixtures that are worked out by hand."""

import math
from collections import Counter

import pytest
import torch
from tests.learn.fine_tunings import MakeModel
from tests.learn.rivals.demonstrations import logits_of

from demograd import UserError, observe
from demograd.learn import fine_tuned
from demograd.learn.rivals.features import token_similarity
from demograd.learn.rivals.kernel_regression import InductionCopying, KernelRegression
from demograd.models import Model
from demograd.tasks.prompts import Prompts, TrainingSequence

BOS = 0


def sequence(text: list[int], *answer: int) -> TrainingSequence:
    tokens = [BOS, *text, *answer]
    return TrainingSequence(tokens, [False, *[True] * (len(tokens) - 1)], 1 + len(text))


def next_token(model: Model, query: list[int]) -> torch.Tensor:
    observed = observe(model, Prompts([BOS], [query], [[5], [6]], [0]), extras=["next_token_log_probs"])
    assert observed.next_token_log_probs is not None
    return observed.next_token_log_probs[0].exp()


def test_kernel_regression_mixes_answers_by_the_likeness_of_features(random_model: MakeModel) -> None:
    """(1 − λ) p + λ Σ w y, w the softmax of cosines over a temperature; an answer's second token is looked up too."""
    model = random_model("llama")
    shown, query = [sequence([11, 12], 5), sequence([13, 14, 15], 6, 7)], [20, 21]

    def feature(tokens: list[int]) -> torch.Tensor:
        with torch.no_grad():
            hidden: torch.Tensor = model.network.model(input_ids=torch.tensor([tokens])).last_hidden_state[0, -1]
        return hidden

    keys = [feature([BOS, 11, 12]), feature([BOS, 13, 14, 15]), feature([BOS, 13, 14, 15, 6])]
    own = feature([BOS, *query])
    cosines = torch.stack([torch.dot(own, key) / (own.norm() * key.norm()) for key in keys])
    weights = torch.exp(cosines / 0.2) / torch.exp(cosines / 0.2).sum()
    with torch.no_grad():
        plain = logits_of(model.network, sequence(query, 5))[len(query)].softmax(-1)
    expected = 0.7 * plain
    for token, weight in zip((5, 6, 7), weights, strict=True):
        expected[token] += 0.3 * weight
    with fine_tuned(model, shown, KernelRegression(learning_rate=0.3, temperature=0.2)) as tuned:
        torch.testing.assert_close(next_token(tuned, query), expected, rtol=1e-4, atol=1e-6)


def test_a_demonstration_itself_is_looked_up_where_the_kernel_is_narrow(random_model: MakeModel) -> None:
    model, shown = random_model("llama"), [sequence([11, 12], 5), sequence([13, 14, 15], 6)]
    plain = next_token(model, [13, 14, 15])
    with fine_tuned(model, shown, KernelRegression(learning_rate=0.5, temperature=1e-3)) as tuned:
        mixed = next_token(tuned, [13, 14, 15])
    assert float(mixed[6]) == pytest.approx(0.5 + 0.5 * float(plain[6]), rel=1e-4)
    assert float(mixed[5]) == pytest.approx(0.5 * float(plain[5]), rel=1e-3)


def test_induction_mixes_answers_by_the_likeness_of_tokens(random_model: MakeModel) -> None:
    """Two demonstrations end as the query does: their cosines are 1/√2 and 1/2 without the 20 that all have; the third,
    most alike, does not."""
    model = random_model("llama")
    shown = [sequence([11, 20], 5), sequence([14, 13, 20], 6), sequence([11, 14, 20, 15], 7)]
    plain, weights = next_token(model, [14, 11, 20]), (1 / math.sqrt(2), 1 / 2)
    expected = 0.6 * plain
    for token, weight in zip((5, 6), weights, strict=True):
        expected[token] += 0.4 * weight / sum(weights)
    with fine_tuned(model, shown, InductionCopying(learning_rate=0.4)) as tuned:
        mixed = next_token(tuned, [14, 11, 20])
    torch.testing.assert_close(mixed, expected, rtol=1e-4, atol=1e-6)
    assert float(mixed.sum()) == pytest.approx(1, abs=1e-5)


def test_the_second_token_of_an_answer_is_copied_behind_the_first(random_model: MakeModel) -> None:
    model, prompts = random_model("llama"), Prompts([BOS], [[11, 20], [40, 41]], [[5], [6, 7]], [0, 1])
    before = observe(model, prompts).label_log_probs.double()
    # behind [11, 20] the first token 6 is copied, and 7 behind 6; of answer 5 nothing
    with fine_tuned(model, [sequence([11, 20], 6, 7)], InductionCopying(learning_rate=0.5)) as tuned:
        after = observe(tuned, prompts).label_log_probs.double()

    def plain(*tokens: int) -> float:
        with torch.no_grad():
            log_probs = logits_of(model.network, sequence([*tokens], 5))[len(tokens)].log_softmax(-1)
        return float(log_probs.exp()[7 if tokens[-1] == 6 else 6])

    both = [math.log(0.5 + 0.5 * plain(11, 20)), math.log(0.5 + 0.5 * plain(11, 20, 6))]
    assert float(after[0, 1]) == pytest.approx(sum(both) / 2, rel=1e-4)
    assert float(after[0, 0]) == pytest.approx(float(before[0, 0]) - math.log(2), rel=1e-4)
    # the other query is like nothing; but behind it, 6 is followed by 7
    assert float(after[1, 0]) == pytest.approx(float(before[1, 0]), rel=1e-5)


def test_where_nothing_is_alike_nothing_changes(random_model: MakeModel) -> None:
    model = random_model("llama")
    plain = next_token(model, [30, 31])
    with fine_tuned(model, [sequence([11, 20], 5)], InductionCopying(learning_rate=0.5)) as tuned:
        torch.testing.assert_close(next_token(tuned, [30, 31]), plain, rtol=1e-5, atol=1e-7)


def test_likeness_of_tokens() -> None:
    assert token_similarity([1, 2, 2], [2], Counter()) == pytest.approx(2 / math.sqrt(5))
    assert token_similarity([1, 2], [2, 1], Counter()) == 0 == token_similarity([], [1], Counter())
    # of texts 5, 6 and 5, 7 in the template 8, 9
    assert token_similarity([8, 5, 6, 9], [8, 5, 7, 9], Counter([8, 9])) == pytest.approx(1 / 2)
    assert token_similarity([8, 6, 9], [8, 7, 9], Counter([8, 9])) == 0


@pytest.mark.parametrize("kind", [KernelRegression, InductionCopying])
def test_a_share_of_one_leaves_words_without_probability(kind: type[KernelRegression]) -> None:
    with pytest.raises(UserError, match=r"from 0 to below 1.*Try 0.5"):
        kind(learning_rate=1.0)
