"""What is measured on a network alone: no prompt, no fine-tuning (Shen 2023, figures 2 and 3)."""

from collections.abc import Callable, Iterator

import torch

from demograd.metrics import parameter_distance, sparsity_ratio
from demograd.models import Model, load_model
from demograd.study.schema import Study
from demograd.study.store.folder import CellRecord

THRESHOLDS = (1e-4, 1e-3, 1e-2, 3e-2, 1e-1)
"""Magnitudes under which a weight counts as zero (Shen 2023, figure 2, varies them)."""


def measure_network(study: Study, what: str, load: Callable[[], Model]) -> CellRecord:
    """`sparsity`: [layers, thresholds] over the query, key, value and output matrices; `training_time`: the distance
    to the last checkpoint [layers]."""
    model = load()
    if what == "sparsity":
        ratios = sparsity_ratio(_attention_matrices(model), THRESHOLDS)
        return CellRecord({"sparsity_ratio": ratios}, {"thresholds": list(THRESHOLDS)})
    last = load_model(study.models[-1], device=study.device, dtype=study.dtype)
    distances = parameter_distance(_by_layer(model), _by_layer(last)).by_name
    return CellRecord({"parameter_distance": torch.tensor(list(distances.values()))}, {})


def _by_layer(model: Model) -> Iterator[tuple[str, torch.Tensor]]:
    for layer, block in enumerate(model.anatomy.blocks):
        yield from ((str(layer), parameter) for parameter in block.parameters())


def _attention_matrices(model: Model) -> dict[int, list[torch.Tensor]]:
    """Per layer, all matrices (not biases or norms) of the attention module, fused ones as they are."""
    return {
        layer: [parameter for parameter in attention.parameters() if parameter.dim() == 2]
        for layer, attention in enumerate(model.anatomy.attentions)
    }
