"""A network's weights while it is trained: a few, at steps that are evenly spaced in their logarithm."""

import torch
from torch import Tensor

from demograd.files import Place, sealed_tensors, write_tensors
from demograd.synthetic import SmallTransformer

SNAPSHOTS = 9
"""At most, with the first step and without the last, after which there is the trained network itself."""


class Snapshots:
    """Takes the weights when it is told of a step, and keeps them in a file, so that a stopped run still has them.

    Training that goes on from a checkpoint passes some of the steps again, with the same weights.
    """

    def __init__(self, network: SmallTransformer, steps: int, file: Place) -> None:
        self._network, self._file = network, file
        self._steps = set(spaced_steps(steps, SNAPSHOTS + 1)) - {steps}
        self.tensors: dict[str, Tensor] = {}
        """`<step>/<parameter>`."""
        if file.is_file():
            with sealed_tensors(file) as stored:
                self.tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a dict)

    def take(self, done: int) -> None:
        """After so many steps; most are of no interest."""
        if done in self._steps:
            self.tensors |= {
                f"{done}/{name}": parameter.detach().cpu().clone()
                for name, parameter in self._network.named_parameters()
            }
            write_tensors(self._file, self.tensors)


def by_step(tensors: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """Step → parameters, of tensors named as a snapshot's are."""
    by_step_number: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        step, _, parameter = name.partition("/")
        by_step_number.setdefault(int(step), {})[parameter] = tensor
    return dict(sorted(by_step_number.items()))


def spaced_steps(last: int, points: int) -> list[int]:
    """From the first step to the last, so many of them or, where they round to the same, fewer."""
    spaced = torch.logspace(0, torch.log10(torch.tensor(float(last))).item(), points)
    return [int(step) for step in spaced.round().int().unique()]
