"""Token ids that a model sees: prompts to observe it on, and sequences to train it on.

A query is [BOS] text(x). In context it comes behind text(x1) answer(y1) SEP … text(xk) answer(yk) SEP. Each of those
demonstrations, as [BOS] text(xi) answer(yi), is also what fine-tuning trains on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from demograd.display import Grid, Tokens, html
from demograd.errors import UserError, shortened, unknown_name
from demograd.tasks.encoding import Encoded, encode_with_answers
from demograd.tasks.tokenizer import Tokenizer, bos_id, separator_ids

MOST_ORDERS = 10_000
"""Orders of one demonstration set that are numbered. To tell orders apart, all those before one are drawn."""
QUERIES_SHOWN, TOKENS_SHOWN = 3, 400
"""Queries, and tokens of the context, that a notebook shows."""


@dataclass(frozen=True)
class Prompts:
    """Queries behind one shared context. Everything below the task layer works on these token ids."""

    context: list[int]
    """Token ids before every query, BOS first."""
    queries: list[list[int]]
    """Token ids of each query (no BOS)."""
    candidates: list[list[int]]
    """Token ids of each class's answer."""
    gold: list[int]
    """Class index of each query."""
    answer_offset: int = -1
    """The answer is predicted at this position of a query; -2 when the first answer token was appended to it
    (`record_at = "first_answer"`), so that candidates branch one position before the recorded one."""
    demonstration_spans: list[tuple[int, int]] | tuple[()] = ()
    """Where each demonstration lies in the context (start, end), without BOS and separators."""
    query_position: int | None = None
    """Position of a query's first token; None: right after the context."""
    tokenizer: Tokenizer | None = field(default=None, repr=False, compare=False)
    """Turns token ids back into text where a notebook shows them; None: ids are shown."""

    def __post_init__(self) -> None:
        if not self.context:
            raise ValueError("context is empty: it must hold at least the BOS token")
        if not self.queries or any(len(query) < -self.answer_offset for query in self.queries):
            raise ValueError(f"queries must not be empty, each at least {-self.answer_offset} tokens long")
        if len(self.gold) != len(self.queries):
            raise ValueError(f"{len(self.queries)} queries but {len(self.gold)} gold labels")
        if not self.candidates or not all(self.candidates):
            raise ValueError("every class needs an answer of at least one token")

    def __repr__(self) -> str:
        """One line of counts; the fields hold the token ids."""
        lengths = [len(query) for query in self.queries]
        return (
            f"Prompts({len(self.queries)} queries of {min(lengths)} to {max(lengths)} tokens, "
            f"{len(self.candidates)} classes, behind a context of {len(self.context)} tokens with "
            f"{len(self.demonstration_spans)} demonstrations)"
        )

    def _repr_html_(self) -> str:
        """The context's tokens, each demonstration in a numbered frame, and the first queries with their answers."""
        spans = [span for span in self.demonstration_spans if span[1] <= TOKENS_SHOWN]
        rest = max(0, len(self.context) - TOKENS_SHOWN)
        title = f"Context of {len(self.context):,} tokens, each demonstration in a numbered frame"
        context = Tokens(self._texts(self.context[:TOKENS_SHOWN]), spans, title, rest)
        queries = [
            Tokens(
                self._texts(query[:TOKENS_SHOWN]),
                title=f"Query {number} of {len(self.queries)}, right answer:{self._text(self.candidates[gold])}",
                rest=max(0, len(query) - TOKENS_SHOWN),
            )
            for number, (query, gold) in enumerate(zip(self.queries, self.gold, strict=True), 1)
            if number <= QUERIES_SHOWN
        ]
        answers = Grid(
            [(label, self._text(ids), len(ids)) for label, ids in enumerate(self.candidates)],
            ("class", "answer", "tokens"),
        )
        return html(repr(self), context, *queries, answers)

    def _texts(self, ids: list[int]) -> list[str]:
        return [self._text([token]) for token in ids]

    def _text(self, ids: list[int]) -> str:
        return " ".join(map(str, ids)) if self.tokenizer is None else self.tokenizer.decode(ids)

    @property
    def first_query_position(self) -> int:
        """The position id of each query's first token."""
        return len(self.context) if self.query_position is None else self.query_position


@dataclass(frozen=True)
class TrainingSequence:
    """One demonstration to train on."""

    tokens: list[int]
    """Token ids, BOS first."""
    loss_mask: list[bool]
    """Same length; True where this token's prediction counts (never at index 0)."""
    answer_start: int | None = None
    """Where the answer begins; None: that is not known, and no method can take its loss on the label."""
    separator: tuple[int, ...] | None = field(default=None, compare=False)
    """Token ids that end it as a demonstration in a prompt; None: not known, and no method can prompt with it. A
    training does not depend on them, and what does has a prompt that has them too."""

    def __post_init__(self) -> None:
        if len(self.tokens) != len(self.loss_mask):
            raise ValueError(f"{len(self.tokens)} tokens but a loss mask of {len(self.loss_mask)}")
        if not any(self.loss_mask) or self.loss_mask[0]:
            raise ValueError("at least one token must count in the loss, and never the first: nothing predicts it")
        if self.answer_start is not None and not any(self.loss_mask[self.answer_start :]):
            raise ValueError("at least one token of the answer must count in the loss")

    def on_label(self) -> "TrainingSequence":
        """The same with a loss on the answer's tokens alone.

        Raises:
            UserError: where the answer begins is not known.
        """
        if self.answer_start is None:
            raise UserError(
                "A training sequence that does not say where its answer begins, for a loss on the label",
                "answer_start, as the sequences of a task have it",
                "Make the sequences by task.training_sequences, or give answer_start",
            )
        counted = [place >= self.answer_start and counts for place, counts in enumerate(self.loss_mask)]
        return replace(self, loss_mask=counted)

    def __repr__(self) -> str:
        """One line of counts; the fields hold the token ids."""
        return f"TrainingSequence({len(self.tokens)} tokens, {sum(self.loss_mask)} of which count in the loss)"


