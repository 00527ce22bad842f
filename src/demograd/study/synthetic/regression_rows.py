"""What is measured of networks and references in worlds of regression problems."""

from collections.abc import Iterator
from copy import deepcopy
from functools import partial

import torch
from torch import Generator, Tensor

from demograd.study.rows import Row
from demograd.study.synthetic.paired import ratio_row, score_row, seeds_row
from demograd.study.synthetic.references import Tuned
from demograd.study.synthetic.schema import Network, SyntheticStudy
from demograd.study.synthetic.trained import Trained
from demograd.synthetic import (
    AttentionLayer,
    Learner,
    LinearRegression,
    Sequences,
    SmallTransformer,
    as_tokens,
    best_preconditioner,
    compare,
    effective_preconditioner,
    interpolated,
    order_spread,
    preconditioned_layer,
    predictions,
    run_layers,
    squared_error,
)

SENSITIVITY_SEQUENCES = 1024
"""How many test sequences sensitivities are compared on."""


def regression_rows(
    study: SyntheticStudy,
    name: str,
    references: list[Tuned],
    networks: dict[str, dict[int, Trained]],
    generator: Generator,
) -> Iterator[Row]:
    """All rows of one world."""
    world = study.world(name)
    begin = generator.get_state()

    def problems(context: int = study.context, scale: float = 1.0) -> Sequences:
        """The same problems at every scale: all randomness begins where it began."""
        generator.set_state(begin)
        drawn = world.draw(study.test_sequences, context, generator, scale=scale)
        assert isinstance(drawn, Sequences)
        return drawn

    trained = {
        network: [one.network for one in by_seed.values() if one.network is not None]
        for network, by_seed in networks.items()
    }
    whole = {network: there for network, there in trained.items() if len(there) == len(networks[network])}
    test = problems()
    losses = {network: [_losses(each, test) for each in there] for network, there in whole.items()}
    of_references = {one.label: _losses(one.learner, test) for one in references}
    for network, by_seed in networks.items():
        if network not in whole:
            failed = [one.status for one in by_seed.values() if one.status != "ok"]
            yield {**_tf(network), "metric": "loss", "n_seeds": len(by_seed),
                   "status": f"{failed[0]} ({len(failed)} of {len(by_seed)} seeds)"}  # fmt: skip
    for one in references:
        yield {**_reference(one), "metric": "loss", **score_row([of_references[one.label]])}
    for network, of_seeds in losses.items():
        yield {**_tf(network), "metric": "loss", **score_row(of_seeds)}
        for seed, loss in zip(networks[network], of_seeds, strict=True):
            yield {**_tf(network), "metric": "loss", "seed": seed, **score_row([loss])}
        for one in references:
            if one.suits(study.networks[network]):
                compared = {**_tf(network), "method": one.label}
                yield {**compared, "metric": "loss_ratio", **ratio_row(of_seeds, of_references[one.label])}
                yield from ({**compared, **row} for row in _comparison(whole[network], one.learner, test))
    yield from _margins(study, name, losses)
    yield from _by_layers(study, losses, references, of_references)
    for scale in sorted({1.0, *study.scales}) if study.scales else ():
        at = problems(scale=scale)
        yield from ({**row, "metric": "loss_at_scale", "at": scale} for row in _everyone(whole, references, at))
    for context in study.contexts:
        if context != study.context:
            at = problems(context)
            yield from ({**row, "metric": "loss", "k": context} for row in _everyone(whole, references, at))
    yield from _one_layer(study, name, whole, references, test)
    if study.orders:
        yield from _order_rows(study.orders, whole, references, test)


def _tf(network: str) -> Row:
    return {"model": network, "weights": "trained", "setting": "TF"}


def _reference(one: Tuned) -> Row:
    return {"setting": "reference", "method": one.label}


def _losses(learner: Learner, problems: Sequences) -> Tensor:
    return squared_error(learner(problems), problems.query_y).cpu()


def _everyone(
    networks: dict[str, list[SmallTransformer]], references: list[Tuned], problems: Sequences
) -> Iterator[Row]:
    for network, there in networks.items():
        yield {**_tf(network), **score_row([_losses(each, problems) for each in there])}
    for one in references:
        yield {**_reference(one), **score_row([_losses(one.learner, problems)])}


def _comparison(networks: list[SmallTransformer], reference: Learner, problems: Sequences) -> Iterator[Row]:
    few = Sequences(*(each[:SENSITIVITY_SEQUENCES] for each in vars(problems).values()))
    found = [compare(network, reference, few) for network in networks]
    for metric, bounds in (("prediction_difference", (0.0, torch.inf)), ("sensitivity_cosine", (-1.0, 1.0)),
                           ("sensitivity_distance", (0.0, torch.inf))):  # fmt: skip
        yield {"metric": metric, **score_row([getattr(one, metric).cpu() for one in found], bounds)}


