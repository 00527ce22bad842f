"""What a model did on the queries in one setting."""

from collections.abc import Collection
from dataclasses import dataclass, field, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from demograd.display import Grid, html
from demograd.files import Place, place, sealed_tensors, write_tensors
from demograd.words import Extra


@dataclass(frozen=True, eq=False)
class Observation:
    """Everything recorded at each query's last token. All floating-point tensors are float32 on the CPU."""

    attention_output: Float[Tensor, "queries layers hidden"]
    """h(l): the attention module's output projection, before the residual addition."""
    attention_logits: list[Float[Tensor, "layers heads _tokens"]]
    """m(l, head): what enters the softmax minus mask and position bias, last token against the query's own tokens.
    One tensor per query: the number of tokens differs (hence `_tokens`: not one size for all)."""
    label_log_probs: Float[Tensor, "queries classes"]
    """Mean log-probability of each class's answer tokens."""
    gold: Int[Tensor, " queries"]
    next_token_log_probs: Float[Tensor, "queries vocabulary"] | None = None
    """Where the answer is predicted: with `record_at = "first_answer"` one token before the last."""
    context_logits: Float[Tensor, "queries layers heads context"] | None = None
    """The same row as `attention_logits`, against the context (BOS first)."""
    attention_weights: Float[Tensor, "first_queries layers heads context_and_longest"] | None = None
    """The last token's attention probabilities: to the context (BOS first), then to the query's own tokens; zero behind
    the last of a query that is shorter than the longest. Of all queries, or of the first `attention_queries`."""
    query_vectors: Float[Tensor, "queries layers heads_times_head_dim"] | None = None
    """The last token's query vectors, scaled, heads concatenated, before rotary positions (Dai 2023)."""
    rotated_query_vectors: Float[Tensor, "queries layers heads_times_head_dim"] | None = None
    """The same after rotary positions: what meets the keys."""
    head_outputs: Float[Tensor, "queries layers heads value_dim"] | None = None
    """What each head gives the last token, before the output projection."""
    block_outputs: Float[Tensor, "queries layers hidden"] | None = None
    """The residual stream behind each block, at the query's last token."""
    value_key_products: Float[Tensor, "queries layers kv_heads value_dim key_dim"] | None = None
    """Σ v kᵀ over the query's own tokens, keys after rotary positions: as cached."""
    weighted_value_key_products: Float[Tensor, "queries layers kv_heads value_dim key_dim"] | None = None
    """The same, each term times the last token's attention probability, averaged over the heads that share the key."""
    context_value_key_products: Float[Tensor, "layers kv_heads value_dim key_dim"] | None = None
    """Σ v kᵀ over the demonstrations' tokens (no BOS, no separators): one for all queries."""
    weighted_context_value_key_products: Float[Tensor, "queries layers kv_heads value_dim key_dim"] | None = None
    """The same, weighted by each query's last token."""
    dtype: str = "float32"
    """What the model computed in: it sets how small a difference can be and still mean something."""
    notes: tuple[str, ...] = field(default=())
    """What a reader must know about how this was observed, such as `unpacked`."""
    computed_on: str = ""
    """Device, threads and version of torch, on which rounding depends; empty: nobody told."""
    tie_order: Int[Tensor, " classes"] | None = None
    """The classes in the order of their answers' token ids, which no order of the label words changes."""

    @property
    def predictions(self) -> Int[Tensor, " queries"]:
        """The class with the highest mean log-probability; of classes that tie, the first of `tie_order`."""
        order = torch.arange(self.label_log_probs.shape[-1]) if self.tie_order is None else self.tie_order
        return order[self.label_log_probs[:, order].argmax(dim=-1)]

    @property
    def tied(self) -> Bool[Tensor, " queries"]:
        """Where several classes have exactly the highest score; accuracy counts them as what chance would get."""
        return tied(self.label_log_probs)

    def __repr__(self) -> str:
        """One line of shapes; the fields hold the tensors."""
        queries, layers, hidden = self.attention_output.shape
        heads = self.attention_logits[0].shape[1] if self.attention_logits else 0
        extras = "".join(
            f", {name} {list(value.shape)}" for name in _EXTRAS if (value := getattr(self, name)) is not None
        )
        return (
            f"Observation({queries} queries, {layers} layers of {hidden}, {heads} heads, "
            f"{self.label_log_probs.shape[1]} classes{extras}, {self.dtype})"
        )

    def _repr_html_(self) -> str:
        """How many predictions are right, predictions against gold, and the shape of what was recorded."""
        counts = torch.zeros(2 * self.label_log_probs.shape[-1:], dtype=torch.long)
        counts.index_put_((self.gold, self.predictions), torch.ones_like(self.gold), accumulate=True)
        classes = list(map(str, range(len(counts))))
        confusion = Grid(
            [(name, *row) for name, row in zip(classes, counts.tolist(), strict=True)],
            ("gold", *classes),
            "Queries by the right class (rows) and the predicted one (columns)",
        )
        recorded = {column.name: getattr(self, column.name) for column in fields(self)}
        tensors = [
            (name, " × ".join(map(str, value.shape)))
            for name, value in recorded.items()
            if isinstance(value, torch.Tensor)
        ]
        shapes = [tuple(logits.shape) for logits in self.attention_logits]
        tensors += [
            ("attention_logits", f"{len(shapes)} of layers × heads × tokens, {min(shapes)} to {max(shapes)}")
        ] * bool(shapes)
        n_right = int(counts.trace())
        accuracy = f"Right on {n_right} of {len(self.gold)} queries: accuracy {n_right / max(1, len(self.gold)):.3f}."
        shown = Grid(sorted(tensors), ("field", "shape"), f"Recorded, computed in {self.dtype}")
        return html("Observation", confusion, shown, sentences=[accuracy, *self.notes])

    def save(self, path: str | Place) -> None:
        """Write everything into one safetensors file, with a seal over all its bytes."""
        lengths = torch.tensor([logits.shape[-1] for logits in self.attention_logits])
        tensors = {
            "attention_output": self.attention_output,
            "attention_logits": torch.cat(self.attention_logits, dim=-1),
            "query_lengths": lengths,
            "label_log_probs": self.label_log_probs,
            "gold": self.gold,
        }
        for name in (*_EXTRAS, "tie_order"):
            if (value := getattr(self, name)) is not None:
                tensors[name] = value
        metadata = {"dtype": self.dtype, "notes": "\n".join(self.notes), "computed_on": self.computed_on}
        write_tensors(place(path), tensors, metadata)

    @classmethod
    def load(cls, path: str | Place, *, extras: Collection[Extra] | None = None) -> "Observation":
        """Read what `save` wrote: what every observation has, and these of its extras (None: all).

        Raises:
            Damaged: the file is not what was written.
        """
        with sealed_tensors(place(path)) as file:
            names = [name for name in file.keys() if extras is None or name in extras or name not in _EXTRAS]  # noqa: SIM118 (not a dict)
            tensors = {name: file.get_tensor(name) for name in names}
            metadata = file.metadata()
        lengths = tensors.pop("query_lengths").tolist()
        logits = list(tensors.pop("attention_logits").split(lengths, dim=-1))
        notes = tuple(metadata["notes"].splitlines())
        return cls(
            attention_logits=logits,
            dtype=metadata["dtype"],
            notes=notes,
            computed_on=metadata.get("computed_on", ""),
            **tensors,
        )


_EXTRAS = [column.name for column in fields(Observation) if column.default is None and column.name != "tie_order"]


def tied(label_log_probs: Float[Tensor, "queries classes"]) -> Bool[Tensor, " queries"]:
    """Where several classes have exactly the highest score."""
    return (label_log_probs == label_log_probs.amax(dim=-1, keepdim=True)).sum(dim=-1) > 1
