"""A key, value or fused projection with weights of its own for each of many jobs that are trained together.

In place of the projection's own forward pass, every job's rows go through that job's weights; rows of a fused matrix
that are not trained are shared, and stay as they are. Gradients go straight into buffers `[jobs, rows, in]` that every
step uses again: on a CPU, memory that is new to a process costs more than the products that fill it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from demograd.learn.parameters import exact_dtype
from demograd.models import ParameterSlice

Span = tuple[int, int, int]
"""A job's number, and where its rows begin and end."""


class JobProjection:
    """The trained rows of one projection `[jobs, rows, in]`, and of its bias `[jobs, rows]`."""

    def __init__(self, module: Any, rows: Tensor | None, trained: Sequence[ParameterSlice], jobs: int) -> None:
        """
        Args:
            module: a linear map, `nn.Linear` or GPT-2's `Conv1D`.
            rows: the outputs of which something is trained; None: all of them.
            trained: what is trained of them.
            jobs: the number of jobs.
        """
        self.module = module
        output_dim = output_dimension(module)
        self.weight = JobParameter(module.weight, rows, output_dim, trained, jobs)
        bias = getattr(module, "bias", None)
        self.bias = None if bias is None else JobParameter(bias, rows, 0, trained, jobs)
        self.shared: _SharedRows | None = None
        if rows is not None:
            others = torch.ones(module.weight.shape[output_dim], dtype=torch.bool, device=rows.device)
            others[rows] = False
            self.shared = _SharedRows(module, others.nonzero().squeeze(1), rows, output_dim)
        self.spans: Sequence[Span] = ()
        """Of the pass that runs."""
        self._anchor = torch.zeros((), device=module.weight.device, requires_grad=True)

    @property
    def parameters(self) -> "list[JobParameter]":
        """Those of which something is trained."""
        return [part for part in (self.weight, self.bias) if part is not None and part.is_trained]

    @contextmanager
    def standing_in(self) -> Iterator[None]:
        """Inside this block the network's projection computes with the jobs' weights."""
        own = vars(self.module).get("forward")
        self.module.forward = self._forward
        try:
            yield
        finally:
            if own is None:
                del self.module.forward
            else:
                self.module.forward = own

    def _forward(self, inputs: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        outputs: Tensor = _Projected.apply(inputs.flatten(0, -2), self._anchor, self)
        return outputs.unflatten(0, inputs.shape[:-1])

    def project(self, inputs: Float[Tensor, "tokens in"]) -> Float[Tensor, "tokens out"]:
        """Every job's rows through its own weights, and all through the shared ones."""
        learned = inputs.new_empty(len(inputs), self.weight.values.shape[1])
        for job, start, end in self.spans:
            weight, out = self.weight.values[job].T, learned[start:end]
            if self.bias is None:
                torch.mm(inputs[start:end], weight, out=out)
            else:
                torch.addmm(self.bias.values[job], inputs[start:end], weight, out=out)
        return learned if self.shared is None else self.shared.joined(inputs, learned)

    def descend(self, inputs: Tensor, gradient: Tensor, *, to_inputs: bool) -> Tensor | None:
        """Add the gradients of every job's weights to its own; the gradient of the inputs, where it is needed."""
        of_inputs = torch.empty_like(inputs) if to_inputs else None
        if self.shared is not None:
            if to_inputs:
                of_inputs = gradient.index_select(1, self.shared.rows) @ self.shared.weight
            gradient = gradient.index_select(1, self.shared.learned_rows)
        for job, start, end in self.spans:
            outputs, rows = gradient[start:end], inputs[start:end]
            if of_inputs is not None:
                weight = self.weight.values[job]
                of_inputs[start:end].addmm_(outputs, weight, beta=0 if self.shared is None else 1)
            self.weight.add_product(job, outputs, rows)
            if self.bias is not None:
                self.bias.add_sum(job, outputs)
        return of_inputs


class _SharedRows:
    """The rows of a fused projection that no job trains."""

    def __init__(self, module: Any, rows: Tensor, learned_rows: Tensor, output_dim: int) -> None:
        self.rows, self.learned_rows = rows, learned_rows
        weight = module.weight.detach().index_select(output_dim, rows)
        self.weight = weight if output_dim == 0 else weight.T.contiguous()
        self.bias = None if module.bias is None else module.bias.detach()[rows]
        self.order = torch.cat([rows, learned_rows]).argsort()

    def joined(self, inputs: Tensor, learned: Tensor) -> Tensor:
        return torch.cat([linear(inputs, self.weight, self.bias), learned], dim=1).index_select(1, self.order)


class _Projected(torch.autograd.Function):
    """The anchor requires a gradient where the inputs, of the lowest trained layer, do not."""

    @staticmethod
    def forward(context: Any, inputs: Tensor, anchor: Tensor, projection: JobProjection) -> Tensor:
        context.save_for_backward(inputs)
        context.projection = projection
        return projection.project(inputs)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, None, None]:
        (inputs,) = context.saved_tensors
        of_inputs = context.projection.descend(inputs, gradient, to_inputs=context.needs_input_grad[0])
        return of_inputs, None, None