def _margins(study: SyntheticStudy, name: str, losses: dict[str, list[Tensor]]) -> Iterator[Row]:
    """In a world drawn from a kernel: how much more other attention loses than attention with that kernel."""
    world = study.worlds[name]
    if world.kind != "kernel":
        return
    for matching in losses:
        if study.networks[matching].attention == world.kernel:
            for other, of_seeds in losses.items():
                rival = study.networks[other]
                if rival.attention != world.kernel and _but_for_attention(rival, study.networks[matching]):
                    margins = [one - best for one, best in zip(of_seeds, losses[matching], strict=True)]
                    yield {**_tf(other), "method": matching, "metric": "loss_margin", **score_row(margins)}


def _but_for_attention(one: Network, other: Network) -> bool:
    same = ("layers", "heads", "shared", "mlp")
    return all(getattr(one, name) == getattr(other, name) for name in same)


def _by_layers(
    study: SyntheticStudy, losses: dict[str, list[Tensor]], references: list[Tuned], of_references: dict[str, Tensor]
) -> Iterator[Row]:
    families: dict[str, dict[int, str]] = {}
    for network in losses:
        families.setdefault(_family(study.networks[network]), {})[study.networks[network].layers] = network
    several = {family: members for family, members in families.items() if len(members) > 1}
    for family, members in several.items():
        for layers, network in members.items():
            yield {**_tf(family), "metric": "loss_by_layers", "at": layers, **score_row(losses[network])}
    for one in references if several else ():
        if one.steps is not None and one.attention is None:
            yield {"setting": "reference", "method": one.kind, "metric": "loss_by_layers", "at": one.steps,
                   **score_row([of_references[one.label]])}  # fmt: skip


def _family(network: Network) -> str:
    parts = [f"{network.attention} attention"]
    parts += ["shared weights"] if network.shared else []
    parts += [f"{network.heads} heads"] if network.heads > 1 else []
    parts += [f"MLP of {network.mlp}"] if network.mlp else []
    return ", ".join(parts)


def _one_layer(
    study: SyntheticStudy,
    name: str,
    networks: dict[str, list[SmallTransformer]],
    references: list[Tuned],
    problems: Sequences,
) -> Iterator[Row]:
    """Of one-layer linear networks: the preconditioner in their weights, and the way from their weights to GD's."""
    world = study.world(name)
    for network, there in networks.items():
        settings = study.networks[network]
        if settings.layers > 1 or settings.attention != "linear" or settings.mlp:
            continue
        if isinstance(world, LinearRegression) and _is_ahns(world):
            best = best_preconditioner(world.covariance(), study.context, world.task)
            found = [effective_preconditioner(each.layers()[0], study.context).cpu().double() for each in there]
            distances = [float((each - best).norm() / best.norm()) for each in found]
            yield {**_tf(network), "method": "closed form (Ahn 2023)", "metric": "preconditioner_distance",
                   **seeds_row(distances, (0.0, torch.inf))}  # fmt: skip
        for one in references:
            if one.kind == "GD" and one.steps == 1 and settings.heads == 1:
                gd = preconditioned_layer(one.tensors["preconditioners"][0].float().to(study.device), study.context)
                for mix in study.mixes:
                    between = [partial(_through, interpolated(each.layers()[0], gd, mix)) for each in there]
                    yield {**_tf(network), "method": one.label, "metric": "loss_interpolated", "at": mix,
                           **score_row([_losses(each, problems) for each in between])}  # fmt: skip


def _is_ahns(world: LinearRegression) -> bool:
    """Whether the closed form is about such a world: Gaussian x and w, and no noise."""
    return world.inputs == "normal" and world.nonzero is None and not world.noise


def _through(layer: AttentionLayer, problems: Sequences) -> Tensor:
    return predictions(run_layers(as_tokens(problems), [layer]), problems.y.shape[-1])


def _order_rows(
    orders: int, networks: dict[str, list[SmallTransformer]], references: list[Tuned], problems: Sequences
) -> Iterator[Row]:
    """In float64, so that what does not depend on the order is seen not to."""
    drawn = [torch.randperm(problems.context, generator=Generator().manual_seed(n)) for n in range(orders)]
    few = Sequences(*(each[:SENSITIVITY_SEQUENCES].double() for each in vars(problems).values()))
    for network, there in networks.items():
        exact = [deepcopy(each).double() for each in there]
        yield {**_tf(network), "metric": "order_sensitivity_relative",
               **score_row([order_spread(each, few, drawn).cpu() for each in exact], (0.0, torch.inf))}  # fmt: skip
    for one in references:
        yield {**_reference(one), "metric": "order_sensitivity_relative",
               **score_row([order_spread(one.learner, few, drawn).cpu()], (0.0, torch.inf))}  # fmt: skip
