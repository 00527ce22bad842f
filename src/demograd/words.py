"""The words that settings, files and tables share: typed, and with what a reader sees in their place.

They name things, and need nothing that is heavy to import.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Literal, NamedTuple


class Weights(StrEnum):
    """States of a network before anything is done to it."""

    TRAINED = "trained"
    TRAINED_EMBEDDINGS = "trained_embeddings"
    NORMS_ONLY = "norms_only"
    NO_TRAINING = "no_training"


class Labels(StrEnum):
    """Which labels the demonstrations of a task have: how much of ICL is learned from them (Pan 2023)."""

    GOLD = "gold"
    """The data's own, under the task's label words."""
    ABSTRACT = "abstract"
    """The data's own, under letters in a seeded order: what they mean can only be learned from the demonstrations."""
    RANDOM = "random"
    """Drawn anew for each demonstration: what is gained all the same is no learning of the labels (Min 2022)."""

    @property
    def words(self) -> str:
        """`abstract labels`."""
        return f"{self.value} labels"


class Control(StrEnum):
    """What FT is trained on in place of ICL's own demonstrations with their labels."""

    OTHER_SETS = "other_sets"
    """The other demonstration sets of the task: the mismatched pairs of matching, for which nothing is trained anew."""
    PERMUTED_LABELS = "permuted_labels"
    OTHER_TASK = "other_task"

    @property
    def words(self) -> str:
        """`permuted labels`: behind "FT on"."""
        return "another task" if self is Control.OTHER_TASK else self.value.replace("_", " ")

    @property
    def setting(self) -> "Setting":
        """FT on this control."""
        return Setting(f"FT_{self}")


class Setting(StrEnum):
    """How the demonstrations reach the model; the last three are of synthetic studies."""

    ZSL = "ZSL"
    ICL = "ICL"
    ICL_REORDERED = "ICL_reordered"
    """With the same demonstrations in another order, scored as if it were FT."""
    FT = "FT"
    FT_OTHER_SETS = "FT_other_sets"
    FT_PERMUTED_LABELS = "FT_permuted_labels"
    FT_OTHER_TASK = "FT_other_task"
    TF = "TF"
    """A small trained transformer."""
    CONSTRUCTION = "construction"
    """Weights that theory gives."""
    REFERENCE = "reference"
    """An algorithm without weights."""

    @property
    def is_tuned(self) -> bool:
        """Whether it is FT, or FT on a control."""
        return self is Setting.FT or self.control is not None

    @property
    def control(self) -> Control | None:
        """The control of a setting that is FT on one."""
        name = self.value.removeprefix("FT_")
        return Control(name) if name in set(Control) else None

    @property
    def words(self) -> str:
        """`FT on permuted labels`."""
        if self.control is not None:
            return f"FT on {self.control.words}"
        return "ICL, reordered" if self is Setting.ICL_REORDERED else self.value


class Reading(StrEnum):
    """How a row reads a score."""

    PLAIN = "plain"
    AT_EQUAL_SIZE = "at_equal_size"
    """Between the learning rates that were run, where all updates have one size."""
    OVER_SIZES = "over_sizes"
    """Between the learning rates that were run: the mean over all sizes of the update that the methods share."""
    NOISE_CEILING = "noise_ceiling"
    """√ of a score of ICL with reordered demonstrations: how high a score of FT can be at all."""
    AT_EQUAL_LEARNING = "at_equal_learning"
    """Along the way of fine-tuning, or between its learning rates: where all methods have learned equally much."""
    SPECIFIC_SHARE = "specific_share"
    """Specificity as a share of the matched score."""
    SHARE_OF_CEILING = "share_of_ceiling"
    """Specificity as a share of that of ICL with reordered demonstrations in FT's place."""
    IDENTIFIED = "identified"
    """The share of demonstration sets whose ICL is assigned to their own FT."""
    DOUBLE_DIFFERENCE = "double_difference"
    """Specificity minus that with permuted labels: what depends on the labels alone."""

    @property
    def words(self) -> str:
        """`at equal size of the update`."""
        return _READINGS[self]


