"""Constructions in a study: that they hold, and the attention layers that do what a tuned reference does."""

from collections.abc import Iterator

import torch
from torch import Tensor

from demograd.study.rows import number
from demograd.study.synthetic.references import Tuned
from demograd.study.synthetic.spec import SyntheticStudy
from demograd.synthetic import (
    CONSTRUCTIONS,
    AttentionKind,
    AttentionLayer,
    Descent,
    LinearSystem,
    Masks,
    Sequences,
    World,
    as_tokens,
    descent_layers,
    mesa_layers,
    predictions,
    products,
    run_layers,
)
from demograd.synthetic.constructions import functional_descent_layers
from demograd.words import Row, Setting


def construction_rows(study: SyntheticStudy) -> Iterator[Row]:
    """The largest error of each construction over random instances of random sizes, in float64."""
    for name, construction in CONSTRUCTIONS.items():
        worst = float(torch.tensor([construction.error(seed) for seed in range(study.instances)]).max())
        yield Row(
            setting=Setting.CONSTRUCTION,
            weights="constructed",
            method=name,
            metric="construction_error",
            dtype="float64",
            value=number(worst),
            n=study.instances,
            n_missing=0,
        )


def as_layers(reference: Tuned, world: World | LinearSystem) -> list[AttentionLayer] | None:
    """One layer per step, in float64; None for a reference that is no construction (SGD, ridge, …)."""
    if isinstance(reference.learner, Descent):
        return descent_layers(reference.learner)
    if reference.kind in ("functional GD", "functional GD, bandwidth"):
        bandwidth = float(reference.tensors["bandwidth"])
        return functional_descent_layers(reference.tensors["steps"].tolist(), world.dimension, bandwidth=bandwidth)
    if reference.kind == "mesa-optimiser":
        return mesa_layers(reference.tensors["steps"], reference.tensors["curvature"], world.dimension)
    return None


def predicted(layers: list[AttentionLayer], kind: AttentionKind, problems: Sequences) -> Tensor:
    """What layers that are no network predict of the queries' y `[sequences, outputs]`."""
    return predictions(run_layers(as_tokens(problems), layers, kind), problems.y.shape[-1])


def under_a_causal_mask(layers: list[AttentionLayer], tokens: int) -> list[AttentionLayer]:
    """The same layers for attention that takes the mean over `tokens` or fewer: the last token's step is as large."""
    return [AttentionLayer(*layer.matrices()[:3], tokens * layer.projection) for layer in layers]


def masked_products(layers: list[AttentionLayer], used: list[Masks] | None) -> list[list[tuple[Tensor, Tensor]]]:
    """Pairs of products and masks, layer by layer.

    `used`: the entries that are in use, as `in_use` says; None: that is not known, and all entries count.
    """
    by_layer = []
    for n, layer in enumerate(layers):
        pair = products(layer)
        masks = [torch.ones_like(product[0], dtype=torch.bool) for product in pair] if used is None else used[n]
        by_layer.append(
            [
                (of_head, mask.to(of_head.device))
                for product, mask in zip(pair, masks, strict=True)
                for of_head in product
            ]
        )
    return by_layer
