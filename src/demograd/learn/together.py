"""Fine-tune many networks from one set of weights, and hold them, so that each can be observed at chosen steps."""

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.learn.fine_tuned import TunedModel, check_job, check_queries, prepared_training, tuned_model
from demograd.learn.fine_tuning import FineTuning
from demograd.learn.held_weights import HeldWeights, Holding
from demograd.learn.lockstep import Lockstep
from demograd.learn.lockstep_fit import jobs_that_fit, why_not_in_lockstep
from demograd.learn.method import Diverged, Method
from demograd.learn.step import History
from demograd.models import Model
from demograd.observe.memory_limit import is_out_of_memory
from demograd.tasks.prompts import TrainingSequence

TOKENS_AT_A_TIME = 1024
"""Enough for a machine's matrix rate; with more, jobs in lockstep only take more memory."""
ONE_BY_ONE = "trained one by one"


@dataclass(frozen=True)
class FineTuningJob:
    """One fine-tuning: a demonstration set, in order, and what to do with it."""

    sequences: Sequence[TrainingSequence]
    method: Method


Stops = Sequence[int] | Callable[[FineTuningJob], Sequence[int]]
"""Numbers of steps, from 1, after which weights are held: the same for every job, or each job's own. Those that a job
does not reach are passed over; its last step is always held."""


@dataclass(eq=False)
class FineTuned:
    """The result of one job: weights after its stops, held on the CPU as values of what was trained."""

    job: FineTuningJob
    model: Model = field(repr=False)
    """The model before fine-tuning, whose network lends itself to `loaded`."""
    history: History = field(repr=False)
    """Losses and gradient norms of every step that the job took and that did not diverge."""
    diverged: Diverged | None = None
    """Where training ended early: a loss, gradient or weight was not finite. What is held is from before."""
    training_queries: list[Float[Tensor, "_tokens layers width"]] | None = field(default=None, repr=False)
    """As in `TunedModel`; None too where the job diverged."""
    notes: tuple[str, ...] = ()
    """What a reader must know about how this job was trained, one sentence each."""
    method_notes: tuple[str, ...] = ()
    """What the method says of what it learned from; the same on every machine."""
    weights: dict[int, HeldWeights] = field(default_factory=dict, repr=False)
    """By the number of steps."""

    @property
    def steps(self) -> tuple[int, ...]:
        """The stops that were reached, the last step included (not where the job diverged)."""
        return tuple(sorted(self.weights))

    @property
    def losses(self) -> Float[Tensor, " steps"]:
        """Mean loss per counted token before each step (LCGD: summed over the trained layers)."""
        return torch.tensor(self.history.losses)

    @property
    def gradient_norms(self) -> Float[Tensor, "layers steps"]:
        """As in `TunedModel`."""
        return torch.tensor(self.history.gradient_norms).view(-1, len(self.model.anatomy.blocks)).T

    @contextmanager
    def loaded(self, step: int | None = None) -> Iterator[TunedModel]:
        """The model after that step (None: after the last), in this block; then every weight is put back bit for bit.

        Raises:
            Diverged: the last step is asked for, and the job did not get there.
            ValueError: nothing is held of that step, or no more, since the block of `fine_tuned_together` has ended.
        """
        if step is None:
            if self.diverged is not None:
                raise self.diverged
            step = len(self.history.losses)
        if step not in self.weights:
            raise ValueError(f"no weights are held of step {step}, but of steps {list(self.steps)}")
        weights, method, notes = self.weights[step], self.job.method, (*self.notes, *self.method_notes)
        if weights.is_change:
            change = weights.change(self.model.anatomy)
            yield tuned_model(
                self.model,
                method,
                self.history,
                steps=step,
                change=change,
                queries=self.training_queries,
                notes=notes,
            )
        else:
            with weights.loaded():
                yield tuned_model(
                    self.model,
                    method,
                    self.history,
                    steps=step,
                    intervention=weights.intervention,
                    queries=self.training_queries,
                    notes=notes,
                )


@contextmanager
def fine_tuned_together(
    model: Model,
    jobs: Sequence[FineTuningJob],
    *,
    stops: Stops = (),
    record_training_queries: bool = False,
    on_step: Callable[[int], None] = lambda steps: None,
) -> Iterator[list[FineTuned]]:
    """Do every job from the model's own weights, and hold what each has learned for the length of the block.

    Jobs whose methods differ in learning rate and loss at most are trained in lockstep, see `learn.lockstep`, as many
    at a time as memory allows; where that is not possible, one by one, and the results' notes say why. Either way the
    numbers are those of `fine_tuned`, up to rounding. Inside the block the network has its own weights, except while
    one of the results is `loaded`. A job that diverges says so, and does not stop the others.

    Args:
        model: lends its network.
        jobs: demonstration sets with their methods; results come in this order.
        stops: steps after which weights are held besides the last. The first `HELD_IN_MEMORY` bytes of them are in
            memory, the rest in temporary files.
        record_training_queries: keep the query vectors of the training tokens; jobs are then trained one by one.
        on_step: is called with the number of optimizer steps of all jobs so far; less than before where memory ran
            out, and jobs begin again.

    Raises:
        ValueError: a job has no sequence, the model is itself linearised, or a stop is under 1.
        UserError: a method does not suit the network, or query vectors before rotary positions cannot be had; or
            neither memory nor disk has room for what is held.
    """
    stops_of_jobs = [set(stops(job) if callable(stops) else stops) for job in jobs]
    if any(step < 1 for numbers in stops_of_jobs for step in numbers):
        raise ValueError("a stop is a number of steps, from 1")
    for job in jobs:
        check_job(model, job.sequences, job.method)
        if record_training_queries:
            check_queries(model, job.method)
    work = _Work(model, jobs, stops_of_jobs, on_step, record_training_queries=record_training_queries)
    try:
        yield work.results()
    finally:
        for result in work.finished.values():
            result.weights.clear()


