"""Task vectors and function vectors, read from prompts in which one of the demonstrations is the query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from demograd.errors import UserError
from demograd.learn.method import Diverged
from demograd.learn.parameters import generator_of
from demograd.learn.step import Training
from demograd.models import Intervention, Model, Patch
from demograd.observe import observe
from demograd.observe.attention import causal_attention
from demograd.observe.attention_hook import AttentionCall, attention_routed
from demograd.tasks.prompts import Prompts, TrainingSequence

if TYPE_CHECKING:
    from demograd.learn.rivals.vectors import FunctionVector, InContextVector, TaskVector


@dataclass(frozen=True)
class Demonstration:
    """A training sequence in its parts, without BOS."""

    text: list[int]
    answer: list[int]
    separator: list[int]

    def __len__(self) -> int:
        """Its tokens in a prompt."""
        return len(self.text) + len(self.answer) + len(self.separator)


def demonstrations_of(sequences: Sequence[TrainingSequence]) -> list[Demonstration]:
    """The parts of each sequence.

    Raises:
        UserError: one does not say where its answer begins or how it ends in a prompt.
    """
    demonstrations = []
    for sequence in sequences:
        start, separator = sequence.answer_start, sequence.separator
        if start is None or separator is None:
            raise UserError(
                "A training sequence that does not say where its answer begins and how it ends in a prompt",
                "answer_start and separator, as the sequences of a task have them",
                "Make the sequences by task.training_sequences, or give both",
            )
        demonstrations.append(Demonstration(sequence.tokens[1:start], sequence.tokens[start:], list(separator)))
    return demonstrations


def left_out_prompts(training: Training, prompts: int, shuffled: torch.Generator | None = None) -> list[Prompts]:
    """Prompts each with another demonstration as the query, all others before it, their answers maybe shuffled.

    The candidates are the answers of all demonstrations, each once. Demonstrations that do not fit the context window
    are left out from the end, and a note of the training says so.

    Raises:
        UserError: not two fit.
    """
    demonstrations = _fitting(training, demonstrations_of(training.sequences))
    candidates = _candidates(demonstrations)
    result = []
    for number, query in enumerate(demonstrations[:prompts]):
        others = demonstrations[:number] + demonstrations[number + 1 :]
        answers = [other.answer for other in others]
        if shuffled is not None:
            answers = [answers[place] for place in torch.randperm(len(others), generator=shuffled)]
        context = training.sequences[0].tokens[:1]  # BOS
        for other, answer in zip(others, answers, strict=True):
            context = context + other.text + answer + other.separator
        result.append(Prompts(context, [query.text], candidates, [candidates.index(query.answer)]))
    return result


def _fitting(training: Training, demonstrations: list[Demonstration]) -> list[Demonstration]:
    """As many of the first ones as fit the context window in a prompt."""
    window = training.model.context_window
    ends = [1 + end for end in accumulate(map(len, demonstrations))]
    used = [
        demonstration for demonstration, end in zip(demonstrations, ends, strict=True) if not window or end <= window
    ]
    if len(used) < 2:
        raise UserError(
            f"{len(used)} of {len(demonstrations)} demonstrations that fit in one prompt of {training.model.name}",
            f"at least two, one of them the query; the first two take {ends[1]} of {window} tokens",
            "Choose another seed, task or model",
        )
    if len(used) < len(demonstrations):
        training.note(
            f"{len(demonstrations)} demonstrations do not fit the context window in one prompt: "
            f"{training.method.name} is read from the first {len(used)}"
        )
    return used


def zero_shot_prompts(training: Training, prompts: int) -> Prompts:
    """The same queries without demonstrations."""
    demonstrations = _fitting(training, demonstrations_of(training.sequences))
    candidates, queries = _candidates(demonstrations), demonstrations[:prompts]
    gold = [candidates.index(query.answer) for query in queries]
    return Prompts(training.sequences[0].tokens[:1], [query.text for query in queries], candidates, gold)


def _candidates(demonstrations: Sequence[Demonstration]) -> list[list[int]]:
    return [list(answer) for answer in sorted({tuple(demonstration.answer) for demonstration in demonstrations})]


def make_task_vector(training: Training, method: TaskVector) -> None:
    """Read the residual streams of all layers, and choose one.

    Raises:
        Diverged: a stream is not finite.
    """
    streams = []
    for prompts in left_out_prompts(training, method.prompts):
        observation = observe(training.model, prompts, extras=["block_outputs"])
        assert observation.block_outputs is not None
        streams.append(observation.block_outputs[0])
    vectors = torch.stack(streams).mean(dim=0)
    _require_finite(vectors)
    patches = [Patch(vector, share=1 - method.learning_rate) for vector in vectors * method.learning_rate]
    layer = _best_layer(training, method, patches) if method.layer == "best" else method.layer
    training.intervention = lambda: Intervention(patches={layer: patches[layer]})


def _best_layer(training: Training, method: InContextVector, patches: Sequence[Patch]) -> int:
    """Where the patch makes left-out demonstrations' answers likeliest among the label words; the first of equals."""
    prompts = zero_shot_prompts(training, method.prompts)
    scores = []
    for layer, patch in enumerate(patches):
        patched = replace(training.model, intervention=Intervention(patches={layer: patch}))
        log_probs = observe(patched, prompts).label_log_probs.double()
        if len(prompts.candidates) > 1:  # of one label word the share among the label words is always 1
            log_probs = log_probs.log_softmax(dim=-1)
        scores.append(log_probs[range(len(prompts.gold)), prompts.gold].mean())
    return int(torch.stack(scores).nan_to_num(nan=-torch.inf).argmax())


