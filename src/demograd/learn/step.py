"""Training, step by step: the passes that a step learns from, its loss and gradients, its update and its record."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils import get_total_norm

from demograd.learn.fine_tuning import FineTuning
from demograd.learn.method import Diverged, Method
from demograd.learn.parameters import TrainedLayer, exact_dtype, gradients_enabled
from demograd.learn.training_queries import TrainingQueries
from demograd.models import Anatomy, Intervention, Model
from demograd.observe.attention import causal_attention
from demograd.observe.attention_hook import Attend, attention_routed
from demograd.tasks.prompts import TrainingSequence


class Training:
    """One fine-tuning on its way: what a method's `train` works with."""

    def __init__(
        self,
        model: Model,
        layers: list[TrainedLayer],
        sequences: Sequence[TrainingSequence],
        method: Method,
        on_step: Callable[[int], None],
        queries: TrainingQueries | None = None,
    ) -> None:
        self.model, self.anatomy, self.layers, self.method = model, model.anatomy, layers, method
        self.sequences = method.learned(sequences)
        self.history = History(len(self.anatomy.blocks))
        self.intervention: Callable[[], Intervention] | None = None
        """Gives what a method that changes no weights changes instead, as it is after the steps so far."""
        self.notes: list[str] = []
        """What a reader must know of it."""
        self._on_step, self._queries = on_step, queries
        self._optimizers = [make_optimizer(layer, method) for layer in layers if isinstance(method, FineTuning)]

    def run(self) -> None:
        """Take the method's steps.

        Raises:
            Diverged: a loss, gradient or weight is not finite.
        """
        if not isinstance(self.method, FineTuning):
            self.method.train(self)
            if not self.history.losses:
                self._on_step(1)
            return
        with gradients_enabled(self.layers), self._attention_routed(self.method):
            self.method.train(self)

    @property
    def training_queries(self) -> list[Tensor] | None:
        """The query vectors of each demonstration's tokens, where they are recorded."""
        return self._queries.per_demonstration() if self._queries else None

    def _attention_routed(self, method: FineTuning) -> AbstractContextManager[object]:
        """The network's attention by way of demograd's, which keeps query vectors where they are asked for."""
        attend: Attend = partial(causal_attention, softmax_gradient=method.differentiates_softmax)
        return attention_routed(self.anatomy, self._queries.watch(attend) if self._queries else attend)

    def note(self, text: str) -> None:
        """Say once what a reader must know of this training."""
        if text not in self.notes:
            self.notes.append(text)

    def passes(self, sequence: TrainingSequence, step: str) -> list["TrainingPass"]:
        """One demonstration as a whole, or token by token: as far as there is something to learn or to record."""
        return by_token(sequence, to_the_end=self._queries is not None) if step == "token" else [whole_pass(sequence)]

    def batches(self, step: str, epochs: int = 1) -> Iterator[list["TrainingPass"]]:
        """The passes that each step learns from: those of a `demonstration`, of a `token`, or of the whole `batch`.

        Passes from which nothing is learned are run on the way, where their query vectors are recorded.
        """
        passes = [training_pass for sequence in self.sequences for training_pass in self.passes(sequence, step)]
        for batch in ([passes] if step == "batch" else [[training_pass] for training_pass in passes]) * epochs:
            if len(batch[0].rows):
                yield batch
            elif self._queries:
                hidden_states(self.anatomy, batch[0])

    def loss_and_gradients(self, batch: list["TrainingPass"]) -> tuple[float, list[list[Tensor]]]:
        """The mean over passes of their mean losses, and its gradient, float32 at least, by layer and trained slice.

        One pass's graph is held at a time.
        """
        parameters = [parameter for layer in self.layers for parameter in layer.parameters]
        loss, gradients = 0.0, None
        for training_pass in batch:
            share = pass_loss(self.anatomy, training_pass) / len(batch)
            loss += share.item()
            # a parameter that the loss does not depend on, as BART's attention to an encoder, has gradient zero
            new = torch.autograd.grad(share, parameters, materialize_grads=True)
            gradients = list(new) if gradients is None else [a.add_(b) for a, b in zip(gradients, new, strict=True)]
        assert gradients is not None
        rest = iter(gradients)
        return loss, [layer.gradients(tuple(next(rest) for _ in layer.parameters)) for layer in self.layers]

    def update(self, loss: float, gradients: list[list[Tensor]]) -> None:
        """One step of all layers along these gradients, clipped by their norm over all layers.

        Raises:
            Diverged: the loss, a gradient or a weight is not finite.
        """
        norms = [gradient_norm(layer_gradients) for layer_gradients in gradients]
        scale = clipping(math.hypot(*norms), self.method.clip if isinstance(self.method, FineTuning) else None)
        for layer, optimizer, layer_gradients in zip(self.layers, self._optimizers, gradients, strict=True):
            apply_gradients(layer, optimizer, layer_gradients, scale)
        self.record(loss, {layer.number: norm for layer, norm in zip(self.layers, norms, strict=True)})

    def record(self, loss: float, norms: Mapping[int | None, float]) -> None:
        """Record one step: its loss, and the gradient norm of each trained layer by number (None: outside all layers).

        Raises:
            Diverged: the loss, a gradient or a weight is not finite.
        """
        self.history.add(loss, norms)
        steps = len(self.history.losses)
        check_weights(self.layers, steps - 1)
        self._on_step(steps)


