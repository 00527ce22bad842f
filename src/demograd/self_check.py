"""`demograd check MODEL`: proofs, on the user's own model, that what is recorded is what the model computes."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from demograd.learn import GradientDescent, LayerCausalGradientDescent, Method, fine_tuned
from demograd.models import Model, eager_attention
from demograd.models.load import tokenizer_file_of
from demograd.models.tokenizer import PROBE, texts_read_otherwise
from demograd.observe import Observation, observe
from demograd.observe.masks import attention_masks
from demograd.observe.self_check import (
    TOLERANCE,
    random_prompts,
    reference_log_probs,
    relative_difference,
    way_at_length,
)
from demograd.tasks import Prompts, TrainingSequence


@dataclass(frozen=True)
class CheckResult:
    """One self-check."""

    name: str
    passed: bool
    measured: str
    allowed: str


def check_model(model: Model) -> list[CheckResult]:
    """Run the self-checks on random tokens, seeded.

    Raises:
        UserError: the model cannot be observed at all.
    """
    prompts = random_prompts(model, context=20, lengths=(6, 3, 9, 5))
    beyond = _beyond_window(model)
    observed = observe(model, prompts, extras=["context_logits", "next_token_log_probs"])
    assert observed.next_token_log_probs is not None
    way = way_at_length(model, prompts)
    allowed = TOLERANCE[model.dtype]
    windowed = (
        []
        if beyond is None
        else [
            _within(
                f"{way_at_length(model, beyond)} equals one by one beyond the window ({len(beyond.context)} tokens)",
                _log_prob_difference(model, beyond),
                allowed,
            )
        ]
    )
    return [
        *_tokenizer_check(model),
        *windowed,
        _within(
            f"{way} equals one by one, next-token log-probabilities",
            relative_difference(observed.next_token_log_probs, reference_log_probs(model, prompts).cpu()),
            allowed,
        ),
        _within(
            "softmax of the recorded logits equals the attention probabilities",
            _attention_difference(model, prompts, observed),
            allowed,
        ),
        _within(
            "final norm and unembedding of the last block equal the logits",
            _readout_difference(model, prompts),
            allowed,
        ),
        _restores(model, prompts, GradientDescent(learning_rate=1e-3)),
        _restores(model, prompts, LayerCausalGradientDescent(learning_rate=1e-3)),
    ]


def _tokenizer_check(model: Model) -> list[CheckResult]:
    """None for a model without a tokenizer.json, whose tokenizer there is nothing to compare with."""
    file = None if model.tokenizer is None else tokenizer_file_of(model.name)
    if file is None:
        return []
    wrong = len(texts_read_otherwise(model.tokenizer, file))
    return [
        CheckResult(
            "the tokenizer's ids are those of tokenizer.json",
            wrong == 0,
            f"{wrong} of {len(PROBE)} texts differ",
            "none",
        )
    ]


def _within(name: str, difference: float, allowed: float) -> CheckResult:
    return CheckResult(name, difference <= allowed, f"{difference:.1e}", f"{allowed:g}")


def _beyond_window(model: Model) -> Prompts | None:
    """Prompts longer than the widest window or chunk; None where there is none, or no room for them."""
    config = model.network.config
    masks = [mask for mask in attention_masks(model.anatomy) if mask is not None]
    window = max((mask.window or mask.chunk or 0 for mask in masks), default=0) or getattr(config, "window_size", None)
    most = model.context_window
    if not window or (most is not None and window + 30 > most):
        return None
    return random_prompts(model, context=window + 10, lengths=(6, 3))


def _log_prob_difference(model: Model, prompts: Prompts) -> float:
    observed = observe(model, prompts, extras=["next_token_log_probs"]).next_token_log_probs
    assert observed is not None
    return relative_difference(observed, reference_log_probs(model, prompts).cpu())


@torch.no_grad()
def _attention_difference(model: Model, prompts: Prompts, observed: Observation) -> float:
    """Against the network's own eager attention, which returns its probabilities: the largest difference."""
    assert observed.context_logits is not None
    worst = 0.0
    with eager_attention(model.anatomy):
        for query, tokens in enumerate(prompts.queries):
            ids = torch.tensor([prompts.context + tokens], device=model.anatomy.device)
            own = model.network(input_ids=ids, use_cache=False, output_attentions=True).attentions
            probabilities = torch.stack([layer[0, :, -1].float().cpu() for layer in own])
            logits = torch.cat([observed.context_logits[query], observed.attention_logits[query]], dim=-1)
            bias = model.anatomy.position_bias(torch.arange(logits.shape[-1]))
            if bias is not None:
                logits = logits + bias.float().cpu()
            # a token outside a sliding window has no probability; the logits are recorded before any mask
            recorded = logits.masked_fill(probabilities == 0, -torch.inf).softmax(dim=-1)
            # where a sink takes a part (GPT-OSS), what is compared is how the keys share the rest
            probabilities = probabilities / probabilities.sum(dim=-1, keepdim=True)
            worst = max(worst, (recorded - probabilities).abs().max().item())
    return worst


@torch.no_grad()
def _readout_difference(model: Model, prompts: Prompts) -> float:
    last: list[Tensor] = []

    def keep(module: object, inputs: object, output: Any) -> None:
        last.append(output[0] if isinstance(output, tuple) else output)

    handle = model.anatomy.blocks[-1].register_forward_hook(keep)
    try:
        ids = torch.tensor([prompts.context], device=model.anatomy.device)
        logits = model.network(input_ids=ids, use_cache=False).logits
    finally:
        handle.remove()
    return relative_difference(model.anatomy.readout(last[0]).float(), logits.float())


def _restores(model: Model, prompts: Prompts, method: Method) -> CheckResult:
    sequences = [TrainingSequence(prompts.context, [False] + [True] * (len(prompts.context) - 1))]
    fresh = replace(model)  # a fingerprint is remembered: a copy takes it anew
    before = replace(model).fingerprint
    with fine_tuned(model, sequences, method) as tuned:
        changed = tuned.fingerprint != before
    restored = fresh.fingerprint == before
    measured = "restored" if restored and changed else "nothing was changed" if restored else "different weights"
    return CheckResult(
        f"fine-tuning with {method.name} restores every weight", restored and changed, measured, "bit-identical"
    )