class JobParameter:
    """The trained rows of one parameter, job by job: values, masters and gradients `[jobs, rows, …]`."""

    def __init__(
        self, parameter: nn.Parameter, rows: Tensor | None, dim: int, trained: Sequence[ParameterSlice], jobs: int
    ) -> None:
        self.slice = ParameterSlice("", None, parameter, dim, rows)
        mask = torch.zeros(parameter.shape, dtype=torch.bool, device=parameter.device)
        for part in trained:
            if part.parameter is parameter:
                part.write_into(mask, part.select(torch.ones_like(mask)))
        mask = self._by_rows(self.slice.select(mask))
        self.is_trained = bool(mask.any())
        self.mask = None if mask.all() else mask
        values = self._by_rows(self.slice.read())
        self.values = values.expand(jobs, *values.shape).clone()
        """What is computed with, in the network's dtype."""
        # networks of 32 bit or more compute with the masters themselves: no step copies anything
        exact = exact_dtype(values.dtype)
        self.masters = self.values if values.dtype == exact else self.values.to(exact)
        self.gradients = torch.empty_like(self.values) if self.is_trained else self.values[:0]
        self._written: set[int] = set()

    def _by_rows(self, tensor: Tensor) -> Tensor:
        return tensor.T.contiguous() if self.slice.dim == 1 else tensor

    def of_job(self, job: int) -> Tensor:
        """The slice's values of a job, of its master, as they lie in the network."""
        return self._by_rows(self.masters[job])

    def add_product(self, job: int, outputs: Tensor, inputs: Tensor) -> None:
        """Σ e ⊗ x over a job's rows (Dai 2023)."""
        if self.is_trained:
            self.gradients[job].addmm_(outputs.T, inputs, beta=1 if job in self._written else 0)
            self._written.add(job)

    def add_sum(self, job: int, outputs: Tensor) -> None:
        """Σ e over a job's rows."""
        if self.is_trained:
            total = outputs.sum(dim=0)
            self.gradients[job] = self.gradients[job] + total if job in self._written else total
            self._written.add(job)

    def finish_gradients(self, jobs: Sequence[int]) -> None:
        """Zero where no loss depends on the entry, or where it is not trained; the next product begins anew."""
        for job in jobs:
            if job not in self._written:
                self.gradients[job].zero_()
            elif self.mask is not None:
                self.gradients[job].mul_(self.mask)
        self._written.clear()

    def gradient(self, job: int) -> Tensor:
        """A job's gradient, in the dtype of its master."""
        return self.gradients[job].to(self.masters.dtype)

    def write(self, job: int) -> None:
        """Round a job's master into what is computed with."""
        if self.masters is not self.values:
            self.values[job].copy_(self.masters[job])


def output_dimension(module: Any) -> int:
    """Which dimension of a linear map's weight is the output: 0 for Linear, 1 for GPT-2's Conv1D."""
    return 0 if isinstance(module, nn.Linear) else 1
