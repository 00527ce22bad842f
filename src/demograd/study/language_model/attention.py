"""Attention of the first queries to every token of their prompts, in a byte each."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from demograd.observe import Observation
from demograd.study.language_model.spec import Study
from demograd.words import ATTENTION_STEPS

ATTENTION = "attention"
"""The name of codes in a cell, behind the setting: `FT/attention`."""


def attention_codes(study: Study, observation: Observation) -> UInt8[Tensor, "queries layers heads tokens"]:
    """Codes of what the last token of each of the study's first queries attends to; the observation has recorded it."""
    assert observation.attention_weights is not None, "it was asked for"
    return encoded(observation.attention_weights[: study.attention_queries])


def encoded(probabilities: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape"]:
    """Probabilities in a byte each: code c stands for 2^((c − 255) / 12), which is within 3 %; 0 for less than 4e-7.

    The steps are even on a logarithmic scale, since most of some hundred tokens get less than a hundredth.
    """
    steps = ATTENTION_STEPS * probabilities.clamp(min=0.0).log2()
    return (255 + steps).nan_to_num().round().clamp(0, 255).to(torch.uint8)


def decoded(codes: UInt8[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """The probabilities that codes stand for."""
    values = np.exp2((np.arange(256) - 255) / ATTENTION_STEPS).astype(np.float32)
    values[0] = 0.0
    return values[codes]
