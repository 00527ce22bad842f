"""The methods section of a language model's run: its settings in sentences, as the files of the run folder say."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from demograd.metrics import METRICS
from demograd.report.captions import ranges
from demograd.report.paper.facts import distinct, in_words, queries_in_words, whole
from demograd.report.paper.prose import Paragraph, Sentence, cite, cite_sources, say
from demograd.report.paper.software import software
from demograd.report.run import ReportedRun
from demograd.statistics import SEEDS_FOR_SPECIFICITY, SEEDS_TO_DECIDE
from demograd.words import Control, Labels, Reading, Setting, Weights, listed

EXACT = 8
"""Demonstration sets up to which all pairings are gone through."""
_WEIGHTS = {
    Weights.TRAINED: "the pretrained weights",
    Weights.NO_TRAINING: "weights drawn anew by the architecture’s own initialisation",
    Weights.NORMS_ONLY: "weights drawn anew but for all norms, which are kept",
    Weights.TRAINED_EMBEDDINGS: "weights drawn anew but for embeddings and norms, which are kept",
}
_MODELS = {"smollm2": "smollm2", "gemma3": "gemma3", "gemma-3": "gemma3"}
"""Part of a model's name → key of its source."""
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
_STEPS = {
    "demonstration": "one step per demonstration",
    "token": "one step per token",
    "batch": "one step on the mean over all demonstrations",
}
_PARAMETERS = {
    "key_value": "the key and value projections",
    "value": "the value projections",
    "all": "all parameters",
}
_LEARNING = ("gradient descent", "layer-causal gradient descent")


def methods(run: ReportedRun) -> list[Paragraph]:
    """The paragraphs of a language model's run, without those that it has nothing to say in."""
    paragraphs = [
        ("Model", _model(run)),
        ("Task and prompts", _task(run)),
        ("Demonstrations and queries", _sample(run)),
        ("Fine-tuning", _fine_tuning(run)),
        ("Metrics", _metrics(run)),
        ("Aggregation and tests", _statistics(run)),
        ("Validity", _validity(run)),
        ("Software", software(run)),
    ]
    written = ((title, tuple(sentences)) for title, sentences in paragraphs)
    return [Paragraph(title, sentences) for title, sentences in written if sentences]


def _model(run: ReportedRun) -> Iterator[Sentence]:
    models: Mapping[str, Any] = run.provenance.get("models", {})
    for name in distinct(run, "model"):
        key = next((key for part, key in _MODELS.items() if part in name.lower()), None)
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


def _task(run: ReportedRun) -> Iterator[Sentence]:
    tasks: Mapping[str, Any] = run.provenance.get("tasks", {})
    for name in distinct(run, "task"):
        about = tasks.get(name, {})
        source = f" ({about['source']})" if about.get("source") else ""
        keys = _TASKS.get(name, ())
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


def _sample(run: ReportedRun) -> Iterator[Sentence]:
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


def _fine_tuning(run: ReportedRun) -> Iterator[Sentence]:
    variants = run.scores.tuned()
    sources = run.provenance.get("learning_rate_source")
    for name in dict.fromkeys(variant.method for variant in variants):
        members = [variant for variant in variants if variant.method == name]
        for options in dict.fromkeys(variant.method_options for variant in members):
            yield _method(str(name), options)
        rates = list(dict.fromkeys(variant.texts["learning_rate"] for variant in members))
        source = sources.get(name) if isinstance(sources, Mapping) else None
        origin = f" ({_inline(source)})" if source else ""
        yield say(f"Its learning rate{'s are' if len(rates) > 1 else ' is'} {listed(rates)}{origin}.")
    controls = [control for control in Control if _has(run, control.setting)]
    for control in controls:
        if control is not Control.OTHER_SETS:
            yield say(f"As a control, the model is also fine-tuned on {control.words}.")
    if variants:
        yield say("Every fine-tuning starts from the same weights.")


