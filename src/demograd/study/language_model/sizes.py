"""How long prompts and training sequences are: operations and memory depend on nothing else of their token ids."""

from collections.abc import Sequence
from dataclasses import dataclass

from demograd.learn.cost import SequenceSizes
from demograd.observe.packed import segment
from demograd.study.language_model.prompts import Prepared
from demograd.tasks import Prompts, TrainingSequence


@dataclass(frozen=True, slots=True)
class PromptSizes:
    """Token counts of one observation."""

    context: int
    """Tokens before every query."""
    own: int
    """Tokens of all queries, with a branch for each label word of several tokens."""
    squares: int
    """The sum of the squares of the single queries' tokens: how often a token looks at one of its own query."""
    longest: int
    """Tokens of the longest query, without branches."""
    rows: int
    """Positions at which the vocabulary is scored."""


Trained = tuple[SequenceSizes, ...]
"""The training sequences of one fine-tuning, in order."""


@dataclass(frozen=True)
class Sizes:
    """Token counts of one demonstration set, as one tokenizer reads it."""

    zsl: PromptSizes
    icl: tuple[PromptSizes, ...]
    """In the order that is prompted, then in the others that the study looks at."""
    training: tuple[Trained, ...]
    """The demonstrations, and what the controls are trained on."""
    reordered: tuple[Trained, ...]
    """The demonstrations in the other orders."""


def sizes_of(prepared: Prepared) -> Sizes:
    """Token counts of prompts and training sequences."""
    others = prepared.orders[1:]
    return Sizes(
        prompt_sizes(prepared.zsl),
        tuple(map(prompt_sizes, (prepared.icl, *(order.icl for order in others)))),
        tuple(map(sequence_sizes, prepared.training.values())),
        tuple(sequence_sizes(order.training) for order in others),
    )


def prompt_sizes(prompts: Prompts) -> PromptSizes:
    """Token counts of the queries behind one context."""
    segments = [segment(prompts, query) for query in range(len(prompts.queries))]
    lengths = [len(part.tokens) for part in segments]
    rows = sum(1 + len(part.tokens) - part.length for part in segments)
    return PromptSizes(
        len(prompts.context),
        sum(lengths),
        sum(length**2 for length in lengths),
        max(part.length for part in segments),
        rows,
    )


def sequence_sizes(sequences: Sequence[TrainingSequence]) -> Trained:
    """Token counts; the loss of a demonstration counts all of its tokens but BOS, or its answer, which ends it."""
    sizes = tuple(
        SequenceSizes(len(s.tokens), sum(s.loss_mask), 0 if s.answer_start is None else len(s.tokens) - s.answer_start)
        for s in sequences
    )
    assert all(all(sequence.loss_mask[-size.learned :]) for sequence, size in zip(sequences, sizes, strict=True))
    return sizes
