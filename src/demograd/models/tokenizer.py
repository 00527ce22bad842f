"""A model's tokenizer, as its files say, and the token that every prompt and training sequence begins with."""

from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache

from demograd.errors import UserError
from demograd.paths import is_there

VOCABULARIES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tekken.json",
)
"""Files with a tokenizer's vocabulary; others (`*.model`, `*.tiktoken`) are known by how their names end."""
PROBE = (
    "The film was good, but (in part) too long.",
    "It cost $1,234.56 in 1999; 42% of 100000 left.",
    "a  b   c    d  12   345 6",
    " leading and trailing ",
    "one\ntwo\n\nthree\r\nfour\tfive",
    "I'm sure they've said we'd go; it's Tom's, isn't it?",
    "naïve café, Zürich – “quoted” … façade",
    "cafe\u0301 ＡＢＣ ① ﬁn",
    "电影很好。映画はとても良かった!",
    "Москва, Αθήνα, القاهرة, मुंबई, กรุงเทพ",
    "👍🏽 great 🎬🙂",
    "UPPER lower CamelCase snake_case http://a.b/c?d=e&f=g#h",
    "{'key': [1, 2], \"x\": 3.5}</s> <b>",
    "\u00a0no-break\u200bzero width\u3000wide",
)
"""Texts that tell tokenizers apart: digits, punctuation, brackets, blanks, line breaks, contractions, other scripts."""


def tokenizer_of(path: str, how: dict[str, Any]) -> tuple[Any, str]:
    """A model's tokenizer, and a note where transformers would have made another one of its files.

    transformers 5 builds tokenizers of many declared classes (GPT2Tokenizer, GemmaTokenizer, …) anew from vocabulary
    and merges, and leaves out what else tokenizer.json says, such as how text is split before.

    Args:
        path: a folder, or a repository on the hub.
        how: `revision`, or `gguf_file`.

    Raises:
        UserError: there are no tokenizer files, or what is made of them contradicts them.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    if "gguf_file" not in how:
        _require_vocabulary(Path(path))
    tokenizer = AutoTokenizer.from_pretrained(path, **how, trust_remote_code=False)
    if not set(tokenizer.get_vocab()) - set(tokenizer.get_added_vocab()):
        raise UserError(f"There are no tokenizer files in {path}: its tokenizer has no ordinary token", *_WITH_FILES)
    file = tokenizer_file(path, how.get("revision"))
    if file is None or not texts_read_otherwise(tokenizer, file):
        return tokenizer, ""
    own = PreTrainedTokenizerFast.from_pretrained(path, **how)
    if wrong := texts_read_otherwise(own, file):
        raise UserError(
            f"The tokenizer of {path} reads {wrong[0]!r} otherwise than its tokenizer.json says",
            "one tokenizer",
            "Take away the tokenizer files that are not the model's",
        )
    name = type(tokenizer).__name__
    return own, f"the tokenizer is that of tokenizer.json: {name}, which is declared, reads texts otherwise"


_WITH_FILES = (
    "a model with its tokenizer: tokenizer.json, tokenizer.model, or vocab.json and merges.txt",
    "Put the files of the tokenizer there that the model was trained with (save_pretrained writes them)",
)


def tokenizer_file(path: str, revision: str | None = None) -> Path | None:
    """The tokenizer.json of a folder, or of what has been downloaded of a repository; None where there is none."""
    if is_there(Path(path)):
        file = Path(path) / "tokenizer.json"
        return file if file.is_file() else None
    cached = try_to_load_from_cache(path, "tokenizer.json", revision=revision)
    return Path(cached) if isinstance(cached, str) else None


def texts_read_otherwise(tokenizer: Any, file: Path) -> list[str]:
    """The texts of `PROBE` of which a tokenizer makes other ids than the tokenizers library makes by its file."""
    from tokenizers import Tokenizer

    own = Tokenizer.from_file(str(file))
    own.no_truncation()
    own.no_padding()
    return [
        text
        for text in PROBE
        if list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
        != own.encode(text, add_special_tokens=False).ids
    ]


def check_rows(tokenizer: Any, network: Any, name: str) -> str:
    """A note on control tokens for which a network has no row in its embedding: prompts hold none; else empty.

    Raises:
        UserError: a token that text can become, or that stands around it (BOS, EOS), has no row.
    """
    rows = min(network.get_input_embeddings().weight.shape[0], network.get_output_embeddings().weight.shape[0])
    beyond = {number: token for token, number in tokenizer.get_vocab().items() if number >= rows}
    if not beyond:
        return ""
    around = {tokenizer.bos_token_id, tokenizer.eos_token_id}
    ids = tokenizer(list(PROBE), add_special_tokens=False, verbose=False)["input_ids"]
    if any(tokenizer.unk_token_id in text for text in ids):  # a byte-level vocabulary has a token for every text
        around.add(tokenizer.unk_token_id)
    added = tokenizer.added_tokens_decoder.items()
    control = {*tokenizer.all_special_ids, *(number for number, token in added if token.special)} - around
    if occurring := sorted(beyond.keys() - control):
        others = f", and {len(occurring) - 1} others" if occurring[1:] else ""
        raise UserError(
            f"The tokenizer of {name} makes the token {beyond[occurring[0]]!r} (number {occurring[0]}"
            f"{others}), for which the network's embedding of {rows} rows has none",
            f"tokens under {rows}",
            "Take the tokenizer that the model was trained with, or resize the "
            "embedding (resize_token_embeddings), train it, and save",
        )
    return (
        f"the tokenizer has {len(beyond)} control tokens for which the embedding of {rows} rows has none, such as "
        f"{beyond[min(beyond)]}: no prompt may hold them"
    )


def check_bos(tokenizer: Any, network: Any, name: str) -> None:
    """
    Raises:
        UserError: the token that every prompt begins with has no row in the network's embedding.
    """
    rows = network.get_input_embeddings().weight.shape[0]
    number = tokenizer.bos_token_id
    if number is not None and number >= rows:  # without one, prompts begin with EOS, which `check_rows` has seen
        raise UserError(
            f"Prompts of {name} would begin with {tokenizer.bos_token} (number {number}), for which the "
            f"network's embedding of {rows} rows has none",
            f"a token under {rows}",
            "Name another with the setting bos",
        )


def _require_vocabulary(folder: Path) -> None:
    if not is_there(folder) or not folder.is_dir():
        return
    names = {file.name for file in folder.iterdir()}
    if not names & set(VOCABULARIES) and not any(name.endswith((".model", ".tiktoken")) for name in names):
        raise UserError(f"There are no tokenizer files in the folder {folder}", *_WITH_FILES)


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
