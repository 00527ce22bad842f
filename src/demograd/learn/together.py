"""Fine-tune many networks from one set of weights, and hold them, so that each can be observed at chosen steps."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from demograd.learn.fine_tuned import TunedModel, check_job, prepared_training, tuned_model
from demograd.learn.held_weights import HeldWeights, held
from demograd.learn.method import Diverged, Method
from demograd.learn.step import History
from demograd.models import Model
from demograd.tasks.prompts import TrainingSequence


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
        weights, method = self.weights[step], self.job.method
        if weights.is_change:
            change = weights.change(self.model.anatomy)
            yield tuned_model(
                self.model, method, self.history, steps=step, change=change, queries=self.training_queries
            )
        else:
            with weights.loaded():
                yield tuned_model(self.model, method, self.history, steps=step, queries=self.training_queries)


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

    Inside the block the network has its own weights, except while one of the results is `loaded`. A job that diverges
    says so, and does not stop the others.

    Args:
        model: lends its network.
        jobs: demonstration sets with their methods; results come in this order.
        stops: steps after which weights are held besides the last.
        record_training_queries: keep the query vectors of the training tokens.
        on_step: is called with the number of optimizer steps of all jobs so far.

    Raises:
        ValueError: a job has no sequence, the model is itself linearised, or a stop is under 1.
        UserError: a method does not suit the network, or query vectors before rotary positions cannot be had.
    """
    stops_of_jobs = [set(stops(job) if callable(stops) else stops) for job in jobs]
    if any(step < 1 for numbers in stops_of_jobs for step in numbers):
        raise ValueError("a stop is a number of steps, from 1")
    for job in jobs:
        check_job(model, job.sequences, job.method)
    results: list[FineTuned] = []
    done = 0

    def count(_steps: int) -> None:
        nonlocal done
        done += 1
        on_step(done)

    try:
        for job, numbers in zip(jobs, stops_of_jobs, strict=True):
            results.append(_one_by_one(model, job, numbers, count, record_training_queries=record_training_queries))
        yield results
    finally:
        for result in results:
            result.weights.clear()


def _one_by_one(
    model: Model,
    job: FineTuningJob,
    stops: set[int],
    on_step: Callable[[int], None],
    *,
    record_training_queries: bool,
) -> FineTuned:
    weights: dict[int, HeldWeights] = {}

    def after_step(steps: int) -> None:
        if steps in stops:
            weights[steps] = held(training.layers, as_change=job.method.linearised)
        on_step(steps)

    with prepared_training(
        model, job.sequences, job.method, after_step, record_training_queries=record_training_queries
    ) as training:
        result = FineTuned(job, model, training.history, weights=weights)
        try:
            training.run()
        except Diverged as diverged:
            result.diverged = diverged
            training.history.cut(diverged.step)
        else:
            result.training_queries = training.training_queries
            weights[len(training.history.losses)] = held(training.layers, as_change=job.method.linearised)
    return result
