"""Small synthetic studies with every part of a large one."""

from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from demograd import read_study
from demograd.study import SyntheticStudy

REGRESSION: dict[str, Any] = {
    "kind": "synthetic",
    "name": "small",
    "worlds": {
        "anisotropic": {"dimension": 3, "spectrum": [2, 1, 0.5]},
        "from ReLU": {"kind": "kernel", "dimension": 3, "kernel": "relu", "noise": 0.1},
    },
    "context": 5,
    "networks": {"linear": {}, "ReLU": {"attention": "relu"}, "linear, 2 layers": {"layers": 2, "mlp": 4}},
    "references": ["GD", "preconditioned GD++", "SGD", "Bayes"],
    "training": {"steps": 30, "batch": 32, "checkpoint_every": 10, "warmup": 5},
    "tuning_sequences": 300,
    "test_sequences": 64,
    "instances": 3,
    "seeds": [0, 1, 2],
    "scales": [0.5, 2.0],
    "contexts": [3],
    "mixes": [0.0, 1.0],
    "repeats": 4,
    "dampening": 0.75,
    "orders": 3,
    "sparsity": True,
}


SYSTEM: dict[str, Any] = {
    "kind": "synthetic",
    "name": "system",
    "worlds": {"system": {"kind": "system", "dimension": 2, "noise": 0.3}},
    "context": 6,
    "networks": {"linear, 2 layers": {"layers": 2, "heads": 2}},
    "references": ["mesa-optimiser", "regularised least squares"],
    "training": {"steps": 20, "batch": 32, "learning_rate": 0.003},
    "tuning_sequences": 200,
    "test_sequences": 64,
    "instances": 2,
    "seeds": [0, 1, 2],
}


def study(folder: Path, settings: dict[str, Any], **changes: Any) -> SyntheticStudy:
    file = folder / f"{settings['name']}.yaml"
    file.write_text(yaml.safe_dump({**settings, **changes}), encoding="utf-8")
    parsed = read_study(str(file))
    assert isinstance(parsed, SyntheticStudy)
    return parsed


def overall(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    return table[(table.metric == metric) & table.seed.isna() & table.layer.isna()]
