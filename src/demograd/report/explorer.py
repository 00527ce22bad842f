"""What the query explorer shows: predictions query by query, and attention to the tokens of their prompts.

All of it is text or numbers in JSON. Texts come from data sets: what would turn or hide the text around it is spelled
out, and the script that shows them makes text of them, never markup.
"""

import zlib
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import pandas as pd
from jinja2.utils import htmlsafe_json_dumps

from demograd.display import visible
from demograd.statistics.number import formatted
from demograd.words import ATTENTION_STEPS, Weights, task_label

TEXT_BYTES, ATTENTION_BYTES = 1_000_000, 1_500_000
"""At most on a page, as it is written: of predictions, and of attention; several runs share them equally."""
STATIC_ROWS = 50
"""Of the table that is there without a script."""
_WORLD = ["model", "weights", "initialisation", "task", "labels", "k"]
_FINE_TUNING = ["method", "learning_rate"]


@dataclass(frozen=True)
class Explorer:
    """The explorer of one run."""

    content: dict[str, Any]
    """What the script shows."""
    rows: list[tuple[str, ...]]
    """Text, gold, prediction in ZSL, ICL and FT, similarity: the table without a script, of the first world, set and
    fine-tuning."""
    n_queries: int
    """Of one world: the most that there are."""
    n_shown: int
    """How many of these are on the page."""
    n_attention: int
    """Of how many of these the attention is there, at most."""


