"""Training layer by layer (Deutch 2024 §4): every layer learns from its own readout, none from those above.

A hook on each block passes the block's output on without its graph, so no gradient crosses a block boundary. As soon as
a block, or a few where demonstrations are short, has run, its loss is computed and it is updated: memory is one layer's
graph, or that of 512 tokens in several layers, however many layers there are.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from demograd.learn.layer_causal import ROWS_READ_TOGETHER, LayerCausalGradientDescent
from demograd.learn.parameters import TrainedLayer
from demograd.learn.readout_loss import readout_loss
from demograd.learn.step import Training, TrainingPass, apply_gradients, clipping, gradient_norm, make_optimizer
from demograd.models import Anatomy


def train_layer_by_layer(training: Training, method: LayerCausalGradientDescent) -> None:
    """Take the method's steps.

    Raises:
        Diverged: a loss, gradient or weight is not finite.
    """
    anatomy, layers = training.anatomy, {layer.number: layer for layer in training.layers}
    readout = _Readout(anatomy)
    learners = [_LayerLearner(anatomy, n, layers.get(n), method, readout) for n in range(len(anatomy.blocks))]

    def step(training_pass: TrainingPass) -> None:
        """Run the network on the tokens; each layer learns to predict the targets at the rows (none: it only runs)."""
        readout.targets = training_pass.targets
        for learner in learners:
            learner.rows = training_pass.rows
        anatomy.decoder(input_ids=torch.tensor([training_pass.tokens], device=anatomy.device), use_cache=False)
        readout.flush()
        if len(training_pass.rows):
            learned = [learner for learner in learners if learner.layer]
            norms: dict[int | None, float] = {learner.number: learner.gradient_norm for learner in learned}
            training.record(sum(learner.loss for learner in learned), norms)

    with ExitStack() as stack:
        for learner in learners:
            stack.enter_context(learner.watching())
        for sequence in training.sequences * method.epochs:
            for learner in learners:
                learner.forget()
            for training_pass in training.passes(sequence, method.step):
                step(training_pass)


class _Readout:
    """U, the frozen final norm and unembedding, read at a few layers at once."""

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy = anatomy
        self.targets = torch.empty(0, dtype=torch.long)
        self.waiting: list[tuple[_LayerLearner, Tensor]] = []

    def add(self, learner: "_LayerLearner", hidden: Tensor) -> None:
        """Read a layer's hidden states `[counted tokens, hidden]`, which still have their graph."""
        self.waiting.append((learner, hidden))
        if len(self.waiting) * len(hidden) >= ROWS_READ_TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Each waiting layer's own loss CE(U(h), e) (Deutch 2024 §4.4), and a step of that layer on it."""
        if not self.waiting:
            return
        together = torch.cat([hidden.detach().to(self.anatomy.readout_device) for _, hidden in self.waiting])
        losses, gradient = readout_loss(self.anatomy, together, self.targets.repeat(len(self.waiting)))
        rows = len(self.targets)
        losses, gradients = losses.view(-1, rows).mean(dim=1), (gradient / rows).split(rows)
        for (learner, hidden), loss, hidden_gradient in zip(self.waiting, losses.tolist(), gradients, strict=True):
            learner.learn(loss, hidden, hidden_gradient.to(hidden.device))
        self.waiting.clear()


class _LayerLearner:
    """One layer, learning whenever its block runs; where none of it is trained, it only keeps its block's inputs."""

    def __init__(
        self,
        anatomy: Anatomy,
        number: int,
        layer: TrainedLayer | None,
        method: LayerCausalGradientDescent,
        readout: _Readout,
    ) -> None:
        self.number, self.layer, self.method, self.readout = number, layer, method, readout
        self.block, self.attention = anatomy.blocks[number], anatomy.attention_outputs[number]
        norms = anatomy.post_attention_norms
        # where a norm stands between attention and the residual stream, the stream holds what it puts out
        self.into_stream = norms[number] if norms else self.attention
        self.residual_multiplier = getattr(anatomy.network.config, "residual_multiplier", 1.0)  # Granite
        self.optimizer = make_optimizer(layer, method) if layer else None
        self.rows = torch.empty(0, dtype=torch.long)
        self.loss, self.gradient_norm = 0.0, 0.0
        self.block_inputs: Tensor | None = None
        self.attention_output: Tensor | None = None

    def forget(self) -> None:
        """Another demonstration begins."""
        self.block_inputs = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Learn from every forward pass inside this block."""
        source = self.attention if self.method.readout == "attention" else self.into_stream
        handles = [
            self.block.register_forward_pre_hook(self._before_block, with_kwargs=True),
            source.register_forward_hook(self._after_attention),
            self.block.register_forward_hook(self._after_block),
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _before_block(self, block: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, Any]:
        hidden = inputs[0] if inputs else options["hidden_states"]
        # "block inputs of earlier tokens stay as computed": within a demonstration, a longer pass keeps its prefix
        if self.method.step == "token" and self.block_inputs is not None:
            hidden = torch.cat([self.block_inputs, hidden[:, self.block_inputs.shape[1] :]], dim=1)
        self.block_inputs = hidden
        return ((hidden, *inputs[1:]), options) if inputs else (inputs, {**options, "hidden_states": hidden})

    def _after_attention(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self.attention_output = output[0] if isinstance(output, tuple) else output

    def _after_block(self, block: nn.Module, inputs: Any, output: Any) -> Any:
        hidden = output[0] if isinstance(output, tuple) else output
        if len(self.rows) and self.layer:
            self.readout.add(self, self._read_from(hidden)[0, self.rows.to(hidden.device)])
        self.attention_output = None
        detached = hidden.detach()
        return (detached, *output[1:]) if isinstance(output, tuple) else detached

    def _read_from(self, block_output: Tensor) -> Tensor:
        if self.method.readout == "block":
            return block_output
        assert self.attention_output is not None and self.block_inputs is not None
        if self.method.readout == "attention":
            return self.attention_output
        # where blocks are spread over devices, a block's input comes from the one before
        block_inputs = self.block_inputs.to(self.attention_output.device)
        return block_inputs + self.residual_multiplier * self.attention_output

    def learn(self, loss: float, hidden: Tensor, gradient: Tensor) -> None:
        """One step, from the loss's gradient with respect to what was read of this layer."""
        assert self.layer is not None and self.optimizer is not None
        # without the softmax derivative nothing reaches the keys, nor the MLP where only attention is read: their
        # gradient is zero, not missing
        parameter_gradients = torch.autograd.grad(hidden, self.layer.parameters, gradient, materialize_grads=True)
        gradients = self.layer.gradients(parameter_gradients)
        self.loss, self.gradient_norm = loss, gradient_norm(gradients)
        apply_gradients(self.layer, self.optimizer, gradients, clipping(self.gradient_norm, self.method.clip))
