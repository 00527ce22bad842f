"""Tables of queries as a study writes them, without a model: small, exact, and with hostile texts."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from demograd.files import write_table

WORDS = ("bad", "<b>good</b>")
HOSTILE = (
    "a plain text",
    "</script><script>document.title = 'broken'</script><img src=x onerror=\"document.title = 'broken'\">",
    "\u202eevil\u2066 reversed \u2028 lines \x00 and & entities &lt;b&gt;",
    "نص من اليمين إلى اليسار (mixed)",
)
LAYERS, HEADS, N_ATTENTION = 2, 3, 2
SEEDS = (5, 6)


def write_queries(folder: Path, texts: tuple[str, ...] = HOSTILE, *, n_attention: int = N_ATTENTION) -> Path:
    """`queries.parquet` and `attention.parquet` of trained weights on `mr`, GD and LCGD, which diverged on set 6."""
    write_table(folder / "queries.parquet", pd.DataFrame(_query_rows(texts)).astype({"seed": "Int64"}))
    write_table(
        folder / "attention.parquet", pd.DataFrame(_attention_rows(texts, n_attention)).astype({"seed": "Int64"})
    )
    return folder


def _world() -> dict[str, Any]:
    world = {"model": "smollm2-135m", "weights": "trained", "initialisation": 0}
    return world | {"task": "mr", "labels": "gold", "k": 16}


def _settings() -> list[dict[str, Any]]:
    none = {"method": None, "method_options": None, "learning_rate": np.nan}
    tuned = [
        {"setting": "FT", "seed": seed, "method": method, "method_options": "{}", "learning_rate": rate}
        for method, rate in (("GD", 0.001), ("LCGD", 0.003))
        for seed in SEEDS
    ]
    untuned = [{"setting": "ZSL", "seed": None}, *({"setting": "ICL", "seed": seed} for seed in SEEDS)]
    return [*(setting | none for setting in untuned), *tuned]


def _query_rows(texts: tuple[str, ...]) -> list[dict[str, Any]]:
    rows = []
    for place, setting in enumerate(_settings()):
        diverged = setting["method"] == "LCGD" and setting["seed"] == 6
        for query, text in enumerate(texts):
            predicted = (query + place) % 2
            row = _world() | setting | {"query": query, "text": text, "label_words": list(WORDS)}
            row["gold"] = WORDS[query % 2]
            row |= {"prediction": None, "tied": None, "label_log_probs": None, "sim_aou": np.nan}
            if not diverged:
                first = np.nan if query == 3 else -1.5  # which a page must survive
                row |= {"prediction": WORDS[predicted], "tied": False, "label_log_probs": [first, -0.25 - query]}
                if setting["setting"] == "FT" and query != 1:  # whose updates are below resolution
                    row["sim_aou"] = 0.5 - 0.25 * query
            rows.append(row | {"status": "diverged at step 3" if diverged else "ok"})
    return rows


def _attention_rows(texts: tuple[str, ...], n_attention: int) -> list[dict[str, Any]]:
    random, rows = np.random.default_rng(0), []
    for setting in _settings():
        if setting["seed"] == 6:
            continue
        context = ["<bos>", "shown", " to", " it", "\n"] if setting["setting"] == "ICL" else ["<bos>"]
        for query in range(min(n_attention, len(texts))):
            tokens = [*context, *texts[query].split(" ")]
            codes = random.integers(0, 256, (LAYERS, HEADS, len(tokens)), dtype=np.uint8)
            about = {"tokens": tokens, "query_start": len(context), "layers": LAYERS, "heads": HEADS}
            rows.append(_world() | setting | {"seed": 5, "query": query, **about, "codes": codes.tobytes()})
    return rows
