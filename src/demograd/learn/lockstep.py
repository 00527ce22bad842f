"""Jobs in lockstep: one batch through the frozen parts of a network, each job with its own key and value weights.

A demonstration is a handful of tokens, for which every weight is read from memory. The demonstrations that all jobs are
at, end to end in one row, make use of what was read; nothing is padded. Attention, and the projections that are
trained, take each job's tokens by themselves, so every gradient is its own job's.
"""

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import zip_longest
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from demograd.learn.gradient_descent import GradientDescent
from demograd.learn.held_weights import HeldWeights, Holding
from demograd.learn.job_projections import JobProjection, Span
from demograd.learn.key_biases import unnoticed_key_biases
from demograd.learn.layer_causal import LayerCausalGradientDescent
from demograd.learn.layer_reading import LayerReading
from demograd.learn.method import Diverged, Method
from demograd.learn.parameters import slices_of_layers, without
from demograd.learn.readout_loss import unembedding_loss
from demograd.learn.step import History, TrainingPass, clipping, hidden_states, whole_pass
from demograd.models import Anatomy, ParameterSlice
from demograd.observe.attention import causal_attention
from demograd.observe.attention_hook import AttentionCall, attention_routed
from demograd.observe.self_check import OUTPUT_TOLERANCE, relative_difference
from demograd.tasks.prompts import TrainingSequence


