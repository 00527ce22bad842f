"""Task vectors, against the hidden states that Hugging Face's own network gives of the prompts written out."""

import re
from typing import Any

import pytest
import torch
from tests.learn.fine_tunings import MakeModel, assert_as_before, bits
from tests.learn.rivals.demonstrations import SEPARATOR, demonstrations
from torch import Tensor

from demograd import UserError, observe
from demograd.learn import FineTuningJob, fine_tuned, fine_tuned_together
from demograd.learn.rivals.vectors import FunctionVector, TaskVector
from demograd.models import Model
from demograd.tasks.prompts import Prompts, TrainingSequence

PROMPTS = Prompts([0], [[11, 12, 13], [50, 20]], [[5], [6, 7]], [0, 1])


def left_out(sequences: list[TrainingSequence], number: int) -> list[int]:
    """BOS, all other demonstrations with their answers and separators, and this one's text."""
    tokens = [0]
    for other, sequence in enumerate(sequences):
        if other != number:
            tokens += [*sequence.tokens[1:], *SEPARATOR]
    start = sequences[number].answer_start
    return tokens + sequences[number].tokens[1:start]


@torch.no_grad()
def streams_behind(model: Model, tokens: list[int]) -> Tensor:
    """The last token's stream behind each block `[layers, hidden]`, by hooks in a plain pass."""
    streams: list[Tensor] = []

    def keep(module: Any, inputs: Any, output: Any) -> None:
        streams.append((output[0] if isinstance(output, tuple) else output)[0, -1])

    handles = [block.register_forward_hook(keep) for block in model.anatomy.blocks]
    model.network(input_ids=torch.tensor([tokens]), use_cache=False)
    for handle in handles:
        handle.remove()
    return torch.stack(streams)


@torch.no_grad()
def hidden_state(model: Model, tokens: list[int]) -> Tensor:
    """What transformers calls the last token's hidden state 1, by hooks of its own that it leaves behind."""
    output = model.network(input_ids=torch.tensor([tokens]), output_hidden_states=True, use_cache=False)
    state: Tensor = output.hidden_states[1][0, -1]
    return state


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gpt_neo"])
def test_at_full_strength_the_stream_is_the_mean_of_those_of_prompts(kind: str, random_model: MakeModel) -> None:
    model, sequences = random_model(kind), demonstrations(4, 3, 5)
    before = bits(model.network)
    streams = [streams_behind(model, left_out(sequences, number)) for number in range(2)]
    vector = torch.stack(streams).mean(dim=0)[1]
    assert torch.allclose(streams[0][0], hidden_state(random_model(kind), left_out(sequences, 0)), atol=1e-5)
    with fine_tuned(model, sequences, TaskVector(learning_rate=1.0, prompts=2, layer=1)) as tuned:
        observed = observe(tuned, PROMPTS, extras=["block_outputs"])
    assert observed.block_outputs is not None
    torch.testing.assert_close(observed.block_outputs[:, 1], vector.expand(2, -1), rtol=1e-4, atol=1e-4)
    plain = streams_behind(model, [0, 11, 12, 13])
    torch.testing.assert_close(observed.block_outputs[0, 0], plain[0], rtol=1e-4, atol=1e-4)
    with fine_tuned(model, sequences, TaskVector(learning_rate=0.25, prompts=2, layer=1)) as tuned:
        quarter = observe(tuned, PROMPTS, extras=["block_outputs"]).block_outputs
    assert quarter is not None
    torch.testing.assert_close(quarter[0, 1], 0.75 * plain[1] + 0.25 * vector, rtol=1e-4, atol=1e-4)
    assert_as_before(model.network, before)


def test_of_one_label_word_the_best_layer_makes_it_likeliest_among_all_words(random_model: MakeModel) -> None:
    """Among the label words its share is always 1, and any layer would do."""
    chosen = []
    for seed in range(4):
        model = random_model("llama", seed=seed)
        sequences = demonstrations(4, 3, 5, 4, 3, 4, seed=seed)[::2]  # their answers are all [5]
        means = torch.stack([streams_behind(model, left_out(sequences, n)) for n in range(3)]).mean(dim=0)
        best = max(
            range(3), key=[likelihood(model, sequences, layer, means[layer], [5]) for layer in range(3)].__getitem__
        )
        with fine_tuned(model, sequences, TaskVector(learning_rate=1.0)) as tuned:
            assert tuned.intervention is not None
            assert [*tuned.intervention.patches] == [best]
        chosen.append(best)
    assert {*chosen} != {0}


