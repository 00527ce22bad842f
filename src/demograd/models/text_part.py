"""The language model inside a multimodal one (Gemma 3 from 4B on): what reads text, without what sees."""

from typing import Any

import torch
from transformers import AutoModelForCausalLM


def text_part(network: Any) -> tuple[Any, str]:
    """The network's causal language model on its own, sharing its weights, and a note on it; or the network itself.

    Raises:
        ValueError: transformers knows no causal language model of this kind of text configuration.
    """
    config = network.config.get_text_config(decoder=True)
    if config is network.config or not hasattr(network.config, "text_config"):
        return network, ""
    with torch.device("meta"):
        text = AutoModelForCausalLM.from_config(config, dtype=network.dtype)
    setattr(text, text.base_model_prefix, network.get_decoder())
    text.set_output_embeddings(network.get_output_embeddings())
    return text, f"the text part of a {network.config.model_type} model"
