"""What changes predictions alone: functions of the last layer's features, or of tokens, and of the demonstrations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from math import sqrt
from operator import and_
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize, one_hot

from demograd.learn.step import Training, hidden_states, whole_pass
from demograd.models import Intervention
from demograd.observe.attention import causal_attention
from demograd.observe.attention_hook import attention_routed

if TYPE_CHECKING:
    from demograd.learn.rivals.kernel_regression import KernelRegression, Lookup
    from demograd.learn.rivals.readout import ReadoutGradientDescent


@dataclass(frozen=True, eq=False)
class Answers:
    """The answer tokens of all demonstrations, in order."""

    features: Float[Tensor, "answers hidden"]
    """Hidden states after the final norm where each is predicted."""
    logits: Float[Tensor, "answers vocabulary"]
    targets: Int[Tensor, " answers"]
    demonstration: list[int]
    """Whose answer each token is of."""


@torch.no_grad()
def answers_of(training: Training) -> Answers:
    """Each demonstration forward through the network."""
    features, targets, owners = [], [], list[int]()
    with attention_routed(training.anatomy, causal_attention):
        for number, sequence in enumerate(training.sequences):
            one_pass = whole_pass(sequence)
            hidden = hidden_states(training.anatomy, one_pass)
            features.append(hidden[one_pass.rows.to(hidden.device)].float())
            targets.append(one_pass.targets)
            owners += [number] * len(one_pass.targets)
    stacked = torch.cat(features)
    logits = training.anatomy.exact_logits(stacked)
    return Answers(stacked.to(logits.device), logits, torch.cat(targets).to(logits.device), owners)


@torch.no_grad()
def train_readout(training: Training, method: ReadoutGradientDescent) -> None:
    """Coefficients a_i `[answers, vocabulary]` of the unembedding's change Σ a_i φ_iᵀ, demonstration by demonstration.

    Raises:
        Diverged: a loss or an error is not finite.
    """
    answers = answers_of(training)
    kernel = answers.features @ answers.features.T
    coefficients = torch.zeros_like(answers.logits)
    features = answers.features.cpu()  # what is held does not fill the device
    training.intervention = lambda: Intervention(
        logit_change=partial(_readout_change, features, coefficients.to("cpu", copy=True))
    )
    labels = one_hot(answers.targets, answers.logits.shape[-1])
    of_demonstrations = [
        [place for place, owner in enumerate(answers.demonstration) if owner == number]
        for number in range(len(training.sequences))
    ]
    for places in of_demonstrations * method.epochs:
        logits = answers.logits[places] + kernel[places] @ coefficients
        errors = (labels[places] - logits.softmax(dim=-1)) / len(places)
        coefficients[places] += method.learning_rate * errors
        # ‖∇_U‖, of the sum of outer products
        norm = float((errors @ errors.T * kernel[places][:, places]).sum().clamp(min=0).sqrt())
        training.record(float(cross_entropy(logits, answers.targets[places])), {None: norm})


def _readout_change(
    features: Tensor, coefficients: Tensor, hidden: Tensor, logits: Tensor, before: Sequence[Sequence[int]]
) -> Tensor:
    features, coefficients = features.to(logits.device), coefficients.to(logits.device)
    return hidden.to(features) @ features.T @ coefficients


@torch.no_grad()
def keep_features(training: Training, method: KernelRegression) -> None:
    """Look up by features."""
    answers = answers_of(training)
    keys = normalize(answers.features, dim=-1)

    def weights(hidden: Tensor, before: Sequence[Sequence[int]]) -> Tensor:
        cosines = normalize(hidden.to(keys).float(), dim=-1) @ keys.T
        return (cosines / method.temperature).softmax(dim=-1)

    training.intervention = lambda: Intervention(logit_change=LookedUp(method.learning_rate, weights, answers.targets))


def keep_tokens(training: Training, method: Lookup) -> None:
    """Look up by tokens, less those that all demonstrations have: the template is in every query."""
    contexts, targets, shared = list[Sequence[int]](), list[int](), list[Counter[int]]()
    for sequence in training.sequences:
        shared.append(Counter(sequence.tokens[1 : sequence.answer_start]))
        for place, counts in enumerate(sequence.loss_mask):
            if counts:
                contexts.append(sequence.tokens[1:place])
                targets.append(sequence.tokens[place])

    template = reduce(and_, shared) if len(shared) > 1 else Counter[int]()

    def weights(hidden: Tensor, before: Sequence[Sequence[int]]) -> Tensor:
        alike = torch.tensor([[token_similarity(own, other, template) for other in contexts] for own in before])
        return alike / alike.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(alike.dtype).tiny)

    training.intervention = lambda: Intervention(
        logit_change=LookedUp(method.learning_rate, weights, torch.tensor(targets))
    )


def token_similarity(a: Sequence[int], b: Sequence[int], template: Counter[int]) -> float:
    """Cosine of the counts of their tokens beyond the template's if both end with the same token, else 0."""
    if not a or not b or a[-1] != b[-1]:
        return 0.0
    counts, others = Counter(a) - template, Counter(b) - template
    product = sum(count * others[token] for token, count in counts.items())
    squares = sum(n * n for n in counts.values()) * sum(n * n for n in others.values())
    return product / sqrt(squares) if product else 0.0


@dataclass(frozen=True, eq=False)
class LookedUp:
    """log((1 − λ) p + λ Σ_i w_i y_i) in place of log p, as a change of the logits."""

    share: float
    """λ"""
    weights: Callable[[Tensor, Sequence[Sequence[int]]], Tensor]
    """Of the answer tokens, by hidden states and the tokens before: `[rows, answers]`."""
    targets: Int[Tensor, " answers"]

    def __call__(
        self,
        hidden: Float[Tensor, "rows hidden"],
        logits: Float[Tensor, "rows vocabulary"],
        before: Sequence[Sequence[int]],
    ) -> Float[Tensor, "rows vocabulary"]:
        """As a `LogitChange`."""
        weights = self.weights(hidden, before).to(logits)
        looked_up = torch.zeros_like(logits).index_add_(-1, self.targets.to(logits.device), weights)
        log_probs = logits.log_softmax(dim=-1)
        share = self.share * (weights.sum(dim=-1, keepdim=True) > 0)  # nothing alike: nothing is mixed in
        mixed = torch.logaddexp(log_probs + torch.log1p(-share), looked_up.log() + share.log())
        return mixed - logits
