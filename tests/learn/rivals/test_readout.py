"""GD on the readout, against autograd on the unembedding of Hugging Face's own network."""

import copy

import pytest
import torch
from tests.learn.fine_tunings import MakeModel, assert_as_before, bits
from tests.learn.rivals.demonstrations import demonstrations, logits_of, plain_loss

from demograd import observe
from demograd.learn import fine_tuned
from demograd.learn.rivals.readout import ReadoutGradientDescent
from demograd.models import find_anatomy
from demograd.tasks.prompts import Prompts

PROMPTS = Prompts([0], [[11, 12, 13], [50, 20], [33, 34, 35, 36]], [[5], [6, 7], [8]], [0, 1, 2])


@pytest.mark.parametrize("epochs", [1, 3])
def test_it_is_sgd_on_the_unembedding(epochs: int, random_model: MakeModel) -> None:
    """Coefficients of features are the weights' change, for answers of several tokens and over epochs too."""
    model, sequences = random_model("llama"), demonstrations(6, 4, 5)
    before = bits(model.network)
    network = copy.deepcopy(model.network)
    weight = network.lm_head.weight.requires_grad_(True)
    steps = torch.optim.SGD([weight], lr=0.02)
    losses, norms = [], []
    for sequence in sequences * epochs:
        steps.zero_grad()
        loss = plain_loss(logits_of(network, sequence), sequence.on_label())
        loss.backward()
        losses.append(loss.item())
        norms.append(weight.grad.norm().item())
        steps.step()
    weight.requires_grad_(False)
    by_weights = observe(type(model)("llama", network, None, find_anatomy(network), dtype="float32"), PROMPTS)
    recorded: list[float] = []
    with fine_tuned(model, sequences, ReadoutGradientDescent(learning_rate=0.02, epochs=epochs)) as tuned:
        observed = observe(tuned, PROMPTS, extras=["next_token_log_probs"])
        recorded = tuned.losses.tolist()
    unchanged = observe(model, PROMPTS, extras=["next_token_log_probs"])
    assert recorded == pytest.approx(losses, rel=1e-3)
    torch.testing.assert_close(observed.label_log_probs, by_weights.label_log_probs, rtol=1e-3, atol=1e-3)
    assert (observed.label_log_probs - unchanged.label_log_probs).abs().max() > 0.1
    assert observed.next_token_log_probs is not None
    torch.testing.assert_close(observed.next_token_log_probs.exp().sum(dim=-1), torch.ones(3))
    assert torch.equal(observed.attention_output, unchanged.attention_output)  # nothing inside the network changes
    assert_as_before(model.network, before)