RECORD_AT = ("prompt_end", "first_answer")
LOSS_ON = ("all", "label")


@dataclass(frozen=True)
class LabelledTexts:
    """Texts with their classes."""

    texts: list[str]
    labels: list[int]


def assemble_prompts(
    tokenizer: Tokenizer,
    queries: LabelledTexts,
    demonstrations: LabelledTexts,
    answers: Sequence[str],
    *,
    separator: str,
    record_at: str,
    query_position: int | None,
    context_window: int | None,
) -> Prompts:
    """Prompts for `queries` behind `demonstrations`. Raises UserError for all that `Task.prompts` names."""
    if record_at not in RECORD_AT:
        raise unknown_name("place to record at", record_at, RECORD_AT, "Choose one of these")
    if not queries.texts:
        raise UserError("No queries", "at least one", "Draw some with task.queries")
    encoded = encode_with_answers(tokenizer, queries.texts + demonstrations.texts, answers)
    query_ids = encoded.texts[: len(queries.texts)]
    end = separator_ids(tokenizer, separator) if demonstrations.texts else []
    context, spans = [bos_id(tokenizer)], []
    for text, label in zip(encoded.texts[len(query_ids) :], demonstrations.labels, strict=True):
        start = len(context)
        context += text + encoded.answers[label]
        spans.append((start, len(context)))
        context += end
    if query_position is not None and query_position < len(context):
        raise UserError(
            f"Query position {query_position} lies inside the context of {len(context)} tokens",
            "a position behind it",
            "Pass the length of the longest context that the queries are compared in",
        )
    _refuse_overflow(query_position or len(context), encoded, queries.texts, context_window)
    # Released runs append one token to every query and record there; the label is predicted one position earlier.
    recorded = [encoded.answers[0][0]] if record_at == "first_answer" else []
    return Prompts(
        context=context,
        queries=[query + recorded for query in query_ids],
        candidates=encoded.answers,
        gold=queries.labels,
        answer_offset=-1 - len(recorded),
        demonstration_spans=spans,
        query_position=query_position,
        tokenizer=tokenizer,
    )


def assemble_training_sequences(
    tokenizer: Tokenizer, demonstrations: LabelledTexts, answers: Sequence[str], *, loss_on: str, separator: str
) -> list[TrainingSequence]:
    """One sequence per demonstration. Raises UserError for all that `Task.training_sequences` names."""
    if loss_on not in LOSS_ON:
        raise unknown_name("part to take the loss on", loss_on, LOSS_ON, "Choose one of these")
    encoded = encode_with_answers(tokenizer, demonstrations.texts, answers)
    sequences, end = [], tuple(separator_ids(tokenizer, separator))
    for text, label in zip(encoded.texts, demonstrations.labels, strict=True):
        answer = encoded.answers[label]
        mask = [False] + [loss_on == "all"] * len(text) + [True] * len(answer)
        sequences.append(TrainingSequence([bos_id(tokenizer), *text, *answer], mask, 1 + len(text), end))
    return sequences


def count_fitting(
    tokenizer: Tokenizer,
    queries: LabelledTexts,
    demonstrations: LabelledTexts,
    answers: Sequence[str],
    context_window: int,
    separator: str,
) -> int:
    """How many demonstrations, from the first, fit the window with the longest query and the longest answer.

    Raises UserError when none does, or a query alone does not.
    """
    encoded = encode_with_answers(tokenizer, queries.texts + demonstrations.texts, answers)
    query = _longest(encoded.texts[: len(queries.texts)], encoded)
    _refuse_overflow(1, encoded, queries.texts, context_window)
    end = len(separator_ids(tokenizer, separator))
    length, fitting = 1, 0
    for text, label in zip(encoded.texts[len(queries.texts) :], demonstrations.labels, strict=True):
        length += len(text) + len(encoded.answers[label]) + end
        if length + query > context_window:
            break
        fitting += 1
    if demonstrations.texts and not fitting:
        raise UserError(
            f"Not one demonstration fits the context window of {context_window} tokens: the first and the longest "
            f"query need {length + query}",
            "a window that holds both",
            "Use shorter texts, or a model with a longer context",
        )
    return fitting


def _longest(queries: Sequence[Sequence[int]], encoded: Encoded) -> int:
    return max(map(len, queries)) + max(map(len, encoded.answers))


def _refuse_overflow(before: int, encoded: Encoded, queries: Sequence[str], context_window: int | None) -> None:
    """`encoded` begins with the queries."""
    tokens = encoded.texts[: len(queries)]
    query = _longest(tokens, encoded)
    if context_window is not None and before + query > context_window:
        longest = queries[max(range(len(queries)), key=lambda number: len(tokens[number]))]
        raise UserError(
            f"The longest query ({shortened(longest)!r}) with its answer needs {query} tokens behind {before}, the "
            f"context window has {context_window}",
            "a prompt that fits",
            "Use fewer demonstrations (task.fitting_demonstrations says which fit), task.within_window, which leaves "
            "out what is too long, or another model",
        )
