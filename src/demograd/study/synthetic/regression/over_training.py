"""When does a network come to do what a reference does? Sensitivities at a few steps of training."""

from collections.abc import Iterator
from dataclasses import replace

from demograd.study.synthetic.named import of_network
from demograd.study.synthetic.paired import score_row
from demograd.study.synthetic.regression.against import BOUNDS
from demograd.study.synthetic.regression.tested import Tested
from demograd.study.synthetic.units import Trained
from demograd.synthetic import compare
from demograd.words import Row

METRIC = "sensitivity_cosine"


def over_training_rows(tested: Tested, networks: dict[str, dict[int, Trained]]) -> Iterator[Row]:
    """`sensitivity_cosine` of network and reference with the `step` after which it was, the last one too."""
    if tested.problems.x.shape[-1] == 1:  # where it is a sign
        return
    for name, there in tested.networks.items():
        suited = [one for one in tested.references if one.suits(tested.study.networks[name])]
        snapshots = [one.snapshots for one in networks[name].values()]
        kept = set(snapshots[0]).intersection(*snapshots)  # as one of them may be of a run that kept other steps
        at = {step: [of_seed[step] for of_seed in snapshots] for step in sorted(kept)}
        for step, of_seeds in {**at, tested.study.training_of(name).steps: there}.items():
            for one in suited:
                found = [getattr(compare(each, one.learner, tested.few), METRIC).cpu() for each in of_seeds]
                yield replace(of_network(name), method=one.label, metric=METRIC, step=step) | score_row(
                    found, BOUNDS[METRIC]
                )
