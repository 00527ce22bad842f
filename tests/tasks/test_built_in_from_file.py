"""A built-in task on the user's own file, and CB's real format."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from demograd.errors import UserError
from demograd.tasks import load_task

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cb_file():
    """32 examples as CB's authors write them; they are not ours to ship."""
    places = [Path(os.environ["DEMOGRAD_CB_FILE"])] if "DEMOGRAD_CB_FILE" in os.environ else []
    # beside the checkout, or beside the folder of the worktree
    places += [folder / "shared" / "data" / "cb.jsonl" for folder in (CHECKOUT.parent, CHECKOUT.parent.parent)]
    for place in places:
        if place.is_file():
            return place
    pytest.skip(f"CB's examples are not here; name their file in DEMOGRAD_CB_FILE (looked for {places[-1]})")


def test_cb_reads_as_a_built_in_task_and_as_any_file_alike(cb_file):
    built_in = load_task(f"cb={cb_file}")
    spelled = load_task(
        cb_file,
        template="{premise} Question: {hypothesis}. True, False, or Neither? Answer:",
        label_words={"entailment": "True", "contradiction": "False", "neutral": "Neither"},
    )
    assert (built_in.name, spelled.name) == ("cb", "cb")
    assert built_in.fingerprint == spelled.fingerprint and built_in.label_words == spelled.label_words
    assert built_in.template == spelled.template


def test_every_example_of_cb_is_in_one_pool_with_its_class(cb_file):
    pools = load_task(f"cb={cb_file}").pools
    assert (len(pools.training), len(pools.tuning), len(pools.queries)) == (19, 3, 10)
    everything = [*pools.training, *pools.tuning, *pools.queries]
    rows = [json.loads(line) for line in cb_file.read_text(encoding="utf-8").splitlines()]
    words = {"entailment": 0, "contradiction": 1, "neutral": 2}
    assert Counter((e.fields["premise"], e.fields["hypothesis"], e.label) for e in everything) == Counter(
        (row["premise"].strip(), row["hypothesis"].strip(), words[row["label"]]) for row in rows
    )


def test_a_prompt_of_cb_holds_premise_hypothesis_and_the_three_answers(cb_file, tokenizer):
    task = load_task(f"cb={cb_file}")
    [ruth] = [
        e
        for pool in (task.pools.training, task.pools.tuning, task.pools.queries)
        for e in pool
        if "Ruth stood looking" in e.fields["premise"]
    ]
    text = (
        "``That's good.'' Ruth stood looking at her. Rachaela could imagine Emma would have been all congratulations "
        "and the joys of womanhood. Question: Emma would have been all congratulations and the joys of womanhood. "
        "True, False, or Neither? Answer:"
    )
    prompts = task.prompts(tokenizer, [ruth], task.demonstrations(2, seed=0))
    assert tokenizer.decode(prompts.queries[0]) == text
    assert [tokenizer.decode(answer) for answer in prompts.candidates] == [" True", " False", " Neither"]
    assert prompts.gold == [0]
    [sequence] = task.training_sequences(tokenizer, [ruth], loss_on="label")
    assert tokenizer.decode(sequence.tokens[1:]) == text + " True"
    assert sum(sequence.loss_mask) == len(prompts.candidates[0])


def test_more_than_a_small_file_holds_is_refused_with_what_it_holds(cb_file):
    task = load_task(f"cb={cb_file}")
    assert len(task.demonstrations(19)) == 19 and len(task.queries(10)) == 10
    with pytest.raises(UserError, match=r"32 queries were asked for \(queries\)\. Expected: at most 10, .* a third"):
        task.queries(32)
    with pytest.raises(UserError, match=r"20 demonstrations were asked for \(k\)\. Expected: at most 19"):
        task.demonstrations(20)
    with pytest.raises(UserError, match=r"3 sets of 8 demonstrations .*at most 2 such sets.* 3 of 8"):
        task.demonstration_sets(8, range(3), balanced=False)


ROWS = [{"sentence": f"film {i}", "label": ("negative", "positive")[i % 2]} for i in range(30)]


def write(tmp_path, rows, name="mine.jsonl"):
    path = tmp_path / name
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.parametrize(
    ("rename", "values", "words"),
    [
        ({"sentence": "sentence"}, ("negative", "positive"), None),  # as on the hub
        ({"sentence": "text"}, ("Negative", "Positive"), None),  # as in the template, with the label words
        ({"sentence": "text"}, (0, 1), {"0": "Negative", "1": "Positive"}),
    ],
)
def test_a_file_may_call_things_as_the_hub_does_or_as_the_template_does(tmp_path, rename, values, words):
    rows = [{rename["sentence"]: row["sentence"], "label": values[i % 2]} for i, row in enumerate(ROWS)]
    task = load_task(f"sst2={write(tmp_path, rows)}", label_words=words)
    assert (task.name, task.label_words) == ("sst2", ("Negative", "Positive"))
    assert task.text(task.queries(1)[0]).startswith("Sentence: film ")
    assert all(int(e.fields["text"].split()[-1]) % 2 == e.label for e in task.pools.training)


def test_numbers_for_classes_are_not_guessed_at(tmp_path):
    rows = [row | {"label": i % 2} for i, row in enumerate(ROWS)]
    with pytest.raises(UserError, match=r"'0' \(15 rows\).*one of 'negative', 'positive'.*label_words"):
        load_task(f"sst2={write(tmp_path, rows)}")


def test_a_built_in_task_on_a_file_takes_a_second_file_other_words_and_a_template(tmp_path):
    queries = write(tmp_path, [{**row, "sentence": "asked " + row["sentence"]} for row in ROWS], "asked.jsonl")
    task = load_task(
        f"sst2={write(tmp_path, ROWS)}",
        validation_path=queries,
        template="{sentence} It was",
        label_words=["bad", "good"],
    )
    assert task.label_words == ("bad", "good") and len(task.pools.queries) == 30
    query = task.queries(1)[0]
    assert task.text(query) == query.fields["sentence"] + " It was" and query.fields["sentence"].startswith("asked")
    with pytest.raises(UserError, match="Leave source out"):
        load_task(f"sst2={write(tmp_path, ROWS)}", source="hub")
    with pytest.raises(UserError, match="no file"):
        load_task("sst2=nowhere.jsonl")


def test_a_built_in_task_without_its_file_says_what_is_missing() -> None:
    with pytest.raises(UserError, match=r"The task 'cb='.*as in cb=cb.csv"):
        load_task("cb=")
