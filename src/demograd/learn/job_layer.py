"""One layer's key and value projections of many jobs, their gradient norms and their optimizer."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from demograd.learn.fine_tuning import FineTuning
from demograd.learn.job_projections import JobProjection
from demograd.learn.step import laid_out_as
from demograd.models import Anatomy, ParameterSlice


class JobLayer:
    """The trained projections of one layer, and the optimizer of all jobs' weights."""

    def __init__(self, number: int, projections: Sequence[JobProjection]) -> None:
        self.number, self.projections = number, projections
        self.parameters = [parameter for projection in projections for parameter in projection.parameters]

    @property
    def largest(self) -> float:
        """The largest magnitude of a weight."""
        return max(parameter.values[0].abs().max().item() for parameter in self.parameters)

    def make_optimizer(self, methods: Sequence[FineTuning]) -> None:
        """One group of parameters for each job, with its learning rate."""
        self._masters = [[parameter.masters[job] for parameter in self.parameters] for job in range(len(methods))]
        groups = [
            {"params": masters, "lr": method.learning_rate}
            for masters, method in zip(self._masters, methods, strict=True)
        ]
        self._optimizer: torch.optim.Optimizer
        if methods[0].optimizer == "adam":
            self._optimizer = torch.optim.Adam(groups, fused=True)
        else:
            self._optimizer = torch.optim.SGD(groups, momentum=methods[0].momentum)

    def gradient_norms(self, jobs: Sequence[int]) -> Tensor:
        """‖∇‖₂ over the layer's trained parameters, of each of these jobs; their gradients are then complete."""
        for parameter in self.parameters:
            parameter.finish_gradients(jobs)
        norms = [
            torch.stack([torch.linalg.vector_norm(parameter.gradient(job)) for job in jobs])
            for parameter in self.parameters
        ]
        return torch.linalg.vector_norm(torch.stack(norms), dim=0)

    @torch.no_grad()
    def step(self, jobs: Sequence[int], scales: Sequence[float]) -> None:
        """Step these jobs' masters along their gradients times scales; the others stay."""
        for job, scale in zip(jobs, scales, strict=True):
            for master, parameter in zip(self._masters[job], self.parameters, strict=True):
                gradient = parameter.gradient(job)
                master.grad = laid_out_as(master, gradient if scale == 1 else gradient * scale)
        self._optimizer.step()
        self._optimizer.zero_grad()
        for parameter in self.parameters:
            for job in jobs:
                parameter.write(job)

    def is_finite(self, job: int) -> bool:
        """Whether all weights of a job are, in the network's dtype."""
        return all(bool(parameter.values[job].isfinite().all()) for parameter in self.parameters)


def job_projections(
    anatomy: Anatomy, layer: int, method: FineTuning, trained: Sequence[ParameterSlice], jobs: int
) -> list[JobProjection]:
    """The projections of a layer in which something is trained."""
    modules = projections_of(anatomy, layer)
    if anatomy.architecture.fused is None:
        owners = {id(part.parameter) for part in trained}
        return [
            JobProjection(module, None, trained, jobs)
            for module in modules
            if any(id(parameter) in owners for parameter in module.parameters())
        ]
    rows = {part.part: part.index for part in anatomy.key_value_parameters(layer)}
    if method.parameters.which == "value":
        del rows["key"]
    together = torch.cat([index for index in rows.values() if index is not None]).sort().values
    return [JobProjection(modules[0], together, trained, jobs)]


def projections_of(anatomy: Anatomy, layer: int) -> list[nn.Module]:
    """The modules that hold a layer's key and value projections: one where they are fused."""
    architecture, attention = anatomy.architecture, anatomy.attentions[layer]
    names = [architecture.fused] if architecture.fused else [architecture.key, architecture.value]
    return [attention.get_submodule(name) for name in names]
