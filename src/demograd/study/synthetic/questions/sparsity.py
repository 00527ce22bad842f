"""How many weights are nearly zero: in the factors K, Q, V and P, and in the products that a layer depends on."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.metrics import sparsity_ratio
from demograd.study.rows import number
from demograd.study.synthetic.constructions import as_layers, masked_products
from demograd.study.synthetic.references import Tuned
from demograd.study.synthetic.rows import finished_networks
from demograd.study.synthetic.spec import SyntheticStudy
from demograd.study.synthetic.units import Trained
from demograd.synthetic import AttentionLayer, LinearSystem, Masks, gradient_descent_layers, in_use, mesa_layers
from demograd.synthetic.settings import FreeBlocks
from demograd.words import Row, Weights

THRESHOLDS = (1e-4, 1e-3, 1e-2, 3e-2, 1e-1)
"""Those of a language model's sparsity (Shen 2023, figure 2)."""


def sparsity_rows(
    study: SyntheticStudy, name: str, references: list[Tuned], networks: dict[str, dict[int, Trained]]
) -> Iterator[Row]:
    """Rows of a world's trained networks and constructions: `sparsity_ratio_products`, and `sparsity_ratio` of factors.

    A full K that was trained is dense whatever it does, for any invertible matrix can go from Kᵀ into Q (and from V
    into P): what its factors say of a small network is how it was trained. A language model's heads are too narrow for
    products of them to be sparse, so factors are all that both have, and all that can stand beside the paper's figure.
    """
    for network, transformers in finished_networks(networks).items():
        layers, about = (
            [transformer.layers() for transformer in transformers],
            Row(weights=Weights.TRAINED, model=network),
        )
        settings = study.networks[network]
        used = _used(
            study,
            name,
            settings.layers,
            shared=settings.shared,
            mlp=bool(settings.mlp),
            by_inputs=settings.by_inputs,
            free=settings.free,
        )
        used = None if settings.positions or settings.features else used
        yield from _product_rows(layers, used, about)
        yield from _factor_rows(layers, about)
    for reference in references:
        built = as_layers(reference, study.world(name))
        if built is not None:
            used = _used(study, name, len(built), shared=bool(reference.shared))
            yield from _product_rows([built], used, Row(weights="constructed", model=reference.label))
    about = Row(weights="constructed", model="construction")
    yield from _factor_rows([_construction(study, name)], about)


def relative_sparsity(
    products: Sequence[tuple[Tensor, Tensor]], thresholds: Sequence[float]
) -> Float[Tensor, " thresholds"]:
    """Share of the entries that count with a magnitude under each threshold × the largest that counts, in its matrix.

    Relative, for c QᵀK and PV / c are the same linear layer. A matrix of nothing but zeros is all under. `products`
    are pairs of a matrix and the mask of its entries that count; all of them count alike. NaN where none does.
    """
    below, total = torch.zeros(len(thresholds)), 0
    for matrix, counts in products:
        magnitudes = matrix[counts].detach().abs().cpu().double()
        if len(magnitudes):
            limits = torch.tensor(thresholds, dtype=torch.float64) * magnitudes.max()
            below += ((magnitudes < limits[:, None]) | (magnitudes == 0)).sum(dim=1)
            total += len(magnitudes)
    return below / total


def _used(
    study: SyntheticStudy,
    name: str,
    layers: int,
    *,
    shared: bool,
    mlp: bool = False,
    by_inputs: bool = False,
    free: FreeBlocks = "all",
) -> list[Masks] | None:
    """What can change a prediction; None in a linear system, which reads every token, and others of its parts."""
    if study.worlds[name].kind == "system":
        return None
    return in_use(layers, study.world(name).dimension, shared=shared, mlp=mlp, by_inputs=by_inputs, free=free)


def _product_rows(networks: list[list[AttentionLayer]], used: list[Masks] | None, about: Row) -> Iterator[Row]:
    by_layer = torch.stack(
        [
            torch.stack([relative_sparsity(pairs, THRESHOLDS) for pairs in masked_products(layers, used)])
            for layers in networks
        ]
    )
    yield from _rows("sparsity_ratio_products", by_layer, about)


def _factor_rows(networks: list[list[AttentionLayer]], about: Row) -> Iterator[Row]:
    matrices = [{n: layer.matrices() for n, layer in enumerate(layers)} for layers in networks]
    yield from _rows(
        "sparsity_ratio", torch.stack([sparsity_ratio(of_layers, THRESHOLDS) for of_layers in matrices]), about
    )


def _rows(metric: str, shares: Float[Tensor, "networks layers thresholds"], about: Row) -> Iterator[Row]:
    """Means over networks: over all layers, and of each."""
    shared = replace(about, metric=metric, n=len(shares), n_missing=0)
    for at, column in zip(THRESHOLDS, shares.mean(dim=0).T, strict=True):
        yield replace(shared, at=at, value=number(float(column.mean())))
        for layer, value in enumerate(column.tolist()):
            yield replace(shared, at=at, layer=layer, value=number(value))


def _construction(study: SyntheticStudy, name: str) -> list[AttentionLayer]:
    """The construction that the paper's argument is about, as wide as a world's networks: GD from any W₀."""
    world = study.world(name)
    if isinstance(world, LinearSystem):
        return mesa_layers([1.0], [1.0], world.dimension)
    return gradient_descent_layers([1.0], study.context, torch.ones(1, world.dimension, dtype=torch.float64))
