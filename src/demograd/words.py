"""Words that settings, files and tables share; they name things, and need nothing that is heavy to import."""

from typing import Literal

Weights = Literal["trained", "trained_embeddings", "norms_only", "no_training"]
"""States of a network before anything is done to it (method.md)."""

Dtype = Literal["float32", "bfloat16", "float16"]
"""What a network computes in."""

Extra = Literal[
    "next_token_log_probs",
    "context_logits",
    "query_vectors",
    "rotated_query_vectors",
    "head_outputs",
    "value_key_products",
    "weighted_value_key_products",
    "context_value_key_products",
    "weighted_context_value_key_products",
]
"""Fields of `Observation` that are None unless they are asked for."""

ALLOW_PICKLE = "DEMOGRAD_ALLOW_PICKLE"
"""Environment variable, 1 where pickled weights may be read; worker processes inherit it."""
