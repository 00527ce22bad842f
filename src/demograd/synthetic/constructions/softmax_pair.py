"""Two heads of softmax attention as one step of gradient descent, which one head, whose weights sum to 1, cannot be.

With logits ±b⟨x_i, x⟩ the difference of the two heads' weights is 2b ⟨x_i − x̄, x⟩ / N, up to b³. So as the bandwidth b
goes to 0 the pair is a GD step from W₀ = 0 on inputs that are centred in their context: x̄ is what remains of the sum.
"""

import torch

from demograd.synthetic.attention import AttentionLayer


def softmax_pair(eta: float, bandwidth: float, inputs: int, outputs: int = 1) -> AttentionLayer:
    """The two heads of a step of rate η.

    W_K = diag(I, 0), W_Q = ±b diag(I, 0), W_V = diag(0, −I), P = ±η/(2b) I.

    **Source:** von Oswald 2023a trains two heads, and finds that they are needed; these weights are ours.
    """
    look_at_x, value = torch.zeros(2, inputs + outputs, inputs + outputs, dtype=torch.float64)
    look_at_x[:inputs, :inputs] = torch.eye(inputs)
    value[inputs:, inputs:] = -torch.eye(outputs)
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64)[:, None, None]
    projection = eta / (2 * bandwidth) * signs * torch.eye(inputs + outputs)
    return AttentionLayer(
        look_at_x.expand(2, -1, -1), bandwidth * signs * look_at_x, value.expand(2, -1, -1), projection
    )
