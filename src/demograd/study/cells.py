"""The grid of a study: cells, each a pure function of its settings."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from demograd.models import Weights
from demograd.study.learning_rates import rates_of
from demograd.study.schema import MethodName, Study

NUMERICS = 1
"""Raised when a change of the code changes numbers: cells of another version are run again."""


@dataclass(frozen=True)
class Cell:
    """One method at one learning rate, on one demonstration set, from one state of the weights."""

    weights: Weights
    task: str
    seed: int
    method: MethodName
    learning_rate: float

    def __str__(self) -> str:
        return f"{self.weights} · {self.task} · seed {self.seed} · {self.method} {self.learning_rate:g}"

    @property
    def initialisation(self) -> int:
        """The seed of untrained weights: another draw of them for each demonstration set."""
        return 0 if self.weights == "trained" else self.seed


def cells(study: Study) -> Iterator[Cell]:
    """All cells, those that share a model and observations one after the other."""
    for weights in study.weights:
        for seed in study.seeds:
            for task in study.tasks:
                for method in study.methods:
                    for rate in rates_of(study, task, method):
                        yield Cell(weights, task, seed, method, rate)


# What an observation of ZSL or ICL depends on, and what only fine-tuning does.
_OBSERVED = ("model", "template", "label_words", "label_column", "validation_path", "k", "permutation", "balanced",
             "queries", "query_seed", "separator", "record_at", "align_positions", "place", "dtype")  # fmt: skip


def observation_key(study: Study, cell: Cell, setting: str) -> str:
    """Names the file of a ZSL or ICL observation."""
    settings = {name: getattr(study, name) for name in _OBSERVED}
    # without a shift of positions, ZSL does not depend on the demonstrations
    seed = cell.seed if setting == "ICL" or study.align_positions else None
    return _key(f"{cell.weights}-{cell.task}-{setting}",
                {**settings, "weights": cell.weights, "task": cell.task, "seed": seed,
                 "initialisation": cell.initialisation, "setting": setting})  # fmt: skip


def cell_key(study: Study, cell: Cell) -> str:
    """Names the file of a finished cell."""
    settings = {name: getattr(study, name) for name in _OBSERVED}
    options = asdict(study.method(cell.method, cell.learning_rate))
    return _key(f"{cell.weights}-{cell.task}-seed{cell.seed}-{cell.method}",
                {**settings, **asdict(cell), "options": options, "loss_on": study.loss_on})  # fmt: skip


def _key(title: str, settings: dict[str, Any]) -> str:
    words = settings.get("label_words")
    if isinstance(words, dict):  # whose order is the order of the classes
        settings = {**settings, "label_words": list(words.items())}
    content = json.dumps({**settings, "numerics": NUMERICS}, sort_keys=True)
    safe = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in title)[-80:]
    return f"{safe}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def study_key(study: Study) -> str:
    """Tells one resolved study from another."""
    return hashlib.sha256(study.model_dump_json().encode()).hexdigest()[:8]