def explorer_of(queries: pd.DataFrame, attention: pd.DataFrame | None, n_runs: int = 1) -> Explorer | None:
    """The explorer of a run's tables (docs/run-folder.md) on a page of so many runs; None where they have no rows."""
    if queries.empty:
        return None
    n_queries = n_shown = int(queries["query"].max()) + 1
    at_most = TEXT_BYTES // n_runs
    while (size := _size(content := _content(queries[queries["query"] < n_shown]))) > at_most and n_shown > 1:
        n_shown = max(1, min(n_shown - 1, int(0.95 * n_shown * at_most / size)))
    n_attention = 0
    if attention is not None:
        n_attention = _add_attention(content, attention[attention["query"] < n_shown], ATTENTION_BYTES // n_runs)
    return Explorer(content, _static_rows(content), n_queries, n_shown, n_attention)


def _size(content: Any) -> int:
    """Bytes on the page, as its template writes them: `<`, `>`, `&`, `'` and what is no ASCII are six or more each."""
    return len(htmlsafe_json_dumps(content))


def _content(queries: pd.DataFrame) -> dict[str, Any]:
    tasks: list[dict[str, Any]] = []
    worlds = []
    for key, world in queries.groupby(_WORLD, dropna=False, sort=False):
        zsl = world[world["setting"] == "ZSL"].sort_values("query")
        task = _task(zsl)
        if task not in tasks:
            tasks.append(task)
        about = dict(zip(_WORLD, key, strict=True))
        tunings = world.loc[world["setting"] == "FT", _FINE_TUNING].drop_duplicates().itertuples(index=False)
        methods = [(method, rate) for method, rate in tunings]
        worlds.append(
            {
                "key": [_plain(value) for value in key],
                "title": _title(about),
                "task": tasks.index(task),
                "zsl": _predictions(zsl, task["words"]),
                "methods": [visible(f"{method} {rate:g}") for method, rate in methods],
                "sets": [_set(rows, seed, methods, task["words"]) for seed, rows in world.groupby("seed", sort=False)],
                "attention": None,
            }
        )
    return {
        "steps": ATTENTION_STEPS,
        "measured": bool(queries["sim_aou"].notna().any()),
        "tasks": tasks,
        "contexts": [],
        "worlds": worlds,
    }


def _title(about: dict[str, Any]) -> str:
    number = "" if about["weights"] == Weights.TRAINED else f" {about['initialisation']}"
    task = task_label(about["task"], about["labels"])
    return visible(f"{about['model']}, {about['weights']}{number} · {task} · k {about['k']}")


def _task(zsl: pd.DataFrame) -> dict[str, Any]:
    words = list(zsl["label_words"].iloc[0])
    return {
        "words": [visible(word) for word in words],
        "texts": [visible(text) for text in zsl["text"]],
        "gold": [words.index(word) for word in zsl["gold"]],
    }


def _set(rows: pd.DataFrame, seed: Any, methods: Sequence[tuple[str, float]], words: list[str]) -> dict[str, Any]:
    """ICL with one demonstration set, and each FT on it."""
    tuned = [rows[(rows["method"] == method) & (rows["learning_rate"] == rate)] for method, rate in methods]
    return {
        "seed": int(seed),
        "icl": _predictions(rows[rows["setting"] == "ICL"].sort_values("query"), words),
        "ft": [_predictions(of_method.sort_values("query"), words) for of_method in tuned],
    }


def _predictions(rows: pd.DataFrame, words: list[str]) -> dict[str, Any]:
    """Of each query the predicted class, the label log-probabilities and the similarity; or why there is none."""
    failed = rows.loc[rows["status"] != "ok", "status"]
    if len(failed) or rows.empty:
        return {"status": visible(failed.iloc[0]) if len(failed) else "not measured"}
    # abstract and random labels have words of their own: a prediction is one of the row's
    places = {word: place for place, word in enumerate(rows["label_words"].iloc[0])}
    return {
        "predicted": [places[word] for word in rows["prediction"]],
        "log_probs": [[_rounded(value, 2) for value in values] for values in rows["label_log_probs"]],
        "similarity": [_rounded(value, 3) for value in rows["sim_aou"]],
    }


def _rounded(value: float, places: int) -> float | None:
    """None, which JSON has, for what is not finite, which it has not."""
    return round(float(value), places) if isfinite(value) else None


def _add_attention(content: dict[str, Any], attention: pd.DataFrame, left: int) -> int:
    """Give each world the attention of its first queries, as many as fit in the bytes that are left; returns the most
    of any world."""
    by_world = {tuple(map(_plain, key)): rows for key, rows in attention.groupby(_WORLD, dropna=False, sort=False)}
    worlds = [(world, by_world[key]) for world in content["worlds"] if (key := tuple(world["key"])) in by_world]
    contexts = content["contexts"]
    for query in sorted(attention["query"].unique()):
        for world, of_world in worlds:
            rows = of_world[of_world["query"] == query].to_dict("records")
            n_before = len(world["attention"]["queries"]) if world["attention"] else 0
            if not rows or n_before != query:  # the script counts queries: behind one that did not fit there are none
                continue
            n_contexts = len(contexts)
            shown = world["attention"] or _attention_of(rows, contexts)
            prompts = [_prompt(row) for row in rows]
            size = _size(prompts if world["attention"] else [prompts, shown, contexts[n_contexts:]])
            if size > left:
                del contexts[n_contexts:]
                continue
            left -= size
            shown["queries"].append(prompts)
            world["attention"] = shown
    return max((len(world["attention"]["queries"]) for world in content["worlds"] if world["attention"]), default=0)


def _attention_of(rows: Sequence[Mapping[Any, Any]], contexts: list[list[str]]) -> dict[str, Any]:
    """What a world's queries share: layers and heads, and of each setting its title and the place in `contexts` of the
    tokens before the query, which are added if they are not there."""
    settings = []
    for row in rows:
        context = _tokens(row["tokens"][: row["query_start"]])
        if context not in contexts:
            contexts.append(context)
        settings.append({"title": _setting_title(row), "context": contexts.index(context)})
    first = rows[0]
    return {
        "seed": int(first["seed"]),
        "layers": int(first["layers"]),
        "heads": int(first["heads"]),
        "settings": settings,
        "queries": [],
    }


def _setting_title(row: Mapping[Any, Any]) -> str:
    return visible(f"FT, {row['method']} {row['learning_rate']:g}") if row["setting"] == "FT" else str(row["setting"])


def _prompt(row: Mapping[Any, Any]) -> dict[str, Any]:
    """The query's own tokens, and codes [layers, heads, tokens] of the whole prompt, deflated."""
    return {
        "own": _tokens(row["tokens"][row["query_start"] :]),
        "codes": b64encode(zlib.compress(row["codes"], 9)).decode(),
    }


def _tokens(tokens: Iterable[str]) -> list[str]:
    return [visible(token) for token in tokens]


def _plain(value: Any) -> Any:
    """A value of a table as JSON has it."""
    if pd.isna(value):
        return None
    return int(value) if isinstance(value, int | np.integer) else str(value)


def _static_rows(content: dict[str, Any]) -> list[tuple[str, ...]]:
    """The rows of the first world, demonstration set and fine-tuning."""
    world = content["worlds"][0]
    task, first = content["tasks"][world["task"]], world["sets"][0]
    settings = [world["zsl"], first["icl"], *first["ft"][:1]]

    def words(place: int) -> Iterator[str]:
        gold = task["gold"][place]
        for setting in settings:
            if "status" in setting:
                yield setting["status"]
                continue
            predicted = setting["predicted"][place]
            yield ("" if predicted == gold else "✗ ") + task["words"][predicted]
        if not first["ft"]:
            yield "–"
        similarity = settings[-1].get("similarity", [None] * len(task["texts"]))[place]
        yield "–" if similarity is None else formatted(similarity)

    return [
        (text, task["words"][gold], *words(place))
        for place, (text, gold) in enumerate(zip(task["texts"][:STATIC_ROWS], task["gold"], strict=False))
    ]
