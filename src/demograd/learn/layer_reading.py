"""What U reads of every layer while a network runs, and the loss of it (Deutch 2024 §4).

A hook on each block passes the block's output on without its graph, so no gradient crosses a block boundary. As soon as
a block, or a few where demonstrations are short, has run, its loss is computed and it learns: memory is one layer's
graph, or that of 512 tokens in several layers, however many layers there are.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from demograd.learn.layer_causal import ROWS_READ_TOGETHER, LayerCausalGradientDescent
from demograd.learn.readout_loss import readout_loss
from demograd.models import Anatomy

Learn = Callable[[Tensor, Tensor, Tensor], None]
"""A layer's step: takes its loss at every row that is read `[rows]`, its hidden states there `[rows, hidden]`, which
still have their graph, and the gradient with respect to them."""


class LayerReading:
    """U, the frozen final norm and unembedding, read at every layer that learns, at a few at once."""

    def __init__(self, anatomy: Anatomy, method: LayerCausalGradientDescent, learn: Mapping[int, Learn]) -> None:
        self.anatomy = anatomy
        self.rows = self.targets = torch.empty(0, dtype=torch.long)
        self.shares = torch.empty(0, dtype=torch.float64)
        self._waiting: list[tuple[Learn, Tensor]] = []
        self._layers = [_ReadLayer(self, n, method, learn.get(n)) for n in range(len(anatomy.blocks))]

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Read from every forward pass inside this block."""
        with ExitStack() as stack:
            for layer in self._layers:
                stack.enter_context(layer.watching())
            yield

    @contextmanager
    def at(
        self, rows: Int[Tensor, " rows"], targets: Int[Tensor, " rows"], shares: Float[Tensor, " rows"]
    ) -> Iterator[None]:
        """Read at these rows in the pass of this block; what is learned is the sum of their losses times shares."""
        self.rows, self.targets, self.shares = rows, targets, shares
        yield
        self.flush()

    def forget(self) -> None:
        """Another demonstration begins."""
        for layer in self._layers:
            layer.block_inputs = None

    def add(self, learn: Learn, hidden: Float[Tensor, "rows hidden"]) -> None:
        """Read a layer's hidden states, which still have their graph."""
        self._waiting.append((learn, hidden))
        if len(self._waiting) * len(hidden) >= ROWS_READ_TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Each waiting layer's own loss CE(U(h), e) (Deutch 2024 §4.4), and a step of that layer on it."""
        if not self._waiting:
            return
        layers, rows = len(self._waiting), len(self.rows)
        together = torch.cat([hidden.detach().to(self.anatomy.readout_device) for _, hidden in self._waiting])
        losses, gradient = readout_loss(self.anatomy, together, self.targets.repeat(layers))
        gradient = gradient * self.shares.repeat(layers).to(gradient)[:, None]
        of_layers = zip(self._waiting, losses.view(layers, rows), gradient.split(rows), strict=True)
        for (learn, hidden), layer_losses, hidden_gradient in of_layers:
            learn(layer_losses, hidden, hidden_gradient.to(hidden.device))
        self._waiting.clear()


class _ReadLayer:
    """One block, whose output goes on without its graph; where none of it is trained, nothing is read of it."""

    def __init__(
        self, reading: LayerReading, number: int, method: LayerCausalGradientDescent, learn: Learn | None
    ) -> None:
        anatomy = reading.anatomy
        self.reading, self.method, self.learn = reading, method, learn
        self.block, self.attention = anatomy.blocks[number], anatomy.attention_outputs[number]
        norms = anatomy.post_attention_norms
        # where a norm stands between attention and the residual stream, the stream holds what it puts out
        self.into_stream = norms[number] if norms else self.attention
        self.block_inputs: Tensor | None = None
        self.attention_output: Tensor | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
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
        rows = self.reading.rows
        if len(rows) and self.learn:
            self.reading.add(self.learn, self._read_from(hidden)[0, rows.to(hidden.device)])
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
        return block_inputs + self.reading.anatomy.residual_multiplier * self.attention_output