def _method(name: str, options: str | None) -> Sentence:
    """What a method does, in the words of its options; an option that has none is named as it is."""
    settings = _json(options)
    if not settings:
        return say(f"{name} is run with options {options}." if options else f"{name} is run with its default options.")
    causal = "readout" in settings
    kind = str(settings.get("kind", _LEARNING[causal]))
    optimizer = {"adam": "Adam", "sgd": "SGD"}.get(str(settings.get("optimizer")), "")
    words = [_STEPS.get(str(settings.get("step")), "")]
    epochs = settings.get("epochs")
    words.append(f"{epochs} pass{'es' * (epochs != 1)} over the demonstrations" if epochs else "")
    loss = {"all": "cross-entropy of all tokens after the first", "label": "cross-entropy of the label’s tokens"}
    words.append(loss.get(str(settings.get("loss_on")), ""))
    words.append(f"momentum {settings['momentum']:g}" if settings.get("momentum") else "")
    words.append(f"gradients clipped to norm {settings['clip']:g}" if settings.get("clip") else "")
    words.append("observed to first order" if settings.get("linearised") else "")
    words.append(f"each layer read out from its {in_words(settings['readout']).replace('_', ' ')}" if causal else "")
    if subset := settings.get("parameters"):
        trained = _PARAMETERS.get(str(subset.get("which")), str(subset.get("which")))
        layers = subset.get("layers", "all")
        of_layers = "all layers" if layers == "all" else f"layers {in_words(layers)}"
        share = (
            f", a random {100 * subset['fraction']:g} % of their entries" if subset.get("fraction", 1.0) != 1.0 else ""
        )
        words.append(
            f"only {trained} of {of_layers}{share} are changed"
            if trained != "all parameters" or layers != "all"
            else "all parameters are changed"
        )
    source = [cite("deutch2024")] if causal else [cite("dai2023", "deutch2024")] if kind == _LEARNING[0] else []
    adam = [cite("kingma2015")] if optimizer == "Adam" else []
    by = [f": {optimizer}", *adam] if optimizer else [":"]
    return say(f"{name} is {kind}", *source, *by, ", " * bool(optimizer) + ", ".join(filter(None, words)) + ".")


def _metrics(run: ReportedRun) -> Iterator[Sentence]:
    """The definitions of all metrics that were measured."""
    measured = set(run.results["metric"])
    yield say(
        "ZSL stands for the model that has seen no demonstrations, ICL for the demonstrations in its prompt, FT for "
        "the model fine-tuned on them; u_ICL = h_ICL − h_ZSL and u_FT = h_FT − h_ZSL."
    )
    shown = [metric for name, metric in METRICS.items() if name in measured]
    pieces: list[str | Cite] = []
    for place, metric in enumerate(shown):
        pieces += [
            "; " * bool(place) + f"{metric.title}: {_uncapitalised(metric.definition)}",
            *cite_sources(metric.source),
        ]
    if pieces:
        yield say("Measured were ", *pieces, ".")
    if run.matching is not None or _has(run, Setting.FT_OTHER_SETS):
        yield say(
            "Specificity is a score with FT on ICL’s own demonstrations (matched) minus the mean score with FT on the "
            "other demonstration sets (mismatched)."
        )


def _statistics(run: ReportedRun) -> Iterator[Sentence]:
    if not run.scores.numbers:
        return
    yield say(
        "Scores are averaged over heads, then queries, then layers, and reported as mean ± sample standard deviation "
        "over demonstration sets."
    )
    intervals = set(run.results.loc[run.results["seed"].isna() & run.results["task"].notna(), "interval"].dropna())
    if "demonstrations" in intervals:
        yield say(
            "Intervals of means (95 %) are over demonstration sets and queries, both of which vary: they rest on the "
            "mean squares of sets, of queries and of what remains, with Satterthwaite’s degrees of freedom",
            cite("satterthwaite1946"),
            ".",
        )
        if "auc" in set(run.results["metric"]):
            yield say("Intervals of AUC are by a bootstrap of sets and, beside them, queries", cite("owen2007"), ".")
    if "conditional" in intervals:
        yield say("Intervals that are over queries alone are called conditional, and decide nothing.")
    tested = [claim for claim in run.claims["claims"] if claim["comparisons"]]
    specific = [claim for claim in tested if any(c.get("matching") for c in claim["comparisons"])]
    if specific:
        yield from _matching(run, specific)
    others = [claim for claim in tested if claim not in specific]
    compared = [claim for claim in others if claim.get("compare") == "above"]
    if compared:
        yield say(
            f"By t tests, paired over sets and queries, with the same mean squares, we tested: {_claims(compared)}."
        )
        if any(c.get("effect_size") is not None for claim in compared for c in claim["comparisons"]):
            yield say("Effect sizes are Hedges’ g over demonstration sets", cite("hedges1981"), ".")
    equal = [claim for claim in others if claim.get("compare") == "equal"]
    if equal:
        margins = sorted({c["margin"] for claim in equal for c in claim["comparisons"] if c.get("margin") is not None})
        within = f" (margins {listed(f'{margin:g}' for margin in margins)})" if margins else ""
        yield say(f"By tests of equivalence within a margin{within} we tested: {_claims(equal)}.")
    if tested and run.claims["correction"]:
        holm = [cite("holm1979")] if "Holm" in run.claims["correction"] else []
        correction = run.claims["correction"].removeprefix("Holm, ")
        by = "by Holm’s procedure" if holm else f"by {correction}"
        over = f", {correction}" if holm and correction != run.claims["correction"] else ""
        yield say(f"p-values are corrected {by}", *holm, f"{over}; the level is 5 %.")
    if tested:
        yield say(
            f"No claim is decided with fewer than {SEEDS_TO_DECIDE} demonstration sets, none about specificity with "
            f"fewer than {SEEDS_FOR_SPECIFICITY}."
        )