def test_demonstrations_beyond_the_window_are_left_out_with_a_note(random_model: MakeModel) -> None:
    """What is read of three that fit is what three give."""
    model, sequences = random_model("llama"), demonstrations(4, 3, 5, 6, 4)
    places = [len(sequence.tokens) - 1 + len(SEPARATOR) for sequence in sequences]
    model.network.config.max_position_embeddings = 1 + sum(places[:3])
    for method in (TaskVector(learning_rate=1.0, layer=1), FunctionVector(learning_rate=1.0)):
        patches = []
        for number, note in ((5, [f"5 demonstrations do not fit .*{method.name} is read from the first 3"]), (3, [])):
            with fine_tuned(model, sequences[:number], method) as tuned:
                assert tuned.intervention is not None
                patches.append(tuned.intervention.patches[1].vector)
                assert len(tuned.notes) == len(note) and all(map(re.search, note, tuned.notes))
        assert torch.equal(*patches)
        with fine_tuned_together(model, [FineTuningJob(sequences, method)]) as (together,):
            assert together.notes == () and len(together.method_notes) == 1
            with together.loaded() as tuned:
                assert tuned.notes == together.method_notes
    model.network.config.max_position_embeddings = sum(places[:2])
    words = r"[01] of \d demonstrations that fit .*first two take \d+ of \d+ tokens.*Choose another"
    with (
        pytest.raises(UserError, match=words),
        fine_tuned(model, sequences, TaskVector(learning_rate=1.0)),
    ):
        pass


def test_the_best_layer_makes_left_out_answers_likeliest(random_model: MakeModel) -> None:
    """Of a few networks, so that it is not the same layer by chance; each layer by a hook in a plain pass."""
    chosen = []
    for seed in range(3):
        model, sequences = random_model("llama", seed=seed), demonstrations(4, 3, 5, 4, seed=seed)
        means = torch.stack([streams_behind(model, left_out(sequences, n)) for n in range(4)]).mean(dim=0)
        likelihoods = [likelihood(model, sequences, layer, means[layer], [5], [6, 7]) for layer in range(3)]
        best = max(range(3), key=likelihoods.__getitem__)
        assert sorted(likelihoods)[-1] - sorted(likelihoods)[-2] > 1e-3
        with fine_tuned(model, sequences, TaskVector(learning_rate=1.0)) as tuned:
            assert tuned.intervention is not None
            assert [*tuned.intervention.patches] == [best]
        chosen.append(best)
    assert len({*chosen}) > 1


@torch.no_grad()
def likelihood(
    model: Model, sequences: list[TrainingSequence], layer: int, vector: Tensor, *answers: list[int]
) -> float:
    """Mean log-probability of the right answer among these (of one: among all words), by mean log-probabilities of
    their tokens."""
    total = 0.0
    for number, sequence in enumerate(sequences):
        text = sequence.tokens[: sequence.answer_start]
        place, scores = len(text) - 1, []

        def patch(module: Any, inputs: Any, output: Any, place: int = place) -> Any:
            output[0, place] = vector
            return output

        for answer in answers:
            handle = model.network.model.layers[layer].register_forward_hook(patch)
            logits = model.network(input_ids=torch.tensor([text + answer[:-1]]), use_cache=False).logits[0, place:]
            handle.remove()
            scores.append(logits.log_softmax(-1).gather(1, torch.tensor(answer)[:, None]).mean())
        among = torch.stack(scores)
        total += float((among.log_softmax(0) if len(answers) > 1 else among)[number % len(answers)])
    return total / len(sequences)


@pytest.mark.parametrize(
    ("method", "sequences", "message"),
    [
        (TaskVector(learning_rate=1.0), demonstrations(4), "1 demonstration for task vector.*at least 2.*Raise k"),
        (
            FunctionVector(learning_rate=1.0),
            demonstrations(4),
            "1 demonstration for function vector.*at least 2.*Raise k",
        ),
        (
            TaskVector(learning_rate=1.0),
            [TrainingSequence([0, 11, 5], [False, True, True], 2)] * 2,
            "how it ends in a prompt.*task.training_sequences",
        ),
        (TaskVector(learning_rate=1.0, layer=3), demonstrations(4, 4), "layer 3 of a network with 3.*0 to 2"),
        (FunctionVector(learning_rate=1.0, layer=7), demonstrations(4, 4), "layer 7 of a network with 3.*0 to 2"),
    ],
)
def test_refusals_say_what_to_do(
    method: TaskVector | FunctionVector, sequences: list[TrainingSequence], message: str, random_model: MakeModel
) -> None:
    with pytest.raises(UserError, match=message), fine_tuned(random_model("llama"), sequences, method):
        pass