@dataclass(frozen=True, eq=False)
class TrainingPass:
    """One forward pass of training, which may be part of a demonstration."""

    tokens: list[int]
    rows: Tensor
    """Places of the tokens whose next token counts; none: nothing is learned."""
    targets: Tensor
    """Those next tokens."""


def whole_pass(sequence: TrainingSequence) -> TrainingPass:
    """All tokens at once."""
    counted = torch.tensor(sequence.loss_mask).nonzero().squeeze(1)
    return TrainingPass(sequence.tokens, counted - 1, torch.tensor(sequence.tokens)[counted])


def by_token(sequence: TrainingSequence, *, to_the_end: bool) -> list[TrainingPass]:
    """Token after token, each behind those before it, to learn its next token where that counts (Deutch 2024 §4.4).

    From the last token nothing is learned, so it runs only `to_the_end`.
    """
    full = whole_pass(sequence)
    passes = []
    for last in range(len(full.tokens) if to_the_end else len(full.tokens) - 1):
        row = full.rows == last
        passes.append(TrainingPass(full.tokens[: last + 1], full.rows[row], full.targets[row]))
    return passes


def pass_loss(anatomy: Anatomy, training_pass: TrainingPass) -> Tensor:
    """Next-token cross-entropy, averaged over the tokens that count; logits are computed at those only."""
    hidden = hidden_states(anatomy, training_pass)
    logits = anatomy.unembed(hidden[training_pass.rows.to(hidden.device)])
    logits = logits.to(exact_dtype(logits.dtype))
    return cross_entropy(logits, training_pass.targets.to(logits.device))


def hidden_states(anatomy: Anatomy, training_pass: TrainingPass) -> Tensor:
    """The hidden states of every token after the final norm `[tokens, hidden]`."""
    ids = torch.tensor([training_pass.tokens], device=anatomy.device)
    return anatomy.decoder(input_ids=ids, use_cache=False).last_hidden_state[0]


@dataclass(eq=False)
class History:
    """Losses and gradient norms, step by step."""

    layers: int
    losses: list[float] = field(default_factory=list)
    """Mean loss per counted token before each step (LCGD: summed over the trained layers)."""
    gradient_norms: list[list[float]] = field(default_factory=list)
    """Per step and layer: ‖∇‖₂ of the layer's trained parameters, before clipping; NaN where none is trained."""

    def add(self, loss: float, norms: Mapping[int | None, float]) -> None:
        """Record one step: its loss, and the gradient norm of each trained layer by number (None: outside all layers).

        Raises:
            Diverged: the loss or a gradient is not finite.
        """
        step = len(self.losses)
        self.losses.append(loss)
        self.gradient_norms.append([norms.get(layer, math.nan) for layer in range(self.layers)])
        for quantity, values in (("the loss", [loss]), ("a gradient", norms.values())):
            if not all(map(math.isfinite, values)):
                raise Diverged(step, quantity)

    def cut(self, steps: int) -> None:
        """Forget all but the first steps."""
        del self.losses[steps:], self.gradient_norms[steps:]


def make_optimizer(layer: TrainedLayer, method: FineTuning) -> torch.optim.Optimizer:
    """An optimizer of a layer's masters: layers are stepped one by one, so that LCGD need not keep gradients."""
    masters = [trained.master for trained in layer.trained]
    if method.optimizer == "adam":
        return torch.optim.Adam(masters, lr=method.learning_rate, fused=True)
    return torch.optim.SGD(masters, lr=method.learning_rate, momentum=method.momentum)


def gradient_norm(gradients: list[Tensor]) -> float:
    """‖∇‖₂ over all gradients."""
    return get_total_norm(gradients).item()


def clipping(norm: float, clip: float | None) -> float:
    """The factor of gradients of this total norm that makes it at most `clip`."""
    return 1.0 if clip is None or norm <= clip else clip / norm


@torch.no_grad()
def apply_gradients(
    layer: TrainedLayer, optimizer: torch.optim.Optimizer, gradients: list[Tensor], scale: float = 1.0
) -> None:
    """Step the masters along the gradients times `scale`, and round them into the network."""
    for trained, gradient in zip(layer.trained, gradients, strict=True):
        trained.master.grad = laid_out_as(trained.master, gradient if scale == 1 else gradient * scale)
    optimizer.step()
    optimizer.zero_grad()
    for trained in layer.trained:
        trained.write()


def laid_out_as(master: Tensor, gradient: Tensor) -> Tensor:
    """The gradient with its entries in memory as the master's are: fused optimizers take both in that order."""
    return gradient if gradient.stride() == master.stride() else torch.empty_like(master).copy_(gradient)


def check_weights(layers: list[TrainedLayer], step: int) -> None:
    """
    Raises:
        Diverged: a trained weight is not finite after this step.
    """
    # in the network's own dtype: a float32 master may be finite where its 16-bit copy is not
    for parameter in (parameter for layer in layers for parameter in layer.parameters):
        lowest, highest = torch.aminmax(parameter.detach())  # one pass and no copy; not a number comes through
        if not (lowest.isfinite() and highest.isfinite()):
            raise Diverged(step, "a weight")
