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
    return _credit(_predicted(observation), observation)


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

    The area under the ROC curve; a tie counts half. The score of a class is its log-probability minus the mean over the
    label words. Two classes: the order of the difference of the two log-probabilities, as usual. More: one against the
    rest, averaged over the classes present. A bias towards a label word moves its score alike for every query, so it
    changes nothing here; probabilities would let it, for more than two classes. NaN (missing) where only one class is
    present.
    """
    everything = np.arange(len(observation.gold))[None]
    return resampled_auc(observation, everything).item()


def resampled_auc(
    observation: Observation, queries: Int[np.ndarray, "resamples queries_of_resample"]
) -> Float[np.ndarray, " resamples"]:
    """`auc` of each row of query indices, for the bootstrap (`statistic_interval`).

    A class that a resample lacks is left out of its average, in every setting alike.
    """
    scores, gold = _centred(observation).float().numpy(), observation.gold.numpy()
    times = times_resampled(queries, len(gold))
    one_vs_rest = [_rank_auc(scores[:, c], gold == c, times) for c in range(scores.shape[-1])]
    total, present = np.nansum(one_vs_rest, axis=0), np.isfinite(one_vs_rest).sum(axis=0)
    return np.where(present > 0, total / np.maximum(present, 1), np.nan)


def calibrated_correct(observation: Observation) -> Float[Tensor, " queries"]:
    """Whether the gold class has the highest calibrated score, 1 or 0; 1/m where it is one of m that tie.

    The score of a class is its log-probability minus the mean over the label words; calibrated, minus its median over
    the queries (all of them, also in resamples). So no bias towards a label word changes it, and no unlabelled example
    is needed for that, as in the calibration of Zhao 2021. Of two classes, class 1 is predicted exactly where the
    difference of the log-probabilities is above its median, which makes half of the predictions each class. With more,
    how often a class is predicted depends on its scores: of a class of less than half of the queries, the median is
    that of the queries that are not of it.
    """
    centred = _centred(observation)
    calibrated = (centred - centred.quantile(0.5, dim=0)).float()
    return _credit(_top(calibrated), observation)


@metric("calibrated accuracy", source="all", group="performance", table=None, per="setting", bounds=SHARE)
def calibrated_accuracy(observation: Observation) -> float:
    """Accuracy after each label word's median score over the queries is taken out.

    Two classes: with the threshold at the median score. More: see `calibrated_correct`.
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


def _centred(observation: Observation) -> Float[Tensor, "queries classes"]:
    """log p(class) − its mean over the label words, in float64; to be rounded, so that what only rounding tells apart
    ties. It keeps apart what a normalised probability rounds to one."""
    log_probs = _finite_log_probs(observation).double()
    return log_probs - log_probs.mean(dim=-1, keepdim=True)


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
    return _top(_finite_log_probs(observation))


def _top(scores: Float[Tensor, "queries classes"]) -> Float[Tensor, "queries classes"]:
    """1 at the class that is predicted, 1/m at each of m that tie, else 0."""
    top = (scores == scores.amax(dim=-1, keepdim=True)).double()
    return top / top.sum(dim=-1, keepdim=True)


def _credit(predicted: Float[Tensor, "queries classes"], observation: Observation) -> Float[Tensor, " queries"]:
    return _of_gold(predicted, observation).float()


def _finite_log_probs(observation: Observation) -> Float[Tensor, "queries classes"]:
    if not observation.label_log_probs.isfinite().all():
        raise ValueError("label_log_probs of the observation are not finite everywhere; did the model diverge?")
    return observation.label_log_probs
