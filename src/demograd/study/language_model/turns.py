"""Turns: the demonstration sets that are trained before any is observed, those whose tuned weights are held at once."""

from dataclasses import replace
from math import ceil

import torch

from demograd.learn import FineTuning, Method
from demograd.learn.parameters import slices_of_layers
from demograd.learn.rivals.readout import ReadoutGradientDescent
from demograd.models import Anatomy
from demograd.models.load import DTYPES
from demograd.study.language_model.spec import Study

HELD_BYTES = 8 << 30
"""Tuned weights that are held at once, in memory and in temporary files; where those of all sets are more, the sets
take turns."""


def sets_at_once(study: Study, anatomy: Anatomy, method: Method, trainings: int, sets: int) -> int:
    """How many of a group's demonstration sets are trained in a turn.

    Args:
        study: what is observed.
        anatomy: a network's, or a blueprint's: its shapes alone matter.
        method: how they are trained.
        trainings: how often a method is trained on a set: FT, its controls and other orders.
        sets: how many there are.
    """
    return max(1, min(sets, HELD_BYTES // held_bytes(study, anatomy, method, trainings)))


def held_bytes(study: Study, anatomy: Anatomy, method: Method, trainings: int) -> int:
    """Bytes of what is held of one demonstration set, weights or a change of the readout: at the end of each training,
    and of FT before."""
    held = trainings + len(study.observe_at)
    if isinstance(method, ReadoutGradientDescent):  # a row of the vocabulary for each answer's token, mostly one
        return max(study.k) * anatomy.unembedding.weight.shape[0] * torch.float32.itemsize * held
    if not isinstance(method, FineTuning):
        return 1  # any other intervention is small beside weights
    subset = method.parameters
    slices = slices_of_layers(anatomy, replace(subset, fraction=1.0))  # a blueprint has no entries to draw from
    entries = sum(part.select(part.parameter).numel() for parts in slices.values() for part in parts)
    return ceil(entries * subset.fraction) * DTYPES[study.dtype].itemsize * held
