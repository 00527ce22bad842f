"""Text that spells a token for control is text; vocabulary that was added for text stays vocabulary."""

import pytest
from tokenizers import AddedToken, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Backend
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

from demograd.errors import UserError
from demograd.tasks import Example, Task
from demograd.tasks.control_tokens import is_control
from demograd.tasks.encoding import encode
from demograd.tasks.pools import Pools

CONTROL = ["<tool_call>", "</think>", "[INST]", "|||EMAIL_ADDRESS|||", ">>QUESTION<<", "<｜User｜>", "▁<PRE>", "<|br|>"]
TEXT = ["    ", "\n\n", "\t\t", "covidword", "▁▁▁", "…", "->", "日本", "don't", "<br>", "</b>", "<h1>", "<hr />"]


def byte_level():
    backend = Backend(
        models.BPE({c: i for i, c in enumerate(["<s>", *sorted(pre_tokenizers.ByteLevel.alphabet())])}, [])
    )
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="<s>")


def with_added(tokenizer):
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in CONTROL + TEXT])
    return tokenizer


def test_tags_are_control_and_spaces_words_and_signs_are_not():
    assert all(map(is_control, CONTROL)) and not any(map(is_control, [*TEXT, "<>", "", " "]))


@pytest.mark.parametrize("make", [byte_level, ByT5Tokenizer], ids=["fast", "Python"])
@pytest.mark.parametrize("control", CONTROL)
def test_a_control_token_in_a_text_is_the_characters_that_spell_it(make, control):
    tokenizer, plain = with_added(make()), make()
    for text in (f"a {control} b", control, f"{control}{control}"):
        assert tokenizer.convert_tokens_to_ids(control) in tokenizer(text, add_special_tokens=False)["input_ids"]
        assert encode(tokenizer, [text]) == [plain(text, add_special_tokens=False)["input_ids"]]


@pytest.mark.parametrize("make", [byte_level, ByT5Tokenizer], ids=["fast", "Python"])
@pytest.mark.parametrize("word", TEXT)
def test_a_word_that_was_added_is_one_token_as_ever(make, word):
    tokenizer = with_added(make())
    ids = encode(tokenizer, [f"a<tool_call>{word}b"])[0]
    assert ids.count(tokenizer.convert_tokens_to_ids(word)) == 1
    assert encode(tokenizer, [f"a{word}b"]) == [tokenizer(f"a{word}b", add_special_tokens=False)["input_ids"]]


def test_a_special_token_stays_text_beside_control_tokens():
    tokenizer = with_added(byte_level())
    assert tokenizer.bos_token_id not in encode(tokenizer, ["a <s> <tool_call>"])[0]


def test_a_vocabulary_that_spells_a_control_token_itself_is_refused_with_the_text():
    backend = Backend(models.WordLevel({"[UNK]": 0, "a": 1, "<tool_call>": 2}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", eos_token="[UNK]")
    tokenizer.add_tokens([AddedToken("<tool_call>", special=False)])
    with pytest.raises(UserError, match="special token of the text 'a <tool_call>'"):
        encode(tokenizer, ["a <tool_call>"])


def task_of(texts, words):
    examples = tuple(Example({"text": text}, i % 2) for i, text in enumerate(texts))
    return Task("small", "{text}:", words, "here", Pools(examples, examples[:4], examples[:6]))


@pytest.mark.parametrize("words", [("ab", "abc"), ("Maybe", "No", "Nothing")])
def test_a_label_word_that_begins_another_is_refused_with_both(words):
    task = task_of(["x", "y"] * 4, words)
    short, long = ("ab", "abc") if "ab" in words else ("No", "Nothing")
    with pytest.raises(UserError, match=f"label word '{short}' begin those of '{long}'"):
        task.prompts(byte_level(), task.queries(1))
    with pytest.raises(UserError, match="begin those of"):
        task.training_sequences(byte_level(), task.demonstrations(1))


def test_label_words_of_different_lengths_are_noted():
    assert task_of(["x", "y"] * 4, ("good", "dull")).label_word_notes(byte_level()) == []
    (note,) = task_of(["x", "y"] * 4, ("good", "bad")).label_word_notes(byte_level())
    assert "(good 5, bad 4)" in note


def test_a_text_that_takes_more_than_half_the_window_is_left_out_and_counted():
    window = 41  # BOS, and 20 tokens for each of two texts with template, answer and separator
    tokenizer = byte_level()
    spare = 1 + len(" good") + len(encode(tokenizer, ["\n"])[0])
    fits, too_long = "a" * (20 - spare), "a" * (21 - spare)
    task = task_of([fits, "b", too_long, "c", "d", "e", "f", "g"], ("good", "dull"))
    smaller = task.within_window(tokenizer, window)
    ordinary = [
        [e.fields["text"] for e in pool]
        for pool in (smaller.pools.training, smaller.pools.tuning, smaller.pools.queries)
    ]
    assert ordinary == [[fits, "b", "c", "d", "e", "f", "g"], [fits, "b", "c"], [fits, "b", "c", "d", "e"]]
    (note,) = smaller.notes
    assert "1 demonstrations, 1 tuning queries, 1 queries are left out" in note and "41 tokens" in note
    for query in smaller.pools.queries:
        assert smaller.fitting_demonstrations(tokenizer, [query], smaller.pools.training[:1], window)
    assert task.within_window(tokenizer, 200) is task
    with pytest.raises(UserError, match="All texts of small"):
        task.within_window(tokenizer, 9)


def test_an_overflow_quotes_the_text():
    task = task_of(["x", "y", "z" * 60], ("good", "dull"))
    with pytest.raises(UserError, match="longest query \\('zzzz"):
        task.prompts(byte_level(), task.pools.queries, context_window=30)
