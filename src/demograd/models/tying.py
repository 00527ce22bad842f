"""Input and output embeddings: one matrix or two, whatever the configuration says."""

from typing import Any


def say_what_is_tied(network: Any) -> str:
    """Make the configuration say of a network's own embeddings whether they are one matrix; a note where it did not.

    A checkpoint may hold a head of its own under a configuration that says "tied": transformers then keeps both, but
    would tie them in an untrained twin.
    """
    config, head = network.config, network.get_output_embeddings()
    if head is None or not getattr(config, "tie_word_embeddings", False):
        return ""
    if head.weight is network.get_input_embeddings().weight:
        return ""
    config.tie_word_embeddings = False
    return "the configuration says that input and output embeddings are one matrix; the file holds two: both are kept"