def _matching(run: ReportedRun, claims: Sequence[Mapping[str, Any]]) -> Iterator[Sentence]:
    sets = {c["n_seeds"] for claim in claims for c in claim["comparisons"] if c.get("matching")}
    pairings = "all pairings" if max(sets) <= EXACT else "20,000 random pairings and the true one"
    yield say(
        f"Specificity is tested by permuting which set of ICL is paired with which of FT ({pairings})",
        cite("mantel1967"),
        ", and again after the product of the sets’ main effects is taken out",
        cite("tukey1949"),
        f": {_claims(claims)}.",
    )
    yield say("Its interval is a jackknife over sets", cite("arvesen1969"), ", with queries as a second factor.")
    yield say(
        "The specific share is specificity over the matched score, with Fieller’s interval", cite("fieller1954"), "."
    )
    margins = sorted(
        {c["margin"] for claim in claims for c in claim["comparisons"] if c.get("matching") and c.get("margin")}
    )
    if margins:
        bounds = listed(f"±{100 * margin:g} %" for margin in margins)
        yield say(f"A specific share that is shown to lie within {bounds} is called not specific.")
    if (run.results["reading"] == Reading.IDENTIFIED).any():
        yield say("A set is identified where the best assignment of ICL’s sets to FT’s gives it its own.")
    if (run.results["setting"] == Setting.ICL_REORDERED).any():
        yield say("As a ceiling, ICL with the same demonstrations in another order takes the place of FT.")


def _validity(run: ReportedRun) -> Iterator[Sentence]:
    gates = [check for check in run.validity if check.check in ("in_context_learning", "fine_tuning")]
    if not gates:
        return
    yield say(
        "A claim about in-context learning counts only where ICL is shown to improve on zero-shot in AUC, calibrated "
        "accuracy or the likelihood among the label words, and one about fine-tuning only where FT is."
    )
    for check in gates:
        about = ", ".join(filter(None, (check.task, check.weights, check.method)))
        yield say(f"{about}: {check.message.split(':')[0]}.")


def _claims(claims: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(f"“{claim['claim']}” ({claim['source']})" for claim in claims)


def _has(run: ReportedRun, setting: Setting) -> bool:
    return bool((run.results["setting"] == setting).any())


def _json(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _uncapitalised(text: str) -> str:
    """A definition within a sentence; a name such as SimAOU keeps its letters."""
    first_word = text.partition(" ")[0]
    return text[:1].lower() + text[1:] if first_word[1:].islower() else text


def _answer(prefix: str | None) -> str:
    if prefix is None:
        return ""
    return ", a space and the label word" if prefix == " " else f", {prefix!r} and the label word"


def _inline(value: Any) -> str:
    return _stop(in_words(value)).removesuffix(".")


def _stop(text: str) -> str:
    text = text[:1].upper() + text[1:] if text.startswith("prompts") else text
    return text if text.endswith(".") else f"{text}."