class Lockstep:
    """Jobs of methods that differ in learning rate and loss at most, trained together."""

    def __init__(
        self,
        anatomy: Anatomy,
        sequences: Sequence[Sequence[TrainingSequence]],
        methods: Sequence[Method],
        on_step: Callable[[int, int], None],
    ) -> None:
        """
        Args:
            anatomy: the network's.
            sequences: the demonstrations of each job.
            methods: the method of each job.
            on_step: is called with a job's number and the number of its steps so far.
        """
        self.anatomy, self.methods, self.method = anatomy, methods, methods[0]
        self.passes = [
            [whole_pass(sequence) for sequence in method.learned(own)]
            for own, method in zip(sequences, methods, strict=True)
        ]
        self.histories = [History(len(anatomy.blocks)) for _ in methods]
        self.diverged: dict[int, Diverged] = {}
        self._on_step = on_step
        left_out = unnoticed_key_biases(anatomy) if self.method.optimizer == "adam" else {}
        slices = slices_of_layers(anatomy, self.method.parameters)
        self.layers = [
            JobLayer(number, job_projections(anatomy, number, self.method, [*without(parts, left_out)], len(methods)))
            for number, parts in slices.items()
        ]
        for layer in self.layers:
            layer.make_optimizer(methods)
        self._reach = [max(layer.largest for layer in self.layers)] * len(methods)

    def run(self) -> None:
        """Take the steps of all jobs; those that diverge are left out from there on."""
        with self.standing_in(), torch.enable_grad():
            if isinstance(self.method, LayerCausalGradientDescent):
                self._train_layer_by_layer(self.method)
            else:
                self._descend()

    @contextmanager
    def standing_in(self) -> Iterator[None]:
        """Inside this block the network computes with the jobs' weights, and every job's tokens attend to their own."""
        attend = partial(causal_attention, softmax_gradient=self.method.differentiates_softmax)
        with ExitStack() as stack:
            for layer in self.layers:
                for projection in layer.projections:
                    stack.enter_context(projection.standing_in())
            stack.enter_context(attention_routed(self.anatomy, partial(self._attend_apart, attend)))
            yield

    def weights(self, job: int, holding: Holding) -> HeldWeights:
        """What a job has learned so far."""
        parameters = [parameter for layer in self.layers for parameter in layer.parameters]
        slices, masters = [p.slice for p in parameters], [p.of_job(job) for p in parameters]
        before = [part.read() for part in slices] if self.method.linearised else []
        return holding.hold(slices, masters, linearised=self.method.linearised, before=before)

    def _descend(self) -> None:
        """θ ← θ − η ∇CE(f(x), e) of every job, step after step."""
        is_batch = isinstance(self.method, GradientDescent) and self.method.step == "batch"
        for batch in self._batches(is_batch=is_batch):
            losses: dict[int, float] = {}
            for packed in batch:
                hidden = self.hidden_states(packed)[packed.rows]
                row_losses, gradient = unembedding_loss(self.anatomy, hidden.detach(), packed.targets)
                shares = packed.shares.to(gradient)
                if is_batch:
                    shares = shares * packed.repeated([1 / len(self.passes[job]) for job in packed.jobs]).to(shares)
                hidden.backward((gradient * shares[:, None]).to(hidden))
                for job, loss in packed.by_job(row_losses * shares).items():
                    losses[job] = losses.get(job, 0.0) + loss
            self._update(losses)

    def _update(self, losses: Mapping[int, float]) -> None:
        """One step of every job along its gradient, clipped by its norm over all layers."""
        jobs = [*losses]
        norms = torch.stack([layer.gradient_norms(jobs).cpu() for layer in self.layers], dim=1).tolist()
        scales = [clipping(math.hypot(*of_job), self.method.clip) for of_job in norms]
        for layer in self.layers:
            layer.step(jobs, scales)
        self._record(losses, dict(zip(jobs, norms, strict=True)))

    def _train_layer_by_layer(self, method: LayerCausalGradientDescent) -> None:
        """θ_l ← θ_l − η ∇CE(U(f_l(stop(h_{l−1}))), e) in every layer l of every job, step after step."""
        learners = [_LayerLearner(layer, method) for layer in self.layers]
        reading = LayerReading(self.anatomy, method, {learner.layer.number: learner.learn for learner in learners})
        with reading.watching():
            for (packed,) in self._batches(is_batch=False):
                for learner in learners:
                    learner.packed = packed
                with reading.of(packed.rows, packed.targets, packed.shares):
                    self.hidden_states(packed)
                losses = {job: sum(learner.losses[job] for learner in learners) for job in packed.jobs}
                norms = torch.stack([learner.norms.cpu() for learner in learners], dim=1).tolist()
                self._record(losses, dict(zip(packed.jobs, norms, strict=True)))

    def _record(self, losses: Mapping[int, float], norms: Mapping[int, list[float]]) -> None:
        for job, loss in losses.items():
            history = self.histories[job]
            step = len(history.losses)
            try:
                of_layers = zip(self.layers, norms[job], strict=True)
                history.add(loss, {layer.number: norm for layer, norm in of_layers})
                self._check_weights(job, step, norms[job])
            except Diverged as diverged:
                self.diverged[job] = diverged
                history.cut(step)
            else:
                self._on_step(job, step + 1)

    def _check_weights(self, job: int, step: int, norms: Sequence[float]) -> None:
        """
        Raises:
            Diverged: a weight is not finite after this step.
        """
        # no weight can be farther from zero than steps have taken it; only where that is far are weights looked at
        rate = self.methods[job].learning_rate
        longest = 10.0 if self.method.optimizer == "adam" else math.hypot(*norms) / (1 - self.method.momentum)
        self._reach[job] += rate * longest
        is_far = self._reach[job] > torch.finfo(self.anatomy.network.dtype).max / 4
        if is_far and not all(layer.is_finite(job) for layer in self.layers):
            raise Diverged(step, "a weight")

    def _batches(self, *, is_batch: bool) -> Iterator[list["PackedPasses"]]:
        """What each step learns from: the demonstrations that the jobs are at, or all of each job's, one after another.

        A job that has diverged, or is done, is not there any more.
        """
        for _ in range(self.method.epochs):
            if is_batch:
                yield [packed for packed in map(self._packed, zip_longest(*self.passes)) if packed.jobs]
                continue
            for at in zip_longest(*self.passes):
                packed = self._packed(at)
                if packed.jobs:
                    yield [packed]

    def _packed(self, passes: Sequence[TrainingPass | None]) -> "PackedPasses":
        return PackedPasses(
            [(job, own) for job, own in enumerate(passes) if own is not None and job not in self.diverged]
        )

    def hidden_states(self, packed: "PackedPasses") -> Tensor:
        """The hidden states of every token after the final norm `[tokens, hidden]`."""
        self._lengths = [end - start for _, start, end in packed.spans]
        for layer in self.layers:
            for projection in layer.projections:
                projection.spans = packed.spans
        ids = torch.tensor([packed.tokens], device=self.anatomy.device)
        positions = self.anatomy.positions(packed.positions)
        output: Any = self.anatomy.decoder(input_ids=ids, **positions, use_cache=False)
        hidden: Tensor = output.last_hidden_state[0]
        return hidden

    def _attend_apart(self, attend: Callable[[AttentionCall], Tensor], call: AttentionCall) -> Tensor:
        """Every job's tokens attend to their own."""
        parts = zip(*(tensor.split(self._lengths, dim=2) for tensor in (call.query, call.key, call.value)), strict=True)
        return torch.cat([attend(replace(call, query=q, key=k, value=v)) for q, k, v in parts], dim=1)


