"""Jobs in lockstep: one row through the frozen parts of a network, each job with its own key and value weights.

A demonstration is a handful of tokens, for which every weight is read from memory. The demonstrations that all jobs are
at, end to end in one row, make use of what was read; nothing is padded. Attention, and the projections that are
trained, take each job's tokens by themselves, so every gradient is its own job's.

The dual form (K = W₀x + LinearAttn, Irie 2022, Dai 2023) could stand for weights of each job: x·ΔWᵀ costs tokens so far
times (in + out), against in times out. On a CPU it was faster for the first 200 tokens or so only (SmolLM2-135M), and
slower over 32 demonstrations of 17 tokens, so jobs have weights.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor

from demograd.learn.fine_tuning import FineTuning
from demograd.learn.gradient_descent import GradientDescent
from demograd.learn.held_weights import HeldWeights, Holding
from demograd.learn.job_layer import JobLayer, job_projections
from demograd.learn.key_biases import unnoticed_key_biases
from demograd.learn.layer_causal import LayerCausalGradientDescent
from demograd.learn.layer_reading import LayerReading
from demograd.learn.method import Diverged
from demograd.learn.packed_passes import PackedPasses
from demograd.learn.parameters import slices_of_layers, without
from demograd.learn.readout_loss import unembedding_loss
from demograd.learn.step import History, TrainingPass, clipping, whole_pass
from demograd.models import Anatomy
from demograd.observe.attention import causal_attention
from demograd.observe.attention_hook import AttentionCall, attention_routed
from demograd.tasks.prompts import TrainingSequence


class Lockstep:
    """Jobs of methods that differ in learning rate and loss at most, trained together."""

    def __init__(
        self,
        anatomy: Anatomy,
        sequences: Sequence[Sequence[TrainingSequence]],
        methods: Sequence[FineTuning],
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
                with reading.at(packed.rows, packed.targets, packed.shares):
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

    def _batches(self, *, is_batch: bool) -> Iterator[list[PackedPasses]]:
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

    def _packed(self, passes: Sequence[TrainingPass | None]) -> PackedPasses:
        return PackedPasses(
            [(job, own) for job, own in enumerate(passes) if own is not None and job not in self.diverged]
        )

    def hidden_states(self, packed: PackedPasses) -> Tensor:
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


class _LayerLearner:
    """One layer of LCGD."""

    packed: PackedPasses

    def __init__(self, layer: JobLayer, method: FineTuning) -> None:
        self.layer, self.method = layer, method

    def learn(self, losses: Tensor, hidden: Tensor, gradient: Tensor) -> None:
        """One step of every job, from its mean loss's gradient with respect to what was read of this layer."""
        hidden.backward(gradient)
        jobs = self.packed.jobs
        self.losses = self.packed.by_job(losses * self.packed.shares.to(losses))
        self.norms = self.layer.gradient_norms(jobs)
        clip = self.method.clip
        self.layer.step(jobs, [1.0] * len(jobs) if clip is None else [clipping(n, clip) for n in self.norms.tolist()])
