"""The fine-tuning methods of a run, in the sentences of a methods section."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from demograd.report.paper.facts import has_setting, in_words
from demograd.report.paper.prose import Sentence, cite, say
from demograd.report.run import ReportedRun
from demograd.report.subject import is_layer_causal, options_text
from demograd.words import Control, listed

_SENTENCES: dict[str, dict[str, str]] = {
    "step": {
        "demonstration": "one step per demonstration",
        "token": "one step per token",
        "batch": "one step on the mean over all demonstrations",
    },
    "epochs": {"1": "one pass over the demonstrations"},
    "loss_on": {
        "all": "cross-entropy of all tokens after the first",
        "label": "cross-entropy of the label’s tokens",
    },
    "readout": {"block": "each layer read out from its block’s output"},
}
"""Option → the sentence of each value that a methods section says in full, defaults among them; all other options are
in the words that their fields carry."""
_TRAINED = {"key_value": "the key and value projections", "value": "the value projections"}
_OPTIMIZERS = {"sgd": "SGD", "adam": "Adam"}
_SHEN = cite("shen2023")


def fine_tuning(run: ReportedRun) -> Iterator[Sentence]:
    variants = run.scores.tuned()
    sources = run.provenance.get("learning_rate_source")
    for name in dict.fromkeys(variant.method for variant in variants):
        members = [variant for variant in variants if variant.method == name]
        for options in dict.fromkeys(variant.method_options for variant in members):
            yield _method(str(name), options)
        rates = list(dict.fromkeys(variant.texts["learning_rate"] for variant in members))
        source = sources.get(name) if isinstance(sources, Mapping) else None
        origin = f" ({in_words(source)})" if source else ""
        yield say(f"Its learning rate{'s are' if len(rates) > 1 else ' is'} {listed(rates)}{origin}.")
    controls = [control for control in Control if has_setting(run, control.setting)]
    for control in controls:
        if control is not Control.OTHER_SETS:
            yield say(f"As a control, the model is also fine-tuned on {control.words}.")
    if variants:
        in_each = " in each state of the weights" * (len({(v.weights, v.initialisation) for v in variants}) > 1)
        of_each = " of each model" * (len({variant.model for variant in variants}) > 1)
        yield say(f"Every fine-tuning{of_each} starts from the same weights{in_each}.")


def _method(name: str, options: str | None) -> Sentence:
    """What a method does; each option is in a sentence, in the words of its field, or named as it is."""
    settings = _json(options)
    if not settings:
        return say(f"{name} is run with options {options}." if options else f"{name} is run with its default options.")
    causal = is_layer_causal(options)
    if "kind" in settings:  # a method of the user's own
        kind, source = str(settings["kind"]), []
    elif causal:
        kind, source = "layer-causal gradient descent", [cite("deutch2024")]
    else:
        kind, source = "gradient descent", [cite("dai2023", "deutch2024")]
    in_full = [option for option, sentences in _SENTENCES.items() if str(settings.get(option)) in sentences]
    clauses: list[Sentence] = [*_optimizer(settings)]
    for option in in_full:
        is_batch = (option, settings[option]) == ("step", "batch")
        clauses.append((_SENTENCES[option][str(settings[option])], *[_SHEN] * is_batch))
    others = {
        option: value for option, value in settings.items() if option not in (*in_full, "optimizer", "parameters")
    }
    clauses.append((options_text(json.dumps(others)),))
    if isinstance(subset := settings.get("parameters"), Mapping):
        clauses.append(_trained(subset, causal))
    pieces = [(", " * bool(place), *clause) for place, clause in enumerate(filter(any, clauses))]
    return say(f"{name} is {kind}", *source, ": ", *(piece for clause in pieces for piece in clause), ".")


def _optimizer(settings: Mapping[str, Any]) -> Iterator[Sentence]:
    if "optimizer" in settings:
        name = str(settings["optimizer"])
        yield (_OPTIMIZERS.get(name, name), *[cite("kingma2015", "shen2023")] * (name == "adam"))


def _trained(subset: Mapping[str, Any], causal: bool) -> Sentence:
    """`trained are the value projections, layers 2 to 5 only, a random 10 % of the entries`."""
    parameters, layers = str(subset.get("which", "key_value")), subset.get("layers", "all")
    fraction = subset.get("fraction", 1.0)
    of_blocks = " of the blocks" * (causal or layers != "all")  # what `ParameterSubset.which` means by all
    words = [_TRAINED.get(parameters, f"{parameters} parameters{of_blocks}")]
    settings = {option: value for option, value in subset.items() if option not in ("which", "seed")}
    words.append(options_text(json.dumps({"parameters": settings})))
    words.append(f"drawn with seed {subset['seed']}" if fraction != 1.0 and "seed" in subset else "")
    is_default = (parameters, layers, fraction) == ("key_value", "all", 1.0)
    return (f"trained are {', '.join(filter(None, words))}", *[_SHEN] * (not is_default))


def _json(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
