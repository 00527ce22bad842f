"""The memory that a worker needs, roughly: weights, what is trained of them, and the largest graph or pack."""

from demograd.models import Weights
from demograd.models.load import DTYPES
from demograd.observe.observe import PACK_TOKENS
from demograd.study.plan.blueprint import Blueprint
from demograd.study.plan.work import WorldWork
from demograd.study.schema import Study

MASTER = 4
"""Bytes of a float32 number."""


def peak_bytes(study: Study, blueprint: Blueprint, work: WorldWork) -> int:
    """The most bytes at once in a world; a graph keeps what blocks computed."""
    itemsize = DTYPES[study.dtype].itemsize
    weights = network_bytes(study, blueprint, work.world.weights)
    observing = max((_observing(blueprint, one.sizes.context, itemsize) for one in work.observations), default=0)
    tuning = 0
    for one in work.tunings:
        method = study.method(one.method, one.learning_rate)
        trained = sum(blueprint.trained_entries(method.parameters).values())
        adam = 2 * MASTER if method.optimizer == "adam" else 0
        kept = trained * (itemsize + 2 * MASTER + adam)  # the original, its master and its gradient
        tokens = max(sequence.tokens for sequences in one.trained for sequence in sequences)
        graph_layers = 1 if method.layer_causal else blueprint.layers
        activations = tokens * blueprint.activations_per_token * graph_layers * itemsize
        logits = 3 * tokens * blueprint.vocabulary * MASTER
        tuning = max(tuning, kept + activations + logits)
    return weights + max(observing, tuning)


def network_bytes(study: Study, blueprint: Blueprint, weights: Weights) -> int:
    """Of weights: an untrained network is drawn beside the trained one; a checkpoint is held against the last."""
    others = weights != "trained" or len(study.models) > 1
    return blueprint.parameters * DTYPES[study.dtype].itemsize * (2 if others else 1)


def _observing(blueprint: Blueprint, context: int, itemsize: int) -> int:
    """A pack behind the context's keys and values."""
    cache = 2 * context * blueprint.attention_width * blueprint.layers * itemsize
    return cache + (PACK_TOKENS + context) * blueprint.activations_per_token * itemsize
