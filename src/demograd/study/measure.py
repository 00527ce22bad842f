"""One cell: fine-tune on the demonstrations and on the controls, observe, and score against ICL."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor

from demograd.errors import UserError
from demograd.learn import Diverged, Method, fine_tuned
from demograd.metrics import METRICS
from demograd.models import Model
from demograd.observe import Observation, observe
from demograd.study.folder import CellRecord
from demograd.study.prepare import Prepared
from demograd.study.schema import Study
from demograd.tasks import Prompts, TrainingSequence

Progress = Callable[[str, int], Callable[[int], None]]
"""(setting, how much) → a function that is told how much is done."""


def observe_setting(study: Study, model: Model, prompts: Prompts, on_progress: Callable[[int], None]) -> Observation:
    """Observe with this study's options."""
    return observe(model, prompts, place=study.place, on_progress=on_progress)


def observe_untuned(study: Study, model: Model, prompts: Prompts, on_progress: Callable[[int], None]) -> Observation:
    """Observe ZSL or ICL.

    Raises:
        UserError: the model overflows on these prompts.
    """
    observation = observe_setting(study, model, prompts, on_progress)
    if not is_finite(observation):
        raise UserError(f"{model.name} in {model.dtype} computes values that are not finite on these prompts",
                        "a dtype in which the model does not overflow", "Try --dtype float32")  # fmt: skip
    return observation


def is_finite(observation: Observation) -> bool:
    """Whether everything that the metrics read is a number."""
    read = [observation.attention_output, observation.label_log_probs, *observation.attention_logits]
    return all(bool(tensor.isfinite().all()) for tensor in read)


def measure(
    study: Study,
    model: Model,
    prepared: Prepared,
    method: Method,
    zsl: Observation,
    icl: Observation,
    progress: Progress,
) -> CellRecord:
    """Scores per query and layer of FT and its controls; a setting that diverges is recorded as that."""
    started = time.perf_counter()
    tensors: dict[str, Tensor] = {}
    settings: dict[str, Any] = {}
    for setting, sequences in prepared.training.items():
        try:
            ft, facts = _fine_tune_and_observe(
                study, model, sequences, prepared.zsl, method, partial(progress, setting)
            )
        except Diverged as diverged:
            settings[setting] = {"status": str(diverged), "losses": [], "gradient_norms": []}
            continue
        settings[setting] = facts
        tensors[f"{setting}/label_log_probs"] = ft.label_log_probs
        for name, scores in similarities(zsl, icl, ft).items():
            tensors[f"{setting}/{name}"] = scores
    return CellRecord(tensors, {"k_used": prepared.k_used, "seconds": time.perf_counter() - started,
                                "settings": settings})  # fmt: skip


def similarities(zsl: Observation, icl: Observation, ft: Observation) -> dict[str, Tensor]:
    """Every similarity and size that looks at FT: [queries, layers] or [queries, layers, heads]."""
    observed = {"zsl": zsl, "icl": icl, "ft": ft, "other": ft}
    return {
        name: metric.function(*(observed[argument] for argument in metric.arguments))
        for name, metric in METRICS.items()
        if metric.has_layers and {"ft", "other"} & set(metric.arguments)
    }


def _fine_tune_and_observe(
    study: Study,
    model: Model,
    sequences: list[TrainingSequence],
    prompts: Prompts,
    method: Method,
    progress: Callable[[int], Callable[[int], None]],
) -> tuple[Observation, dict[str, Any]]:
    on_progress = progress(len(sequences) + len(prompts.queries))
    with fine_tuned(model, sequences, method, on_step=on_progress) as tuned:
        ft = observe_setting(study, tuned, prompts, lambda done: on_progress(len(sequences) + done))
        if not is_finite(ft):
            raise Diverged(len(tuned.losses), "what the tuned model computes")
        return ft, {"status": "ok", "losses": tuned.losses.tolist(), "gradient_norms": tuned.gradient_norms.tolist()}
