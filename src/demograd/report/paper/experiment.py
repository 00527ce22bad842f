"""What was run, in the sentences of a methods section: model, task, demonstrations and queries."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from demograd.report.captions import ranges
from demograd.report.paper.facts import distinct, queries_in_words, whole
from demograd.report.paper.prose import Sentence, cite, say
from demograd.report.run import ReportedRun
from demograd.tasks.sources.built_in import built_in_tasks
from demograd.tasks.sources.staicc import PACKAGE
from demograd.words import Labels, Weights, listed

_WEIGHTS = {
    Weights.TRAINED: "the pretrained weights",
    Weights.NO_TRAINING: "weights drawn anew by the architecture’s own initialisation",
    Weights.NORMS_ONLY: "weights drawn anew but for all norms, which are kept",
    Weights.TRAINED_EMBEDDINGS: "weights drawn anew but for embeddings and norms, which are kept",
}
_MODELS = {
    "smollm2": r"SmolLM2-135M-Instruct, dequantised .*|HuggingFaceTB/SmolLM2-[\w.-]+(, .*)?",
    "gemma3": r"Gemma 3 270M \(pretrained.*|google/gemma-3-[\w.-]+(, .*)?",
}
"""Key of a source → where the published weights come from, as provenance names it: packages, or the hub. Anyone may
give a folder the name of a model."""
_TASKS = {
    "sst2": ("sst",),
    "sst5": ("sst",),
    "mr": ("mr",),
    "subj": ("subj",),
    "agnews": ("agnews",),
    "trec": ("trec",),
    "cb": ("cb", "superglue"),
    "rte": ("superglue",),
}
"""Built-in task → keys of its sources."""


def model(run: ReportedRun) -> Iterator[Sentence]:
    models: Mapping[str, Any] = run.provenance.get("models", {})
    origins = {str(about.get("name")): str(about.get("source", "")) for about in models.values()}
    for name in distinct(run, "model"):
        origin = origins.get(name, "")
        key = next((key for key, published in _MODELS.items() if re.fullmatch(published, origin)), None)
        yield say(f"We study {name}", *([cite(key)] if key else []), ".")
    sources: set[tuple[str, str]] = set()
    for about in models.values():
        fact = (str(about.get("source", "")), str(about.get("fingerprint", "")))
        if any(fact) and fact not in sources:
            sources.add(fact)
            words = [f"{about.get('name', 'The model')}: {fact[0]}" if fact[0] else str(about.get("name", "The model"))]
            words += [f"SHA-256 fingerprint of its weights {fact[1][:16]}…"] if fact[1] else []
            yield say(f"{'; '.join(words)}.")
    states = [
        f"{name} ({_WEIGHTS[Weights(name)]})" if name in set(Weights) else name for name in distinct(run, "weights")
    ]
    if states:
        yield say(f"States of the weights: {'; '.join(states)}.")
    draws = (
        sorted({int(seed) for seed in run.results["initialisation"].dropna()})
        if set(distinct(run, "weights")) - {"trained"}
        else []
    )
    if draws:
        yield say(f"Untrained weights are drawn with seed{'s' * (len(draws) > 1)} {ranges(draws)}.")
    yield say(f"The network computes in {listed(distinct(run, 'dtype'))}.")


def task(run: ReportedRun) -> Iterator[Sentence]:
    tasks: Mapping[str, Any] = run.provenance.get("tasks", {})
    for name in distinct(run, "task"):
        about = tasks.get(name, {})
        source = f" ({about['source']})" if about.get("source") else ""
        keys = _TASKS.get(name, ()) if _is_published(name, str(about.get("source", ""))) else ()
        yield say(f"The task is {name}{source}", *([cite(*keys)] if keys else []), ".")
        if about.get("template"):
            yield say(f"An example of {name} is written “{about['template']}”{_answer(about.get('answer_prefix'))}.")
        if about.get("label_words"):
            yield say(f"Its label words are {listed(map(str, about['label_words']))}.")
    labels = distinct(run, "labels")
    if Labels.ABSTRACT in labels:
        yield say(
            "Abstract labels replace the label words by letters in a seeded order, so that what they mean can be "
            "learned from the demonstrations alone",
            cite("pan2023"),
            ".",
        )
    if Labels.RANDOM in labels:
        yield say("Random labels are drawn anew for each demonstration", cite("min2022"), ".")
    separators = {
        "newline": "A newline separates demonstrations in the prompt",
        "eos": "The end-of-sequence token separates demonstrations in the prompt",
    }
    if run.study.get("separator") in separators:
        yield say(f"{separators[run.study['separator']]}.")
    yield from (
        say(_stop(note)) for note in run.provenance.get("notes", []) if note.startswith(("prompts begin", "Labels of"))
    )


def _is_published(name: str, source: str) -> bool:
    """Whether a task's examples are those of the built-in task of its name, and no file's that is called alike."""
    row = built_in_tasks().get(name)
    if row is None:
        return False
    packaged = row.staicc is not None and re.fullmatch(rf"{PACKAGE} [\d.]+ {re.escape(row.staicc)}", source)
    return bool(packaged) or source.startswith(f"hub data set {row.hub.id} ")


def sample(run: ReportedRun) -> Iterator[Sentence]:
    seeds, ks = whole(run, "seed"), whole(run, "k")
    if not seeds or not ks:
        return
    balanced = ", drawn with as many of each class as can be" if run.study.get("balanced") else ""
    plural = "s" * (len(seeds) > 1)
    yield say(
        f"There are {len(seeds)} demonstration set{plural} (seed{plural} {ranges(seeds)}) of "
        f"k = {listed(map(str, ks))} demonstrations{balanced}."
    )
    if run.matching is not None:
        yield say("No two sets of a task share a text.")
    used = run.results[["k", "k_used"]].dropna()
    fewer = used[used["k_used"] < used["k"]]
    if not used.empty:
        fitted = (
            f"between {int(fewer['k_used'].min())} and {int(fewer['k_used'].max())} of them fitted in some sets"
            if len(fewer)
            else "all of them fitted the context window"
        )
        same = "; ICL and FT use the same ones" if run.study.get("fine_tuned_on") != "all" else ""
        yield say(f"Of the demonstrations, {fitted}{same}.")
    if queries := queries_in_words(run):
        seed = f", drawn with seed {run.study['query_seed']}" if "query_seed" in run.study else ""
        yield say(f"All sets share the same {queries} queries{seed}.")
    place = {"prompt_end": "the last token of a query", "first_answer": "the first token of the first class’s answer"}
    for recorded in distinct(run, "record_at"):
        yield say(f"What is compared is recorded at {place.get(recorded, recorded)}.")


def _answer(prefix: str | None) -> str:
    if prefix is None:
        return ""
    return ", a space and the label word" if prefix == " " else f", {prefix!r} and the label word"


def _stop(text: str) -> str:
    text = text[:1].upper() + text[1:] if text.startswith("prompts") else text
    return text if text.endswith(".") else f"{text}."