def _up_to_rate_and_loss(method: Method) -> Method:
    """Equal for methods that share their steps."""
    return replace(method, learning_rate=0.0, loss_on="all") if isinstance(method, FineTuning) else method


class _Work:
    """All jobs on their way."""

    def __init__(
        self,
        model: Model,
        jobs: Sequence[FineTuningJob],
        stops: Sequence[set[int]],
        on_step: Callable[[int], None],
        *,
        record_training_queries: bool,
    ) -> None:
        self.model, self.jobs, self.stops, self.on_step = model, jobs, stops, on_step
        self.record_training_queries = record_training_queries
        self.holding = Holding()
        self.steps = [0] * len(jobs)
        self.finished: dict[int, FineTuned] = {}

    def results(self) -> list[FineTuned]:
        """Do all jobs."""
        alike: dict[Method, list[int]] = {}
        for number, job in enumerate(self.jobs):
            alike.setdefault(_up_to_rate_and_loss(job.method), []).append(number)
        for method, numbers in alike.items():
            if not isinstance(method, FineTuning):  # nothing to be shared: that is no news
                for number in numbers:
                    self._one_by_one(number, ())
                continue
            why_not = self._why_not_in_lockstep(method)
            if why_not is None and len(numbers) > 1:
                for group in self._groups(method, numbers):
                    self._in_lockstep(group)
                continue
            for number in numbers:
                self._one_by_one(number, () if why_not is None or len(numbers) == 1 else (why_not,))
        return [self.finished[number] for number in range(len(self.jobs))]

    def _why_not_in_lockstep(self, method: FineTuning) -> str | None:
        if self.record_training_queries:
            return f"{ONE_BY_ONE}, because query vectors of the training tokens were asked for"
        why_not = why_not_in_lockstep(self.model.anatomy, method)
        return None if why_not is None else f"{ONE_BY_ONE}: {why_not}"

    def _groups(self, method: FineTuning, numbers: list[int]) -> Iterator[list[int]]:
        """Jobs that are trained at a time, as far as is known before: equally many."""
        tokens = [sum(len(s.tokens) for s in job.sequences) / len(job.sequences) for job in self.jobs]
        by_tokens = max(1, int(TOKENS_AT_A_TIME / statistics.mean(tokens[number] for number in numbers)))
        most = max(1, min(by_tokens, jobs_that_fit(self.model.anatomy, method)))
        for count in range(parts := math.ceil(len(numbers) / most)):
            yield numbers[count * len(numbers) // parts : (count + 1) * len(numbers) // parts]

    def _in_lockstep(self, group: list[int], notes: tuple[str, ...] = ()) -> None:
        """Train them together; in halves, from the beginning, where memory runs out."""
        if len(group) == 1:
            self._one_by_one(group[0], notes)
            return
        try:
            self._lockstep(group, notes)
            return
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        torch.cuda.empty_cache()  # out here the error is gone, and with it what the jobs held
        for number in group:
            self.steps[number] = 0
        middle = len(group) // 2
        for half in (group[:middle], group[middle:]):
            self._in_lockstep(half, (f"memory ran out: trained at most {len(group) - middle} at a time",))

    def _lockstep(self, group: list[int], notes: tuple[str, ...]) -> None:
        weights: list[dict[int, HeldWeights]] = [{} for _ in group]

        def after_step(job: int, steps: int) -> None:
            if steps in self.stops[group[job]]:
                weights[job][steps] = lockstep.weights(job, self.holding)
            self._count(group[job])

        jobs = [self.jobs[number] for number in group]
        methods = [job.method for job in jobs if isinstance(job.method, FineTuning)]  # all are
        lockstep = Lockstep(self.model.anatomy, [job.sequences for job in jobs], methods, after_step)
        lockstep.run()
        for job, number in enumerate(group):
            history, diverged = lockstep.histories[job], lockstep.diverged.get(job)
            if diverged is None and len(history.losses) not in weights[job]:
                weights[job][len(history.losses)] = lockstep.weights(job, self.holding)
            self.finished[number] = FineTuned(
                jobs[job], self.model, history, diverged, notes=notes, weights=weights[job]
            )

    def _one_by_one(self, number: int, notes: tuple[str, ...]) -> None:
        job, weights = self.jobs[number], dict[int, HeldWeights]()

        def hold(steps: int) -> None:
            parameters = [trained for layer in training.layers for trained in layer.trained]
            slices, masters = [trained.slice for trained in parameters], [trained.master for trained in parameters]
            before = [trained.original for trained in parameters]
            linearised = isinstance(job.method, FineTuning) and job.method.linearised
            held = self.holding.hold(slices, masters, linearised=linearised, before=before)
            weights[steps] = replace(held, intervention=training.intervention and training.intervention())

        def after_step(steps: int) -> None:
            if steps in self.stops[number]:
                hold(steps)
            self._count(number)

        with prepared_training(
            self.model, job.sequences, job.method, after_step, record_training_queries=self.record_training_queries
        ) as training:
            result = FineTuned(job, self.model, training.history, notes=notes, weights=weights)
            self.finished[number] = result
            try:
                training.run()
            except Diverged as diverged:
                result.diverged = diverged
                training.history.cut(diverged.step)
                return
            finally:
                result.method_notes = tuple(training.notes)
            result.training_queries = training.training_queries
            if (steps := len(training.history.losses)) not in weights:
                hold(steps)

    def _count(self, number: int) -> None:
        self.steps[number] += 1
        self.on_step(sum(self.steps))
