"""Each network against each reference that suits it: losses, predictions, and what those are sensitive to."""

from collections.abc import Iterator
from dataclasses import replace

import torch

from demograd.study.synthetic.named import of_network
from demograd.study.synthetic.paired import ratio_row, score_row
from demograd.study.synthetic.regression.tested import Tested
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
        for one in tested.references:
            if not one.suits(tested.study.networks[network]):
                continue
            pair = replace(of_network(network), method=one.label)
            below = tested.reference_losses[one.label]
            yield replace(pair, metric="loss_ratio") | ratio_row(of_seeds, below)
            for seed, of_seed in zip(tested.study.seeds, of_seeds, strict=True):
                yield replace(pair, metric="loss_ratio", seed=seed) | ratio_row([of_seed], below)
            found = [compare(each, one.learner, tested.few) for each in tested.networks[network]]
            for metric, bounds in BOUNDS.items():
                scores = [getattr(each, metric).cpu() for each in found]
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
                    yield replace(pair, metric=metric) | score_row(scores, bounds)