_READINGS = {
    Reading.PLAIN: "",
    Reading.AT_EQUAL_SIZE: "at equal size of the update",
    Reading.OVER_SIZES: "over all sizes of the update that the methods share",
    Reading.NOISE_CEILING: "noise ceiling",
    Reading.AT_EQUAL_LEARNING: "where all methods have learned equally much",
    Reading.SPECIFIC_SHARE: "share of the matched score",
    Reading.SHARE_OF_CEILING: "share of the ceiling by reordering",
    Reading.IDENTIFIED: "sets that find their own",
    Reading.DOUBLE_DIFFERENCE: "that depends on the labels",
}


def task_label(task: str, labels: str | None) -> str:
    """`trec, abstract labels`: a task with its label words, where these are not its own."""
    return task if labels in (None, Labels.GOLD) else f"{task}, {labels} labels"


ALL_TASKS = "all tasks"
"""What stands for the task of a number that is a mean over the tasks of a study."""

NO_VERDICTS = "this folder holds no verdicts (claims.json)"
"""What is said of a run folder whose `claims.json` is absent, or of a version that kept no finding."""
WRITE_VERDICTS = "the same `demograd run` command writes them"


class Subject(NamedTuple):
    """The world, network and reference that a number belongs to."""

    world: str
    """Empty for a construction, which holds in any world."""
    network: str
    """Empty for a reference or a construction."""
    reference: str
    """What a network is held against, or the name of an algorithm; empty for a network alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One number of `results.parquet`, whose columns are these fields (docs/run-folder.md); None is null there."""

    model: str | None = None
    weights: str | None = None
    task: str | None = None
    dtype: str | None = None
    record_at: str | None = None
    initialisation: int | None = None
    """The seed of untrained weights; null for trained ones."""
    labels: Labels | None = None
    seed: int | None = None
    permutation: int | None = None
    k: int | None = None
    k_used: int | None = None
    setting: Setting | None = None
    versus: Control | None = None
    """The control whose score is subtracted from that of `setting`: its specificity."""
    method: str | None = None
    method_options: str | None = None
    learning_rate: float | None = None
    metric: str | None = None
    reading: Reading = Reading.PLAIN
    layer: int | None = None
    head: int | None = None
    step: int | None = None
    at: float | None = None
    selection: str = "all"
    value: float | None = None
    std: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    interval: str | None = None
    p_value: float | None = None
    """Of a specificity: by permutations of the pairing, not corrected."""
    n: int | None = None
    n_missing: int | None = None
    n_seeds: int | None = None
    status: str | None = None
    """None: `ok` where there is a value, else `missing`."""

    def __or__(self, other: "Row") -> "Row":
        """Both in one; a column that both fill is the other's."""
        filled = {column: getattr(other, column) for column in _DEFAULTS}
        return replace(self, **{column: value for column, value in filled.items() if value != _DEFAULTS[column]})


_DEFAULTS = {field.name: field.default for field in fields(Row)}
COLUMNS = tuple(_DEFAULTS)
"""The columns of `results.parquet`, in order."""

Dtype = Literal["float32", "bfloat16", "float16"]
"""What a network computes in."""

DrawnAs = Literal["transformers", "fairseq"]
"""Whose initialisation of an architecture draws untrained weights."""

Extra = Literal[
    "next_token_log_probs",
    "context_logits",
    "attention_weights",
    "query_vectors",
    "rotated_query_vectors",
    "head_outputs",
    "block_outputs",
    "value_key_products",
    "weighted_value_key_products",
    "context_value_key_products",
    "weighted_context_value_key_products",
]
"""Fields of `Observation` that are None unless they are asked for."""

ATTENTION_STEPS = 12
"""Codes of attention (docs/run-folder.md) between a probability and twice as much."""

ALLOW_PICKLE = "DEMOGRAD_ALLOW_PICKLE"
"""Environment variable, 1 where pickled weights may be read; worker processes inherit it."""


def listed(words: Iterable[str]) -> str:
    """`a, b and c`; there must be one."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
