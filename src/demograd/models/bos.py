"""The token that every prompt and every training sequence begins with."""

from typing import Any

from demograd.errors import UserError

_CHAT_TURNS = ("<|im_start|>", "<|start_header_id|>", "<start_of_turn>")
"""Tokens that open a turn of a chat; as BOS they say that one follows, and none does."""

_UNKNOWN = ("<unk>", "[UNK]")
"""No BOS, by their text: Qwen's tokenizer calls its <|endoftext|> the unknown token, too."""


def begin_with(tokenizer: Any, config: Any, requested: str | None, built_in: str | None) -> str:
    """Make the tokenizer's BOS what prompts begin with, and say what a reader must know of it (empty: nothing).

    It is the token that was asked for; else the one that is known of a built-in model; else the tokenizer's own; else
    the configuration's. A tokenizer that is left without any begins with its end-of-text token (`demograd.tasks`).

    Args:
        tokenizer: of transformers; its `bos_token` is set.
        config: the model's.
        asked: by the user: a token of the vocabulary, or text that is exactly one.
        known: a token of the vocabulary.

    Raises:
        UserError: what was asked for is no token of the vocabulary.
    """
    own, configured = tokenizer.bos_token, _configured(tokenizer, config)
    if requested is not None:
        tokenizer.bos_token = _token(tokenizer, requested)
        differs = f"; the tokenizer's BOS is {own or 'none'}" if own != tokenizer.bos_token else ""
        return f"prompts begin with {tokenizer.bos_token}, as asked for{differs}"
    if built_in is not None:
        tokenizer.bos_token = built_in
        chat = ", which opens a turn of a chat" if own in _CHAT_TURNS else ""
        return f"prompts begin with {built_in}: not with the tokenizer's BOS, {own}{chat}" if own != built_in else ""
    if own is None:
        if configured is None or configured in _UNKNOWN:
            return ""
        tokenizer.bos_token = configured
        return f"prompts begin with {configured}, the configuration's BOS: the tokenizer has none"
    if own in _CHAT_TURNS:
        return (
            f"prompts begin with {own}, the tokenizer's BOS, which opens a turn of a chat: the setting bos takes "
            "another"
        )
    if configured is not None and configured != own:
        return (
            f"prompts begin with the tokenizer's BOS, {own}; the model's configuration says {configured}, which "
            "the setting bos would take"
        )
    return ""


def _configured(tokenizer: Any, config: Any) -> str | None:
    """The configuration's BOS, where it names one of the tokenizer's added tokens.

    An ordinary token is what a class of transformers takes where a file names none: Llama's is token 1, whatever it is.
    """
    number = getattr(config, "bos_token_id", None)
    return tokenizer.convert_ids_to_tokens(number) if number in tokenizer.added_tokens_decoder else None


def _token(tokenizer: Any, text: str) -> str:
    if text in tokenizer.get_vocab():
        return text
    ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"] if text else []
    unknown = getattr(tokenizer, "unk_token_id", None)
    if len(ids) != 1 or ids[0] == unknown:
        description = f"{len(ids)} tokens" if len(ids) != 1 else "its token for what it does not know"
        shown = text if len(text) <= 80 else text[:79] + "…"
        special = [str(token) for token in tokenizer.all_special_tokens][:10]
        raise UserError(
            f"bos {shown!r} is {description} of this tokenizer",
            "one token of its vocabulary",
            f"Its special tokens are {', '.join(special) or 'none'}",
        )
    return str(tokenizer.convert_ids_to_tokens(ids[0]))
