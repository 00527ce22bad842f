"""Train small transformers: nothing but the loop, and what makes it go on after a stop.

A checkpoint holds weights, Adam's moments and the state of the generator that draws the batches, so a run that was
stopped draws what it would have drawn, and ends with the same weights bit for bit.
"""

from collections.abc import Callable
from dataclasses import replace
from math import cos, inf, pi

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from demograd.files import Place, sealed_tensors, write_tensors
from demograd.synthetic.descent import squared_error
from demograd.synthetic.sequences import Sequences, Trajectories, seeded
from demograd.synthetic.settings import TrainingRecipe
from demograd.synthetic.transformer import Architecture, SmallTransformer
from demograd.synthetic.worlds import LinearSystem, World


class TrainingDiverged(Exception):
    """A loss was not finite."""


def train(
    network: SmallTransformer,
    world: World | LinearSystem,
    context: int,
    training: TrainingRecipe,
    seed: int,
    checkpoint: Place | None = None,
    on_step: Callable[[int], None] = lambda done: None,
) -> Float[Tensor, " steps"]:
    """Train in place, and return the loss of each step before its update.

    With a checkpoint, the file is written now and then, and training goes on from it where there is one.

    Raises:
        TrainingDiverged: a loss is not finite; the step is named.
    """
    parameters = list(network.parameters())
    device = parameters[0].device
    # fused: weights are so small that Adam's bookkeeping, a tensor at a time, would cost more than gradients
    adam = torch.optim.Adam(parameters, lr=training.learning_rate, betas=(0.9, 0.98), fused=True)
    losses, start, generator = torch.full((training.steps,), torch.nan), 0, seeded("training", seed, device)
    if checkpoint is not None and checkpoint.is_file():
        start = _restore(checkpoint, network, adam, losses, generator)
    for step in range(start, training.steps):
        for group in adam.param_groups:
            group["lr"] = training.learning_rate * _schedule(step, training)
        batch = world.draw(training.batch, context, generator)
        loss = mean_loss(network(batch), batch)
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, training.clip, foreach=True)
        adam.step()
        losses[step] = loss.detach()
        if not (step + 1) % training.checkpoint_every:
            _check(losses[: step + 1])
            if checkpoint is not None and step + 1 < training.steps:
                _save(checkpoint, network, adam, losses, generator, step + 1)
        on_step(step + 1)
    _check(losses)
    if not all(bool(parameter.isfinite().all()) for parameter in parameters):  # no loss is after the last step
        raise TrainingDiverged(f"diverged at step {training.steps}")
    return losses


def mean_loss(predicted: Tensor, batch: Sequences | Trajectories) -> Float[Tensor, ""]:
    """The mean squared error, over all times where each state is predicted."""
    if isinstance(batch, Trajectories):
        return squared_error(predicted[:, :-1], batch.states[:, 1:]).mean()
    return squared_error(predicted, batch.query_y).mean()


def _check(losses: Tensor) -> None:
    finite = losses.isfinite()
    if not finite.all():
        raise TrainingDiverged(f"diverged at step {int(finite.int().argmin()) + 1}")


def _schedule(step: int, training: TrainingRecipe) -> float:
    if step < training.warmup:
        return (step + 1) / training.warmup
    done = (step - training.warmup) / max(1, training.steps - training.warmup)
    return 0.5 * (1 + cos(pi * done))


def _save(
    file: Place, network: SmallTransformer, adam: torch.optim.Adam, losses: Tensor, generator: Generator, steps: int
) -> None:
    tensors = {f"weights/{name}": parameter.detach() for name, parameter in network.named_parameters()}
    for name, parameter in network.named_parameters():
        state = adam.state[parameter]
        tensors |= {f"adam/{moment}/{name}": state[moment] for moment in ("step", "exp_avg", "exp_avg_sq")}
    tensors |= {"losses": losses, "steps": torch.tensor(steps), "generator": generator.get_state()}
    write_tensors(file, tensors)


def _restore(
    file: Place, network: SmallTransformer, adam: torch.optim.Adam, losses: Tensor, generator: Generator
) -> int:
    with sealed_tensors(file) as checkpoint, torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(checkpoint.get_tensor(f"weights/{name}"))
            moments = {
                moment: checkpoint.get_tensor(f"adam/{moment}/{name}") for moment in ("step", "exp_avg", "exp_avg_sq")
            }
            adam.state[parameter] = {name: moment.to(parameter.device) for name, moment in moments.items()}
        losses.copy_(checkpoint.get_tensor("losses"))
        generator.set_state(checkpoint.get_tensor("generator"))
        return int(checkpoint.get_tensor("steps"))


LAST = 10
"""One in so many steps of a trial counts: its last ones."""


def best_start(
    architecture: Architecture,
    width: int,
    world: World | LinearSystem,
    context: int,
    training: TrainingRecipe,
    seed: int,
    device: torch.device | str = "cpu",
) -> SmallTransformer:
    """A network as it is after the trial that went best; untrained where there is but one start, or all diverged.

    Trials draw the batches with which training itself begins: what goes on afterwards sees those once more.
    """
    networks = [SmallTransformer(architecture, width, seed, start).to(device) for start in range(training.starts)]
    trial = replace(training, steps=training.trial, warmup=training.warmup * training.trial // training.steps)

    def loss_after_trial(network: SmallTransformer) -> float:
        try:
            return float(train(network, world, context, trial, seed)[-max(1, training.trial // LAST) :].mean())
        except TrainingDiverged:
            return inf

    losses = [loss_after_trial(network) for network in networks] if training.starts > 1 else [inf]
    if min(losses) == inf:
        return SmallTransformer(architecture, width, seed).to(device)
    return networks[losses.index(min(losses))]
