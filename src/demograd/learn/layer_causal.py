"""Layer-causal gradient descent (Deutch 2024 §4): every layer learns from its own readout, none from those above.

A hook on each block computes that layer's loss as soon as the block has run, takes its gradient, updates the layer,
and passes the block's output on without its graph. So no gradient crosses a block boundary, and there is never more
than one layer's graph or gradient in memory.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from demograd.learn.gradient_descent import predictions
from demograd.learn.methods import LayerCausalGradientDescent
from demograd.learn.trained import TrainedLayer
from demograd.learn.update import History, apply_gradients, check_weights, make_optimizer
from demograd.models import Anatomy
from demograd.observe.attention import causal_attention
from demograd.observe.routing import attention_routed
from demograd.tasks.prompts import TrainingSequence


def layer_causal_gradient_descent(
    anatomy: Anatomy,
    layers: list[TrainedLayer],
    sequences: list[TrainingSequence],
    method: LayerCausalGradientDescent,
    on_step: Callable[[int], None],
) -> History:
    """Take the method's steps; `on_step` is told how many are done.

    Raises:
        Diverged: a loss, gradient or weight is not finite.
    """
    history = History(len(layers))
    learners = [_LayerLearner(anatomy, number, layer, method) for number, layer in enumerate(layers)]
    attend = partial(causal_attention, softmax_gradient=method.softmax_gradient)

    def step(tokens: list[int], rows: Tensor, targets: Tensor) -> None:
        """Run the network on the tokens; each layer learns to predict the targets at the rows (none: it only runs)."""
        for learner in learners:
            learner.rows, learner.targets = rows, targets
        anatomy.decoder(input_ids=torch.tensor([tokens], device=anatomy.device), use_cache=False)
        if len(rows):
            history.add(sum(learner.loss for learner in learners), [learner.gradient_norm for learner in learners])
            check_weights(layers, len(history.losses) - 1)
            on_step(len(history.losses))

    with ExitStack() as stack:
        stack.enter_context(attention_routed(anatomy, attend))
        for learner in learners:
            stack.enter_context(learner.watching())
        for sequence in sequences:
            for learner in learners:
                learner.forget()
            rows, targets = predictions(sequence)
            if method.step == "demonstration":
                step(sequence.tokens, rows, targets)
                continue
            for last in range(len(sequence.tokens) - 1):
                here = rows == last
                step(sequence.tokens[: last + 1], rows[here], targets[here])
    return history


class _LayerLearner:
    """One layer, learning whenever its block runs."""

    def __init__(
        self, anatomy: Anatomy, number: int, layer: TrainedLayer, method: LayerCausalGradientDescent
    ) -> None:
        self.anatomy, self.layer, self.method = anatomy, layer, method
        self.block, self.attention = anatomy.blocks[number], anatomy.attentions[number]
        norms = anatomy.post_attention_norms
        # where a norm stands between attention and the residual stream, the stream holds what it puts out
        self.into_stream = norms[number] if norms else self.attention
        self.optimizer = make_optimizer(layer, method)
        self.rows, self.targets = torch.empty(0, dtype=torch.long), torch.empty(0, dtype=torch.long)
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

    def _before_block(self, block: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any]:
        hidden = inputs[0] if inputs else named["hidden_states"]
        # "block inputs of earlier tokens stay as computed": within a demonstration, a longer pass keeps its prefix
        if self.method.step == "token" and self.block_inputs is not None:
            hidden = torch.cat([self.block_inputs, hidden[:, self.block_inputs.shape[1] :]], dim=1)
        self.block_inputs = hidden
        return ((hidden, *inputs[1:]), named) if inputs else (inputs, {**named, "hidden_states": hidden})

    def _after_attention(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self.attention_output = output[0] if isinstance(output, tuple) else output

    def _after_block(self, block: nn.Module, inputs: Any, output: Any) -> Any:
        hidden = output[0] if isinstance(output, tuple) else output
        if len(self.rows):
            self._learn(self._read_from(hidden))
        self.attention_output = None
        detached = hidden.detach()
        return (detached, *output[1:]) if isinstance(output, tuple) else detached

    def _read_from(self, block_output: Tensor) -> Tensor:
        if self.method.readout == "block":
            return block_output
        assert self.attention_output is not None and self.block_inputs is not None
        if self.method.readout == "attention":
            return self.attention_output
        return self.block_inputs + self.attention_output

    def _learn(self, hidden: Tensor) -> None:
        """One step on this layer's own cross-entropy CE(U(h), e) (Deutch 2024 §4.4)."""
        logits = self.anatomy.readout(hidden[0, self.rows.to(hidden.device)]).float()
        loss = cross_entropy(logits, self.targets.to(logits.device))
        # without the softmax derivative nothing reaches the keys: their gradient is zero, not missing
        gradients = torch.autograd.grad(loss, self.layer.parameters, materialize_grads=True, allow_unused=True)
        self.loss = loss.item()
        self.gradient_norm = apply_gradients(self.layer, self.optimizer, self.layer.gradients(gradients))
