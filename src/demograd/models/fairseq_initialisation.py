"""How fairseq draws the weights of its decoder, which Hugging Face calls XGLM and draws otherwise."""

from math import sqrt
from typing import Any

from torch import Tensor, nn

from demograd.errors import UserError

ARCHITECTURE = "xglm"


def check_fairseq_draws(network: Any, name: str, initializer_range: float | None) -> None:
    """Whether fairseq has this architecture, and nothing is asked for that its initialisation does not take.

    Raises:
        UserError: it has not; a standard deviation is asked for.
    """
    if initializer_range is not None:
        raise UserError(
            f"initializer_range {initializer_range:g} with drawn_as fairseq",
            "one of the two: fairseq's deviations follow from the shapes of the matrices",
            "Leave one of them out",
        )
    if network.config.model_type != ARCHITECTURE:
        raise UserError(
            f"drawn_as fairseq for {name}, whose architecture is {network.config.model_type}",
            f"a model of fairseq's, whose architecture is called {ARCHITECTURE}",
            "Leave drawn_as out",
        )


def draw_as_fairseq(network: Any) -> None:
    """Draw every parameter of an XGLM anew, from torch's global generator; the network is changed in place.

    With D the hidden size, and n the inputs of a linear map: embeddings N(0, 1/D), the padding token's zero; queries,
    keys and values Xavier uniform with a gain of 1/√2, the attention's output projection with a gain of 1 and no bias;
    all other linear weights and biases, those of queries, keys and values too, U(−1/√n, 1/√n); norms neutral.

    **Source:** fairseq: `MultiheadAttention.reset_parameters`, `Embedding` of transformer_base.py, and `nn.Linear`,
    whose own draw fairseq leaves as it is in fc1, fc2 and biases. transformers draws all matrices
    N(0, init_std²), and no bias.
    """
    unembedding = network.get_output_embeddings()
    for name, module in network.named_modules():
        if isinstance(module, nn.Embedding):
            _draw_embedding(module.weight)
            if module.padding_idx is not None:
                nn.init.zeros_(module.weight[module.padding_idx])
        elif module is unembedding:
            if module.weight is not network.get_input_embeddings().weight:
                _draw_embedding(module.weight)
        elif isinstance(module, nn.Linear):
            module.reset_parameters()
            own = name.rpartition(".")[2]
            if own in ("q_proj", "k_proj", "v_proj"):
                nn.init.xavier_uniform_(module.weight, gain=1 / sqrt(2))
            elif own == "out_proj":
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            module.reset_parameters()


def _draw_embedding(weight: Tensor) -> None:
    nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
