"""What the engine costs beside the work, and that 10,000 cells run, resume and report in bounded memory.

    python benchmarks/engine.py [1000 10000]

The network is as small as can be, so that a cell's own work is some milliseconds. What a run takes beyond the work of
its cells is the engine's, and that of what is around the cells: preparing, the table, validity checks and claims.
"""

import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from demograd.models import load_tokenizer
from demograd.report import write_report
from demograd.study import Run, Study, Workers, make_study, run_study
from demograd.study.language_model.keys import cell_key, read_inputs

SEEDS, KS = 10, (1, 2)


def tiny_model(folder: Path) -> str:
    """One layer of width 8, with the words of the built-in model."""
    tokenizer, _ = load_tokenizer("smollm2-135m")
    torch.manual_seed(0)
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=512,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            tie_word_embeddings=True,
        )
    ).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def tiny_study(model: str, cells: int) -> Study:
    """A study of so many cells, in 20 worlds."""
    rates = [1e-4 * (1 + number) for number in range(cells // (SEEDS * len(KS)))]
    return make_study(
        {
            "name": "tiny",
            "model": model,
            "tasks": ["sst2"],
            "k": list(KS),
            "seeds": list(range(SEEDS)),
            "queries": 4,
            "methods": ["GD"],
            "learning_rates": {"GD": rates},
            "controls": [],
            "device": "cpu",
        }
    )


def main() -> None:
    sizes = [int(size) for size in sys.argv[1:]] or [1_000, 10_000]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DEMOGRAD_CACHE"] = f"{folder}/cache"  # with what was measured before there would be no work
        model = tiny_model(Path(folder) / "model")
        for size in sizes:
            measure(tiny_study(model, size), Path(folder) / str(size), size)


def measure(study: Study, out: Path, size: int) -> None:
    """Run, resume and report, and print what each took."""
    started = time.perf_counter()
    run = run_study(study, out, workers=Workers(threads=1))
    whole, most = time.perf_counter() - started, memory()
    started = time.perf_counter()
    run_study(study, out, workers=Workers(threads=1))
    around = time.perf_counter() - started
    own = own_work(run)
    print(
        f"{size:,} cells: {whole:.0f} s; {most}\n"
        f"  {own / size * 1e3:6.1f} ms a cell is its own work\n"
        f"  {(whole - around - own) / size * 1e3:6.1f} ms a cell is the engine's: handing out, keys, files\n"
        f"  {around / size * 1e3:6.1f} ms a cell is around them: preparing, table, checks and claims\n"
        f"  the same command again: {around:.0f} s; {memory()}"
    )
    started, rows = time.perf_counter(), len(run.results())
    page = write_report(out)
    print(
        f"  {rows:,} rows in a report of {page.stat().st_size / 1e6:.1f} MB: {time.perf_counter() - started:.0f} s; "
        f"{memory()}",
        flush=True,
    )


def own_work(run: Run) -> float:
    """Seconds of fine-tuning, observing and scoring."""
    inputs = read_inputs(run.folder)
    keys = (cell_key(run.study, cell, inputs) for cell in run.cells())
    return sum(run.folder.load_cell(key).facts["seconds"] for key in keys)


def memory() -> str:
    """The most that this process ever held."""
    return f"at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB so far"


if __name__ == "__main__":
    main()
