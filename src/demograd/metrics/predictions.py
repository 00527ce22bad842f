"""How well the model predicts the labels in one setting. Scores are [0, 1] except log-likelihoods (nats)."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from demograd.metrics.registry import LOG_PROBABILITY, SHARE, UNBOUNDED, metric
from demograd.observe.observation import Observation
from demograd.statistics.bootstrap import times_resampled


def correct(observation: Observation) -> Bool[Tensor, " queries"]:
    """Whether the label word with the highest mean log-probability is the gold one, and no other ties with it."""
    return credit(observation) == 1


def credit(observation: Observation) -> Float[Tensor, " queries"]:
    """1 where the gold label word alone has the highest mean log-probability, 1/m where it is one of m that tie.

    So no tie is decided by the order of the classes: this is what a fair draw among them gets on average.
    """
    return _predicted(observation).gather(-1, observation.gold.long()[:, None]).squeeze(-1).float()


@metric("accuracy", source="all", group="performance", table=None, per="setting", bounds=SHARE)
def accuracy(observation: Observation) -> float:
    """Share of queries predicted right.

    m classes that tie count 1/m.
    """
    return credit(observation).double().mean().item()


@metric("macro-F1", source="all", group="performance", table=None, per="setting", bounds=SHARE)
def macro_f1(observation: Observation) -> float:
    """F1 averaged over classes, gold or predicted.

    F1 = 2 hits / (times gold + times predicted), for classes that are gold or predicted somewhere. m classes that tie
    are each predicted 1/m times.
    """
    predicted = _predicted(observation)
    gold = torch.nn.functional.one_hot(observation.gold.long(), predicted.shape[-1])
    hits, times = (gold * predicted).sum(dim=0), (gold + predicted).sum(dim=0)
    return (2 * hits[times > 0] / times[times > 0]).mean().item()


@metric("AUC", source="all", group="performance", table=None, per="setting", bounds=SHARE)
def auc(observation: Observation) -> float:
    """How often a query of a class scores above one that is not; one against the rest.

    The area under the ROC curve; a tie counts half. The score of a class is its log-odds among the label words. Two
    classes: the difference of the two log-probabilities. More: one against the rest, averaged over the classes present.
    NaN (missing) where only one class is present.
    """
    everything = np.arange(len(observation.gold))[None]
    return resampled_auc(observation, everything).item()


def resampled_auc(
    observation: Observation, queries: Int[np.ndarray, "resamples queries_of_resample"]
) -> Float[np.ndarray, " resamples"]:
    """`auc` of each row of query indices, for the bootstrap (`statistic_interval`)."""
    scores, gold = _log_odds(observation).numpy(), observation.gold.numpy()
    times = times_resampled(queries, len(gold))
    one_vs_rest = [_rank_auc(scores[:, c], gold == c, times) for c in range(scores.shape[-1])]
    total, present = np.nansum(one_vs_rest, axis=0), np.isfinite(one_vs_rest).sum(axis=0)
    return np.where(present > 0, total / np.maximum(present, 1), np.nan)


def calibrated_correct(observation: Observation) -> Float[Tensor, " queries"]:
    """Whether class 1 is gold exactly where its score is above the median score, 1 or 0; at the median itself ½.

    Two classes only: otherwise all NaN (missing). The threshold makes half of the predictions each class, whatever the
    model's bias; a score at the median is on neither side.
    """
    log_probs = _finite_log_probs(observation).double()
    if log_probs.shape[-1] != 2:
        return torch.full(observation.gold.shape, torch.nan)
    score = log_probs[:, 1] - log_probs[:, 0]
    above = (score - score.quantile(0.5)).sign()
    gold_sign = 2.0 * observation.gold - 1.0
    return ((1 + above * gold_sign) / 2).float()


@metric("calibrated accuracy", source="all", group="performance", table=None, per="setting", bounds=SHARE)
def calibrated_accuracy(observation: Observation) -> float:
    """Accuracy with the threshold at the median score; two classes only.

    NaN (missing) unless there are two classes.
    """
    return calibrated_correct(observation).double().mean().item()


@metric("label log-likelihood", source="all", group="performance", table=None, per="query", bounds=LOG_PROBABILITY)
def label_log_likelihood(observation: Observation) -> Float[Tensor, " queries"]:
    """Mean log-probability of the gold label's tokens.

    Among the whole vocabulary, in nats.
    """
    return _of_gold(_finite_log_probs(observation), observation)


@metric(
    "normalised label log-likelihood",
    source="all",
    group="performance",
    table=None,
    per="query",
    bounds=LOG_PROBABILITY,
)
def normalised_label_log_likelihood(observation: Observation) -> Float[Tensor, " queries"]:
    """Log-probability of the gold label among the label words.

    Softmax over them alone, in nats. Unlike `label_log_likelihood` it does not rise when a model only learns that a
    label word comes next.
    """
    return _of_gold(_finite_log_probs(observation).log_softmax(dim=-1), observation)


@metric("format", source="demograd", group="performance", table=None, per="query", bounds=UNBOUNDED, name="format")
def format_log_likelihood(observation: Observation) -> Float[Tensor, " queries"]:
    """Log-probability of any label word at all, among all words; counts as no learning of a task.

    Log of the sum of the label words' probabilities among the whole vocabulary, in nats. `label_log_likelihood` =
    `normalised_label_log_likelihood` + this: the likelihood of a label is that of any label word at all, times its
    share among them. The first rises when a model learns that a label word comes next, whatever the query. Of a word of
    several tokens the probability is the geometric mean over them, so the sum can exceed 1.
    """
    return _finite_log_probs(observation).logsumexp(dim=-1)


def _of_gold(log_probs: Float[Tensor, "queries classes"], observation: Observation) -> Float[Tensor, " queries"]:
    return log_probs.gather(-1, observation.gold.long()[:, None]).squeeze(-1)


def _log_odds(observation: Observation) -> Float[Tensor, "queries classes"]:
    """log p(class) − log p(any other label word). It keeps apart what a normalised probability rounds to one.

    Worked out in float64 and rounded, so that classes summed in another order still tie.
    """
    log_probs = _finite_log_probs(observation).double()
    itself = torch.eye(log_probs.shape[-1], dtype=torch.bool)
    others = torch.where(itself, -torch.inf, log_probs[:, None, :]).logsumexp(dim=-1)
    return (log_probs - others).float()


def _rank_auc(
    scores: Float[np.ndarray, " queries"],
    positive: Bool[np.ndarray, " queries"],
    times: Float[np.ndarray, "resamples queries"],
) -> Float[np.ndarray, " resamples"]:
    """Mann and Whitney's U / (positives · negatives), each query counted so many times; NaN without positives or
    without negatives. Pairs are compared once, whatever is resampled: no resample is sorted."""
    above, below = scores[positive, None], scores[None, ~positive]
    wins = (above > below) + 0.5 * (above == below)
    positives, negatives = times[:, positive], times[:, ~positive]
    pairs = positives.sum(axis=-1) * negatives.sum(axis=-1)
    u = ((positives @ wins) * negatives).sum(axis=-1)
    return np.where(pairs > 0, u / np.maximum(pairs, 1), np.nan)


def _predicted(observation: Observation) -> Float[Tensor, "queries classes"]:
    """1 at the class that is predicted, 1/m at each of m that tie, else 0."""
    log_probs = _finite_log_probs(observation)
    top = (log_probs == log_probs.amax(dim=-1, keepdim=True)).double()
    return top / top.sum(dim=-1, keepdim=True)


def _finite_log_probs(observation: Observation) -> Float[Tensor, "queries classes"]:
    if not observation.label_log_probs.isfinite().all():
        raise ValueError("label_log_probs of the observation are not finite everywhere; did the model diverge?")
    return observation.label_log_probs
