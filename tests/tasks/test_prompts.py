"""Token ids of prompts and training sequences, with the real tokenizer of the default model."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.searches import examples
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from demograd.errors import UserError
from demograd.tasks import Example, load_task, prompt_notes
from demograd.tasks.encoding import encode

TEMPLATES = {  # the released runs', word by word
    "sst2": ("Sentence: X Label:", ["Negative", "Positive"]),
    "sst5": ("Sentence: X Label:", ["terrible", "bad", "neutral", "good", "great"]),
    "mr": ("Review: X Sentiment:", ["Negative", "Positive"]),
    "subj": ("Input: X Type:", ["objective", "subjective"]),
    "agnews": (
        "Classify the news articles into the categories of World, Sports, Business, and Technology. Article: X Answer:",
        ["World", "Sports", "Business", "Technology"],
    ),
    "trec": ("Question: X Type:", ["Expression", "Entity", "Description", "Person", "Location", "Number"]),
}


def ids(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def word_tokenizer(**special):
    """A tokenizer that knows single letters and nothing of white space."""
    names = list(dict.fromkeys(["[UNK]", *special.values()]))
    vocabulary = {word: i for i, word in enumerate([*names, *"abcdefghijklmnopqrstuvwxyz", ":", "Yes", "No"])}
    backend = Backend(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", **special)


@pytest.mark.parametrize("name", TEMPLATES)
def test_built_in_tasks_read_as_the_released_runs_wrote_them(benchmark, name):
    text, words = TEMPLATES[name]
    task = benchmark(name)
    assert task.text(Example({"text": "X"}, 0)) == text
    assert [task.answer(label) for label in range(len(words))] == [" " + word for word in words]


def test_a_zero_shot_query_is_bos_and_then_its_text(mr, tokenizer):
    query = mr.queries(1)[0]
    prompts = mr.prompts(tokenizer, [query])
    assert prompts.context == [tokenizer.bos_token_id]
    assert prompts.queries == [ids(tokenizer, f"Review: {query.fields['text']} Sentiment:")]
    assert prompts.candidates == [ids(tokenizer, " Negative"), ids(tokenizer, " Positive")]
    assert prompts.gold == [query.label]
    assert (prompts.answer_offset, prompts.query_position, prompts.first_query_position) == (-1, None, 1)


@pytest.mark.parametrize("separator", ["newline", "eos"])
def test_demonstrations_stand_in_order_before_the_query_each_ended_by_the_separator(mr, tokenizer, separator):
    shown = mr.demonstrations(3)
    prompts = mr.prompts(tokenizer, mr.queries(5), shown, separator=separator)
    end = ids(tokenizer, "\n") if separator == "newline" else [tokenizer.eos_token_id]
    expected = [tokenizer.bos_token_id]
    for example in shown:
        expected += ids(tokenizer, mr.text(example) + mr.answer(example.label)) + end
    assert prompts.context == expected
    assert prompts.queries == mr.prompts(tokenizer, mr.queries(5)).queries
    spelled = [tokenizer.decode(prompts.context[start:stop]) for start, stop in prompts.demonstration_spans]
    assert spelled == [mr.text(example) + mr.answer(example.label) for example in shown]


def test_fine_tuning_reads_the_tokens_of_the_prompt(mr, tokenizer):
    shown = mr.demonstrations(4)
    prompts = mr.prompts(tokenizer, mr.queries(2), shown)
    sequences = mr.training_sequences(tokenizer, shown)
    for sequence, (start, stop) in zip(sequences, prompts.demonstration_spans, strict=True):
        assert sequence.tokens == [tokenizer.bos_token_id, *prompts.context[start:stop]]
        assert sequence.loss_mask == [False] + [True] * (stop - start)


def test_a_loss_on_the_label_counts_the_label_only(benchmark, tokenizer):
    trec = benchmark("trec")
    for example, sequence in zip(
        trec.demonstrations(6, balanced=True),
        trec.training_sequences(tokenizer, trec.demonstrations(6, balanced=True), loss_on="label"),
        strict=True,
    ):
        counted = [token for token, counts in zip(sequence.tokens, sequence.loss_mask, strict=True) if counts]
        assert tokenizer.decode(counted) == trec.answer(example.label)


def test_recording_at_the_first_answer_appends_class_zeros_first_token(mr, tokenizer):
    queries = mr.queries(3)
    end, answer = mr.prompts(tokenizer, queries), mr.prompts(tokenizer, queries, record_at="first_answer")
    assert answer.queries == [[*query, end.candidates[0][0]] for query in end.queries]
    assert answer.answer_offset == -2


def test_queries_can_keep_the_positions_that_they_have_behind_demonstrations(mr, tokenizer):
    queries = mr.queries(3)
    shown = mr.prompts(tokenizer, queries, mr.demonstrations(2))
    alone = mr.prompts(tokenizer, queries, align_positions_to=len(shown.context))
    assert alone.first_query_position == shown.first_query_position
    with pytest.raises(UserError, match="inside the context"):
        mr.prompts(tokenizer, queries, mr.demonstrations(2), align_positions_to=3)


def test_demonstrations_that_do_not_fit_are_dropped_from_the_end(mr, tokenizer):
    queries, shown = mr.queries(10), mr.demonstrations(8)
    prompts = mr.prompts(tokenizer, queries, shown)
    need = len(prompts.context) + max(map(len, prompts.queries)) + max(map(len, prompts.candidates))
    assert mr.fitting_demonstrations(tokenizer, queries, shown, need) == shown
    assert mr.fitting_demonstrations(tokenizer, queries, shown, need - 1) == shown[:7]
    assert mr.prompts(tokenizer, queries, shown, context_window=need) == prompts
    with pytest.raises(UserError, match="fitting_demonstrations"):
        mr.prompts(tokenizer, queries, shown, context_window=need - 1)
    with pytest.raises(UserError, match="fitting_demonstrations"):
        mr.prompts(tokenizer, queries, align_positions_to=len(prompts.context), context_window=need - 1)
    longest = need - len(prompts.context)
    with pytest.raises(UserError, match="Not one demonstration fits"):
        mr.fitting_demonstrations(tokenizer, queries, shown, longest + 1)
    with pytest.raises(UserError, match="longest query"):
        mr.fitting_demonstrations(tokenizer, queries, shown, longest)
    assert mr.fitting_demonstrations(tokenizer, queries, [], longest + 1) == []


HOSTILE = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.sampled_from(["<|im_end|>", "<|im_start|>", "<|endoftext|>", "{text}", "{", "}}", "{0}", "\x00", "\n", " "]),
    ),
    max_size=6,
).map("".join)


def test_text_of_a_data_set_is_only_text(mr, tokenizer):
    # the property takes no fixtures: hypothesis spells out every argument, and a task holds thousands of examples
    @settings(max_examples=examples(80))
    @given(text=HOSTILE)
    def is_only_text(text):
        example = Example({"text": text}, 1)
        assert mr.text(example) == "Review: " + text + " Sentiment:"
        prompts = mr.prompts(tokenizer, [example], [example])
        assert not set(prompts.queries[0]) & set(tokenizer.all_special_ids)
        assert prompts.context.count(tokenizer.bos_token_id) == 1
        # this vocabulary lacks some control characters and silently drops them
        if all(tokenizer.decode(encode(tokenizer, [character])[0]) == character for character in text):
            assert tokenizer.decode(prompts.queries[0]) == mr.text(example)

    is_only_text()


def test_the_same_text_would_end_the_sequence_without_that_care(tokenizer):
    assert tokenizer.eos_token_id in ids(tokenizer, "a<|im_end|>")
    assert tokenizer.eos_token_id not in encode(tokenizer, ["a<|im_end|>"])[0]
    assert tokenizer.eos_token_id in ids(tokenizer, "a<|im_end|>"), "the user's tokenizer must not stay changed"


def test_notes_say_what_stands_around_the_text(tokenizer):
    assert prompt_notes(tokenizer) == ["BOS is <|im_start|>", "a newline separates demonstrations"]
    assert prompt_notes(tokenizer, "eos")[1] == "EOS <|im_end|> separates demonstrations"
    poor = word_tokenizer(eos_token="[END]")
    assert prompt_notes(poor) == [
        "BOS is [END], the end-of-text token: the tokenizer has no BOS",
        "EOS [END] separates demonstrations, no newline token",
    ]
    with pytest.raises(UserError, match="no end-of-sequence token"):
        prompt_notes(word_tokenizer())


def small_task(tmp_path, template="{text} x:", words=("Yes", "No")):
    path = tmp_path / "small.csv"
    path.write_text("text,label\n" + "".join(f"{'abcdefgh'[i % 8]} {'abcdefgh'[i // 8]},{i % 2}\n" for i in range(30)))
    return load_task(path, template=template, label_words=list(words))


def test_a_tokenizer_without_bos_and_newline_gets_eos_in_both_places(tmp_path):
    task, poor = small_task(tmp_path), word_tokenizer(eos_token="[END]")
    prompts = task.prompts(poor, task.queries(2), task.demonstrations(2))
    end = poor.eos_token_id
    assert [i for i, token in enumerate(prompts.context) if token == end] == [
        0,
        *(stop for _, stop in prompts.demonstration_spans),
    ]


def test_words_that_a_tokenizer_cannot_tell_apart_are_refused(tmp_path):
    task = small_task(tmp_path, words=["Maybe", "Perhaps"])
    with pytest.raises(UserError, match="same tokens"):
        task.prompts(word_tokenizer(eos_token="[END]"), task.queries(1))


def test_a_tokenizer_that_merges_text_and_answer_is_refused_by_name(tmp_path):
    backend = Backend(models.BPE({"a": 0, " ": 1, "a ": 2, "b": 3, "c": 4, "E": 5}, [("a", " ")]))
    merging = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="E")
    task = small_task(tmp_path, template="{text} a", words=["b", "c"])
    for build in (
        lambda: task.prompts(merging, task.queries(1)),
        lambda: task.training_sequences(merging, task.queries(1)),
    ):
        with pytest.raises(
            UserError, match=r"PreTrainedTokenizerFast|TokenizersBackend.*' b'.*Choose another label word"
        ):
            build()


def test_unknown_options_name_the_known_ones(mr, tokenizer):
    with pytest.raises(UserError, match="newline"):
        mr.prompts(tokenizer, mr.queries(1), mr.demonstrations(1), separator="newlin")
    with pytest.raises(UserError, match="prompt_end"):
        mr.prompts(tokenizer, mr.queries(1), record_at="end")
    with pytest.raises(UserError, match="label"):
        mr.training_sequences(tokenizer, mr.demonstrations(1), loss_on="labels")
    with pytest.raises(UserError, match="No queries"):
        mr.prompts(tokenizer, [])
