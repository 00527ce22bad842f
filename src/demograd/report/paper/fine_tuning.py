"""The fine-tuning methods of a run, in the sentences of a methods section."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from demograd.report.paper.facts import has_setting, in_words
from demograd.report.paper.prose import Sentence, cite, say
from demograd.report.run import ReportedRun
from demograd.words import Control, listed

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


def _json(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
