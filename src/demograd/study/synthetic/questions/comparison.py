"""Networks against references and against each other: losses, predictions, and what those are sensitive to."""

from collections.abc import Iterator
from dataclasses import replace

import torch

from demograd.statistics import difference
from demograd.study.synthetic.questions.problems import Tested
from demograd.study.synthetic.questions.training import on_the_way
from demograd.study.synthetic.rows import claimed_ratio, claimed_scores, of_network, ratio_row, score_row, seeds_row
from demograd.study.synthetic.spec import Network
from demograd.study.synthetic.units import Trained
from demograd.synthetic import compare
from demograd.words import Row

BOUNDS = {
    "prediction_difference": (0.0, torch.inf),
    "sensitivity_cosine": (-1.0, 1.0),
    "sensitivity_distance": (0.0, torch.inf),
}
"""What is compared → between which values it lies."""
ONE_DIMENSION = "in one dimension a cosine is a sign"


def against_rows(tested: Tested) -> Iterator[Row]:
    """`loss_ratio`, also seed by seed, and the mean over test sequences of each field of a comparison."""
    for network, of_seeds in tested.losses.items():
        for reference in tested.references:
            if not reference.suits(tested.study.networks[network]):
                continue
            pair = replace(of_network(network), method=reference.label)
            below = tested.reference_losses[reference.label]
            yield claimed_ratio(replace(pair, metric="loss_ratio") | ratio_row(of_seeds, below), of_seeds, below)
            for seed, of_seed in zip(tested.study.seeds, of_seeds, strict=True):
                yield replace(pair, metric="loss_ratio", seed=seed) | ratio_row([of_seed], below)
            comparisons = [
                compare(transformer, reference.learner, tested.few) for transformer in tested.networks[network]
            ]
            for metric, bounds in BOUNDS.items():
                scores = [getattr(comparison, metric).cpu() for comparison in comparisons]
                if metric == "sensitivity_cosine" and tested.problems.x.shape[-1] == 1:
                    yield replace(
                        pair,
                        metric=metric,
                        n=0,
                        n_missing=sum(map(len, scores)),
                        n_seeds=len(scores),
                        status=ONE_DIMENSION,
                    )
                else:
                    row = replace(pair, metric=metric) | score_row(scores, bounds)
                    yield claimed_scores(row, scores) if metric == "sensitivity_cosine" else row


METRIC = "sensitivity_cosine"


def over_training_rows(tested: Tested, networks: dict[str, dict[int, Trained]]) -> Iterator[Row]:
    """`sensitivity_cosine` of network and reference with the `step` after which it was, the last one too."""
    if tested.problems.x.shape[-1] == 1:  # where it is a sign
        return
    for name, transformers in tested.networks.items():
        suited = [reference for reference in tested.references if reference.suits(tested.study.networks[name])]
        steps = tested.study.training_of(name).steps
        for step, of_seeds in {**on_the_way(networks[name]), steps: transformers}.items():
            for reference in suited:
                cosines = [
                    getattr(compare(transformer, reference.learner, tested.few), METRIC).cpu()
                    for transformer in of_seeds
                ]
                yield replace(of_network(name), method=reference.label, metric=METRIC, step=step) | score_row(
                    cosines, BOUNDS[METRIC]
                )


def margin_rows(tested: Tested) -> Iterator[Row]:
    """`loss_margin` of each network over each that matches, paired by seed and by test sequence.

    Where one of the two diverged the margin is missing: the lowest of all is not the lowest of those that did not.
    """
    world, networks = tested.study.worlds[tested.world], tested.study.networks
    if world.kind != "kernel":
        return
    for matching in (name for name in networks if networks[name].attention == world.kernel):
        for other in (name for name in networks if networks[name].attention != world.kernel):
            if but_for_attention(networks[other], networks[matching]):
                pair = replace(of_network(other), method=matching, metric="loss_margin")
                if why := [f"“{name}” {tested.failed[name]}" for name in (other, matching) if name in tested.failed]:
                    yield replace(pair, n_seeds=len(tested.study.seeds), status=" and ".join(why))
                else:
                    of_both = zip(tested.losses[other], tested.losses[matching], strict=True)
                    margins = [difference(losses, best) for losses, best in of_both]
                    yield claimed_scores(pair | score_row(margins), margins)


def descent_rows(tested: Tested) -> Iterator[Row]:
    """`loss_ratio` and `prediction_difference` of a network to the one whose attention is that of GD steps, by seed.

    **Source:** von Oswald 2023a, Figure 4. Of one component a cosine of sensitivities is a sign, so nothing is claimed.
    """
    networks = tested.study.networks
    for network, of_seeds in tested.losses.items():
        for other in tested.losses:
            apart = networks[other].model_copy(update={"descent": False, "training": networks[network].training})
            if not networks[other].descent or apart != networks[network]:
                continue
            pair, both = replace(of_network(network), method=other), zip(of_seeds, tested.losses[other], strict=True)
            ratios = [float(losses.mean() / below.mean()) for losses, below in both]
            yield replace(pair, metric="loss_ratio") | seeds_row(ratios, (0.0, torch.inf))
            for seed, ratio in zip(tested.study.seeds, ratios, strict=True):
                yield replace(pair, metric="loss_ratio", seed=seed) | seeds_row([ratio], (0.0, torch.inf))
            differences = [
                (first(tested.few) - second(tested.few)).norm(dim=-1).cpu()
                for first, second in zip(tested.networks[network], tested.networks[other], strict=True)
            ]
            yield replace(pair, metric="prediction_difference") | score_row(differences, (0.0, torch.inf))


def but_for_attention(network: Network, other: Network) -> bool:
    """Whether two networks differ in nothing that they could compute, but in their attention.

    How they were trained, and from how large weights, may differ: kinds of attention want other learning rates and
    other beginnings (exponential attention explodes where linear attention barely learns), so a fair race gives each
    kind its own.
    """
    same = ["layers", "heads", "shared", "mlp", "by_inputs", "extra", "free", "bound"]
    same += ["positions", "first", "features", "descent"]
    return all(getattr(network, name) == getattr(other, name) for name in same)
