"""How long it takes to load weights, and to measure them without a pass: guessed, for they may not be here."""

from demograd.models.load import DTYPES
from demograd.study.language_model.networks import THRESHOLDS
from demograd.study.plan.blueprint import Blueprint
from demograd.study.schema import Study

READING = 2e9
"""Bytes of weights a second, read from a file, converted and hashed; or gone through in memory."""
FLOAT32 = 4
"""Bytes: what single weights are compared in."""


def loading_seconds(study: Study, blueprint: Blueprint) -> float:
    """Until the trained network is there."""
    return blueprint.parameters * DTYPES[study.dtype].itemsize / READING


def measuring_seconds(study: Study, blueprint: Blueprint, what: str) -> float:
    """Of a measure of a network alone: `sparsity`, or `training_time`, for which the last checkpoint is loaded too."""
    if what == "sparsity":
        entries = sum(one.numel() for module in blueprint.anatomy.attentions for one in module.parameters())
        return entries * FLOAT32 * (1 + len(THRESHOLDS)) / READING
    return loading_seconds(study, blueprint) + 2 * blueprint.parameters * FLOAT32 / READING
