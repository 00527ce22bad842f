"""Query by query what ZSL, ICL and FT predict, and what they attend to: `queries.parquet` and `attention.parquet`."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from demograd.files import write_table
from demograd.observe import Extra, Observation
from demograd.study.language_model.attention import ATTENTION, attention_codes
from demograd.study.language_model.demonstration_sets import DemonstrationSets
from demograd.study.language_model.groups import CellGroup, WorldGroup, untuned_groups
from demograd.study.language_model.spec import Study
from demograd.study.rows import number
from demograd.study.spec.methods import options_json
from demograd.study.store.folder import RunFolder
from demograd.tasks import Prompts
from demograd.tasks.tokenizer import Tokenizer, token_texts
from demograd.words import Setting

QUERIES_FILE, ATTENTION_FILE = "queries.parquet", "attention.parquet"
_WORLD = ("model", "weights", "initialisation", "task", "labels", "k")
_SETTING = ("seed", "setting", "method", "method_options", "learning_rate", "query")
_PREDICTION = ("text", "label_words", "gold", "prediction", "tied", "label_log_probs", "sim_aou", "status")
QUERY_COLUMNS = (*_WORLD, *_SETTING, *_PREDICTION)
ATTENTION_COLUMNS = (*_WORLD, *_SETTING, "tokens", "query_start", "layers", "heads", "codes")
_DTYPES = {"initialisation": "Int64", "k": "Int64", "seed": "Int64", "query": "Int64", "learning_rate": "float64"}
_SHOWN: tuple[Extra, ...] = ("attention_weights",)
Fields = dict[str, Any]
"""Column → value, of one row."""


def write_queries(study: Study, folder: RunFolder, sets: DemonstrationSets) -> None:
    """Write both tables, of all worlds that were observed; texts and token ids are those of `sets`."""
    queries, attention = list[pd.DataFrame](), list[pd.DataFrame]()
    for untuned in untuned_groups(study, folder):
        queries.append(_table(untuned, QUERY_COLUMNS, _query_rows(study, untuned, sets)))
        attention.append(_table(untuned, ATTENTION_COLUMNS, _attention_rows(study, untuned, sets)))
    for name, columns, tables in (
        (QUERIES_FILE, QUERY_COLUMNS, queries),
        (ATTENTION_FILE, ATTENTION_COLUMNS, attention),
    ):
        filled = [table for table in tables if len(table)] or [pd.DataFrame(columns=list(columns)).astype(_DTYPES)]
        write_table(folder.path / name, pd.concat(filled, ignore_index=True))


def _table(untuned: WorldGroup, columns: Sequence[str], rows: Iterable[Fields]) -> pd.DataFrame:
    shared = {name: getattr(untuned.world, name) for name in _WORLD}
    plain = {name: str(value) if isinstance(value, str) else value for name, value in shared.items()}
    return pd.DataFrame([plain | row for row in rows], columns=list(columns)).astype(_DTYPES)


def _query_rows(study: Study, untuned: WorldGroup, sets: DemonstrationSets) -> Iterator[Fields]:
    """A row for each query: in ZSL, which all demonstration sets share, and in ICL and each FT with each set."""
    name = untuned.world.task
    task = sets.tasks[name].with_labels(untuned.world.labels, study.label_seed)
    words = list(task.label_words)
    queries = [
        {"query": place, "text": "\n".join(example.fields.values()), "label_words": words, "gold": words[example.label]}
        for place, example in enumerate(task.queries(study.queries_of(name), study.query_seed))
    ]

    def predicted(observation: Observation) -> Iterator[Fields]:
        columns = (observation.predictions, observation.tied, observation.label_log_probs)
        for query, prediction, tied, log_probs in zip(queries, *(column.tolist() for column in columns), strict=True):
            about = {"prediction": words[prediction], "tied": tied, "label_log_probs": log_probs, "status": "ok"}
            yield query | about

    yield from ({"setting": "ZSL"} | row for row in predicted(untuned.zsl[0]))
    for seed, icl in zip(untuned.seeds, untuned.icl, strict=True):
        yield from ({"setting": "ICL", "seed": seed} | row for row in predicted(icl))
    for group in untuned.groups:
        statuses = group.status(Setting.FT)
        for seed, zsl, record, status in zip(untuned.seeds, untuned.zsl, group.records, statuses, strict=True):
            about = _fine_tuning(study, group) | {"seed": seed}
            if status != "ok":
                yield from (about | query | {"status": status} for query in queries)
                continue
            tuned = replace(zsl, label_log_probs=record.tensors["FT/label_log_probs"])
            similarities = _means_over_layers(record.tensors.get("FT/sim_aou"), len(queries))
            for row, similarity in zip(predicted(tuned), similarities, strict=True):
                yield about | row | {"sim_aou": similarity}


def _fine_tuning(study: Study, group: CellGroup) -> Fields:
    name, rate = group.cell.method, group.cell.learning_rate
    options = options_json(study.method(name, rate))
    return {"setting": "FT", "method": name, "method_options": options, "learning_rate": rate}


def _means_over_layers(scores: Tensor | None, n_queries: int) -> list[float | None]:
    """Of each query, over the layers that have a value; None where none has: both updates are below resolution."""
    if scores is None:  # not measured
        return [None] * n_queries
    means = torch.where(scores.isinf().any(dim=-1), torch.nan, scores.double().nanmean(dim=-1))
    return [number(mean) for mean in means.tolist()]


def _attention_rows(study: Study, untuned: WorldGroup, sets: DemonstrationSets) -> Iterator[Fields]:
    """A row for each of the first queries, with the first demonstration set: in ZSL, in ICL, and in each FT."""
    first = untuned.observations[0]
    if not study.attention_queries:
        return
    prepared, tokenizer = sets.prepared(first.world), sets.tokenizer(first.world)
    untuned_settings = ((Setting.ZSL, first.zsl_key, prepared.zsl), (Setting.ICL, first.icl_key, prepared.icl))
    for setting, key, prompts in untuned_settings:
        observation = untuned.folder.load_observation(key, extras=_SHOWN)
        for row in _attended(attention_codes(study, observation), prompts, tokenizer):
            yield {"setting": str(setting), "seed": untuned.seeds[0]} | row
    for group in untuned.groups:
        tensors = group.records[0].tensors
        if (name := f"FT/{ATTENTION}") in tensors:  # else it diverged
            for row in _attended(tensors[name], prepared.zsl, tokenizer):
                yield _fine_tuning(study, group) | {"seed": untuned.seeds[0]} | row


def _attended(codes: Tensor, prompts: Prompts, tokenizer: Tokenizer) -> Iterator[Fields]:
    """[layers, heads, tokens] of each query, without what stands behind its last token."""
    start = len(prompts.context)
    context = token_texts(tokenizer, prompts.context)
    for query, of_query in enumerate(codes):
        tokens = context + token_texts(tokenizer, prompts.queries[query])
        layers, heads, _ = of_query.shape
        shown = of_query[..., : len(tokens)].contiguous().numpy().tobytes()
        yield {
            "query": query,
            "tokens": tokens,
            "query_start": start,
            "layers": layers,
            "heads": heads,
            "codes": shown,
        }