def make_function_vector(training: Training, method: FunctionVector) -> None:
    """Read mean head outputs, choose heads by their indirect effect, and sum them through the output projections.

    Raises:
        Diverged: a head's output is not finite.
    """
    outputs = []
    for prompts in left_out_prompts(training, method.prompts):
        observation = observe(training.model, prompts, extras=["head_outputs"])
        assert observation.head_outputs is not None
        outputs.append(observation.head_outputs[0])
    mean = torch.stack(outputs).mean(dim=0)
    _require_finite(mean)
    shuffled = left_out_prompts(training, method.prompts, generator_of("answers", method.seed))
    effects = torch.stack([indirect_effects(training.model, prompts, mean) for prompts in shuffled]).mean(dim=0)
    _require_finite(effects)
    chosen = torch.zeros(effects.numel(), dtype=torch.bool)
    chosen[effects.flatten().argsort(descending=True, stable=True)[: method.heads]] = True
    vector = added_to_stream(training.model, mean, chosen.view(effects.shape)).sum(dim=0)
    depth = len(training.anatomy.blocks)
    layer = depth // 3 if method.layer == "third" else method.layer
    training.intervention = lambda: Intervention(patches={layer: Patch(method.learning_rate * vector)})


def indirect_effects(
    model: Model, prompts: Prompts, mean: Float[Tensor, "layers heads value_dim"]
) -> Float[Tensor, "layers heads"]:
    """To first order, how much log p(first token of the right answer) rises where the last token's output of one head
    is its mean: ∇ · (mean − own). One query."""
    anatomy = model.anatomy
    (query,) = prompts.queries
    answer = prompts.candidates[prompts.gold[0]][0]
    own: dict[int, Tensor] = {}

    def attend(call: AttentionCall) -> Tensor:
        output = causal_attention(call)
        # a leaf of the last token alone: behind it nothing is, so the gradient is that token's whole
        own[call.layer] = last = output[:, -1].detach().requires_grad_()
        through = output[:, -1] + (last - last.detach())
        return torch.cat([output[:, :-1], through[:, None]], dim=1)

    # one whole sequence, whose positions every network knows by itself
    with attention_routed(anatomy, attend), torch.enable_grad():
        ids = torch.tensor([prompts.context + query], device=anatomy.device)
        hidden = anatomy.decoder(input_ids=ids, use_cache=False).last_hidden_state[0, -1:]
        log_prob = anatomy.unembed(hidden).float().log_softmax(dim=-1)[0, answer]
        leaves = [own[layer] for layer in sorted(own)]
        gradients = torch.autograd.grad(log_prob, leaves)
    return torch.stack(
        [
            (gradient[0].float().cpu() * (wished - leaf.detach()[0].float().cpu())).sum(dim=-1)
            for gradient, leaf, wished in zip(gradients, leaves, mean, strict=True)
        ]
    )


@torch.no_grad()
def added_to_stream(
    model: Model, outputs: Float[Tensor, "layers heads value_dim"], chosen: Bool[Tensor, "layers heads"]
) -> Float[Tensor, "layers hidden"]:
    """What the chosen heads add to the residual stream of each layer where all heads put out `outputs`.

    Through the output projection, without its bias, which the network itself makes: one token's pass with these in the
    heads' place, less one with zeros. What stands between projection and stream scales a part as it scales the whole:
    an RMS norm by its gains over the root mean square of all heads' projection (Gemma 2 and 3), a multiplier (Granite).
    """
    anatomy = model.anatomy
    part = _attention_outputs(model, outputs * chosen[..., None])
    part -= _attention_outputs(model, torch.zeros_like(outputs))
    if norms := anatomy.post_attention_norms:
        rms = _attention_outputs(model, outputs).square().mean(dim=-1, keepdim=True).sqrt()
        level = rms.expand_as(part)  # of a vector whose entries are all alike the norm leaves the gains
        part *= torch.stack([_normed(norm, row) for norm, row in zip(norms, level, strict=True)]) / rms
    return part * anatomy.residual_multiplier


def _normed(norm: torch.nn.Module, row: Tensor) -> Tensor:
    parameter = next(norm.parameters())
    output: Tensor = norm(row.to(parameter))
    return output.float().cpu()


def _attention_outputs(model: Model, outputs: Tensor) -> Tensor:
    anatomy, projections = model.anatomy, dict[int, Tensor]()

    def attend(call: AttentionCall) -> Tensor:
        return outputs[call.layer].to(call.value)[None, None]

    def keep(layer: int, output: Any) -> None:
        hidden = output[0] if isinstance(output, tuple) else output
        projections[layer] = hidden[0, 0].float().cpu()

    handles = [
        module.register_forward_hook(lambda _, inputs, output, layer=layer: keep(layer, output))
        for layer, module in enumerate(anatomy.attention_outputs)
    ]
    try:
        with attention_routed(anatomy, attend):
            ids = torch.zeros(1, 1, dtype=torch.long, device=anatomy.device)
            anatomy.decoder(input_ids=ids, **anatomy.positions(torch.zeros(1, dtype=torch.long)), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return torch.stack([projections[layer] for layer in sorted(projections)])


def _require_finite(tensor: Tensor) -> None:
    if not tensor.isfinite().all():
        raise Diverged(0, "what the network computes of a prompt")