class JobLayer:
    """The trained projections of one layer, and the optimizer of all jobs' weights."""

    def __init__(self, number: int, projections: Sequence[JobProjection]) -> None:
        self.number, self.projections = number, projections
        self.parameters = [parameter for projection in projections for parameter in projection.parameters]

    @property
    def largest(self) -> float:
        """The largest magnitude of a weight."""
        return max(parameter.values[0].abs().max().item() for parameter in self.parameters)

    def make_optimizer(self, methods: Sequence[Method]) -> None:
        """One group of parameters for each job, with its learning rate."""
        self._masters = [[parameter.masters[job] for parameter in self.parameters] for job in range(len(methods))]
        groups = [
            {"params": masters, "lr": method.learning_rate}
            for masters, method in zip(self._masters, methods, strict=True)
        ]
        self._optimizer: torch.optim.Optimizer
        if methods[0].optimizer == "adam":
            self._optimizer = torch.optim.Adam(groups)
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
                master.grad = gradient if scale == 1 else gradient * scale
        self._optimizer.step()
        self._optimizer.zero_grad()
        for parameter in self.parameters:
            for job in jobs:
                parameter.write(job)

    def is_finite(self, job: int) -> bool:
        """Whether all weights of a job are, in the network's dtype."""
        return all(bool(parameter.values[job].isfinite().all()) for parameter in self.parameters)


class _LayerLearner:
    """One layer of LCGD."""

    packed: "PackedPasses"

    def __init__(self, layer: JobLayer, method: Method) -> None:
        self.layer, self.method = layer, method

    def learn(self, losses: Tensor, hidden: Tensor, gradient: Tensor) -> None:
        """One step of every job, from its mean loss's gradient with respect to what was read of this layer."""
        hidden.backward(gradient)
        jobs = self.packed.jobs
        self.losses = self.packed.by_job(losses * self.packed.shares.to(losses))
        self.norms = self.layer.gradient_norms(jobs)
        clip = self.method.clip
        self.layer.step(jobs, [1.0] * len(jobs) if clip is None else [clipping(n, clip) for n in self.norms.tolist()])


@dataclass(frozen=True, eq=False)
class PackedPasses:
    """Jobs' passes end to end in one row."""

    passes: Sequence[tuple[int, TrainingPass]]
    """Each with its job's number."""

    @property
    def jobs(self) -> list[int]:
        """Their numbers."""
        return [job for job, _ in self.passes]

    @cached_property
    def spans(self) -> list[Span]:
        """Where each job's tokens are."""
        spans, start = [], 0
        for job, own in self.passes:
            spans.append((job, start, start + len(own.tokens)))
            start += len(own.tokens)
        return spans

    @property
    def tokens(self) -> list[int]:
        """All of them."""
        return [token for _, own in self.passes for token in own.tokens]

    @property
    def positions(self) -> Tensor:
        """Each job's from zero."""
        return torch.cat([torch.arange(len(own.tokens)) for _, own in self.passes])

    @cached_property
    def rows(self) -> Tensor:
        """Where the next token counts, in the row."""
        return torch.cat([own.rows + start for (_, own), (_, start, _) in zip(self.passes, self.spans, strict=True)])

    @cached_property
    def targets(self) -> Tensor:
        """Those next tokens."""
        return torch.cat([own.targets for _, own in self.passes])

    @cached_property
    def shares(self) -> Tensor:
        """What each counted token's loss is of its job's mean loss, in float64."""
        return self.repeated([1 / len(own.rows) for _, own in self.passes])

    def repeated(self, values: Sequence[float]) -> Tensor:
        """A value of each job, at each of its counted tokens `[counted tokens]`."""
        counts = torch.tensor([len(own.rows) for _, own in self.passes])
        return torch.tensor(values, dtype=torch.float64).repeat_interleave(counts)

    def by_job(self, values: Tensor) -> dict[int, float]:
        """The sums over each job's counted tokens, of values `[counted tokens]`."""
        parts = values.split([len(own.rows) for _, own in self.passes])
        return dict(zip(self.jobs, torch.stack([part.sum() for part in parts]).tolist(), strict=True))


