"""Token ids that a model sees: prompts to observe it on, and sequences to train it on."""

from dataclasses import dataclass


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

    def __post_init__(self) -> None:
        if len(self.tokens) != len(self.loss_mask):
            raise ValueError(f"{len(self.tokens)} tokens but a loss mask of {len(self.loss_mask)}")
        if not any(self.loss_mask) or self.loss_mask[0]:
            raise ValueError("at least one token must count in the loss, and never the first: nothing predicts it")

    def __repr__(self) -> str:
        """One line of counts; the fields hold the token ids."""
        return f"TrainingSequence({len(self.tokens)} tokens, {sum(self.loss_mask)} of which count in the loss)"
