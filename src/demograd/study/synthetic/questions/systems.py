"""Networks and references in linear systems: the error of each next state, time by time."""

from collections.abc import Iterator
from dataclasses import replace

from torch import Generator, Tensor

from demograd.study.synthetic.questions.probes import probe_rows
from demograd.study.synthetic.questions.training import clamped_rows
from demograd.study.synthetic.references import Tuned
from demograd.study.synthetic.rows import (
    claimed_ratio,
    failed_row,
    finished_networks,
    loss_row,
    of_network,
    of_reference,
    ratio_row,
)
from demograd.study.synthetic.spec import SyntheticStudy
from demograd.study.synthetic.units import Trained
from demograd.synthetic import LinearSystem, Trajectories, infinite_if_undefined, ridge_so_far, squared_error
from demograd.words import Row


def system_rows(
    study: SyntheticStudy,
    name: str,
    references: list[Tuned],
    networks: dict[str, dict[int, Trained]],
    generator: Generator,
) -> Iterator[Row]:
    """Rows over all times, and `loss_by_position` at each number of states seen."""
    trajectories = study.world(name).draw(study.test_sequences, study.context, generator)
    assert isinstance(trajectories, Trajectories)

    def errors(predicted: Tensor) -> Tensor:
        """`[sequences, times − 1]`: of the state after each but the last; infinite where a learner diverged."""
        return infinite_if_undefined(squared_error(predicted[:, :-1], trajectories.states[:, 1:])).cpu()

    if study.probes:
        yield from probe_rows(study, name, references, networks, trajectories)
    if study.few_shot:
        yield from few_shot_rows(study, name, references, networks, generator)
    of_references = {reference.label: errors(reference.learner(trajectories)) for reference in references}
    for reference in references:
        yield from _of_learner(of_reference(reference), [of_references[reference.label]])
    yield from filter(None, (failed_row(network, by_seed) for network, by_seed in networks.items()))
    yield from clamped_rows(finished_networks(networks), trajectories)
    for network, transformers in finished_networks(networks).items():
        shared = of_network(network)
        errors_by_seed = [errors(transformer(trajectories)) for transformer in transformers]
        yield from _of_learner(shared, errors_by_seed)
        for seed, of_seed in zip(networks[network], errors_by_seed, strict=True):
            yield replace(shared, metric="loss", seed=seed) | loss_row([of_seed.mean(dim=1)])
        for reference in references:
            if reference.suits(study.networks[network]):
                below, compared = of_references[reference.label], replace(shared, method=reference.label)
                whole_losses = [of_seed.mean(dim=1) for of_seed in errors_by_seed]
                yield replace(compared, metric="loss_ratio") | ratio_row(whole_losses, below.mean(dim=1))
                for seed, of_seed in zip(networks[network], whole_losses, strict=True):
                    yield replace(compared, metric="loss_ratio", seed=seed) | ratio_row([of_seed], below.mean(dim=1))
                for t in range(below.shape[1]):
                    row, errors_then = replace(compared, metric="loss_ratio_by_position", at=float(t + 1)), below[:, t]
                    of_seeds = [of_seed[:, t] for of_seed in errors_by_seed]
                    yield claimed_ratio(row | ratio_row(of_seeds, errors_then), of_seeds, errors_then)


def few_shot_rows(
    study: SyntheticStudy,
    name: str,
    references: list[Tuned],
    networks: dict[str, dict[int, Trained]],
    generator: Generator,
) -> Iterator[Row]:
    """`few_shot_loss`: the error in y_i where states are x_1, y_1, x_2, y_2, …, after `at` pairs (von Oswald 2023b).

    Nobody was trained or tuned on these; beside them stands least squares that knows which states are pairs.
    """
    world = study.world(name)
    assert isinstance(world, LinearSystem)
    trajectories = world.draw_few_shot(study.test_sequences, study.context // 2, generator)
    x, y = trajectories.states[:, 0::2], trajectories.states[:, 1::2]

    def rows(shared: Row, predicted: list[Tensor]) -> Iterator[Row]:
        errors = [infinite_if_undefined(squared_error(of_seed, y)).cpu() for of_seed in predicted]
        for n in range(y.shape[1]):
            yield replace(shared, metric="few_shot_loss", at=float(n)) | loss_row([of_seed[:, n] for of_seed in errors])

    for network, transformers in finished_networks(networks).items():
        yield from rows(of_network(network), [transformer(trajectories)[:, 0::2] for transformer in transformers])
    for reference in references:
        yield from rows(of_reference(reference), [reference.learner(trajectories)[:, 0::2]])
        if reference.kind == "regularised least squares":
            on_pairs = ridge_so_far(x.double(), y.double(), x.double(), float(reference.tensors["penalty"]))
            yield from rows(
                replace(of_reference(reference), method=f"{reference.label}, pairs alone"), [on_pairs.to(y)]
            )


def _of_learner(shared: Row, errors: list[Tensor]) -> Iterator[Row]:
    yield replace(shared, metric="loss") | loss_row([of_seed.mean(dim=1) for of_seed in errors])
    for t in range(errors[0].shape[1]):
        yield replace(shared, metric="loss_by_position", at=float(t + 1)) | loss_row(
            [of_seed[:, t] for of_seed in errors]
        )