def job_projections(
    anatomy: Anatomy, layer: int, method: Method, trained: Sequence[ParameterSlice], jobs: int
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


def why_not_in_lockstep(anatomy: Anatomy, method: Method) -> str | None:
    """Why jobs of this method cannot share passes through this network; None where they can."""
    if type(method) not in (GradientDescent, LayerCausalGradientDescent):
        return f"{method.name} has steps of its own"
    if getattr(method, "step", None) == "token":
        return "a step per token runs each token behind what its own steps have changed"
    if method.parameters.which == "all":
        return "every parameter is trained, so that no part of the network is shared"
    if len({parameter.device for parameter in anatomy.network.parameters()}) > 1:
        return "the network is spread over several devices"
    if anatomy.network not in _shares_passes:
        _shares_passes[anatomy.network] = _can_share_passes(anatomy)
    if not _shares_passes[anatomy.network]:
        return f"sequences end to end are not what {type(anatomy.network).__name__} computes of each by itself"
    return None


_shares_passes: "WeakKeyDictionary[nn.Module, bool]" = WeakKeyDictionary()
_TRIED = (5, 9)
"""Tokens of the sequences that are tried."""


@torch.no_grad()
def _can_share_passes(anatomy: Anatomy) -> bool:
    """Whether key and value projections are linear maps, and two jobs in one row get their own hidden states; tried on
    the network itself, on a few random tokens."""
    if not all(_is_linear_map(module) for n in range(len(anatomy.blocks)) for module in projections_of(anatomy, n)):
        return False
    generator = torch.Generator().manual_seed(0)
    vocabulary = int(anatomy.network.config.vocab_size)
    jobs = [torch.randint(vocabulary, (length,), generator=generator).tolist() for length in _TRIED]
    sequences = [TrainingSequence(tokens, [False] + [True] * (len(tokens) - 1)) for tokens in jobs]
    method = GradientDescent(learning_rate=0.0)
    lockstep = Lockstep(anatomy, [[sequence] for sequence in sequences], [method] * 2, lambda job, steps: None)
    passes = [whole_pass(sequence) for sequence in sequences]
    with attention_routed(anatomy, causal_attention):
        own = torch.cat([hidden_states(anatomy, single) for single in passes])
    try:
        with lockstep.standing_in():
            together = lockstep.hidden_states(PackedPasses([*enumerate(passes)]))
    except TypeError:  # it does not take positions
        return False
    dtype = str(anatomy.network.dtype).removeprefix("torch.")
    return relative_difference(together, own) <= OUTPUT_TOLERANCE.get(dtype, OUTPUT_TOLERANCE["float32"])


def _is_linear_map(module: nn.Module) -> bool:
    return isinstance(module, (nn.Linear, Conv1D)) and module.weight.is_floating_point()


def jobs_that_fit(anatomy: Anatomy, method: Method) -> int:
    """How many jobs' weights, gradients and moments take a quarter of this machine's memory, or half of what a GPU has
    free; activations need room beside them."""
    entries = sum(
        parameter.numel()
        for n in method.parameters.numbers(len(anatomy.blocks))
        for module in projections_of(anatomy, n)
        for parameter in module.parameters()
    )
    each = entries * (4 + 4 + (8 if method.optimizer == "adam" else 4 if method.momentum else 0))
    if anatomy.device.type == "cuda":
        room = torch.cuda.mem_get_info(anatomy.device)[0] // 2
    else:
        room = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
    return room // each
