"""One cell: fine-tune on the demonstrations and on the controls, observe, and score against ICL."""

import time
from collections.abc import Callable, Iterable
from dataclasses import fields
from functools import partial
from typing import Any

import torch
from torch import Tensor

from demograd.errors import UserError
from demograd.learn import Diverged, Method, TunedModel, fine_tuned
from demograd.metrics import METRICS, OrderSensitivity, compute
from demograd.models import Model
from demograd.observe import Observation, observe
from demograd.observe.rotary import has_rotary_keys
from demograd.observe.self_check import way_at_length
from demograd.study.language_model.grid import extras
from demograd.study.language_model.measures import (
    MEASURES,
    extras_of,
    metrics_of_demonstrations,
    metrics_of_fine_tuning,
    takes_reordered_icl,
)
from demograd.study.language_model.prompts import Order, Prepared, other_trainings
from demograd.study.language_model.spec import Study
from demograd.study.store.folder import CellRecord
from demograd.tasks import Prompts, TrainingSequence

Progress = Callable[[str, int], Callable[[int], None]]
"""(setting, how much) → a function that is told how much is done."""


def observe_setting(
    study: Study, setting: str, model: Model, prompts: Prompts, on_progress: Callable[[int], None]
) -> Observation:
    """Observe with this study's options."""
    return observe(model, prompts, extras=extras(study, setting), place=study.place, on_progress=on_progress)


def observe_untuned(
    study: Study, setting: str, model: Model, prompts: Prompts, on_progress: Callable[[int], None]
) -> Observation:
    """Observe ZSL or ICL.

    Raises:
        UserError: the model overflows on these prompts.
    """
    observation = observe_setting(study, setting, model, prompts, on_progress)
    if not is_finite(observation):
        raise UserError(
            f"{model.name} in {model.dtype} computes values that are not finite on these prompts",
            "a dtype in which the model does not overflow",
            "Try --dtype float32",
        )
    return observation


def is_finite(observation: Observation) -> bool:
    """Whether everything that was recorded is a number; a token that cannot come next may be as unlikely as −∞."""
    names = [field.name for field in fields(observation) if field.name != "next_token_log_probs"]
    recorded = [getattr(observation, name) for name in names]
    tensors = [tensor for value in recorded for tensor in (value if isinstance(value, list) else [value])]
    return all(bool(tensor.isfinite().all()) for tensor in tensors if isinstance(tensor, Tensor))


def measure(
    study: Study,
    model: Model,
    prepared: Prepared,
    method: Method,
    zsl: Observation,
    icl: Observation,
    aligned_zsl: Callable[[], Observation],
    progress: Progress,
) -> CellRecord:
    """Scores per query and layer of FT and its controls; a setting that diverges is recorded as that.

    `aligned_zsl` gives ZSL with its queries where they stand in ICL, where `needs_alignment` says so.
    """
    started = time.perf_counter()
    tensors: dict[str, Tensor] = {}
    settings: dict[str, Any] = {}
    spread = OrderSensitivity()
    # before anything is tuned
    aligned = aligned_zsl() if needs_alignment(study, model) and can_align(model, prepared.icl) else None

    def keep(setting: str, tuned: TunedModel, ft: Observation) -> None:
        scores = _scores(metrics_of_fine_tuning(study), zsl, icl, ft, prepared.seed)
        if needs_alignment(study, model):
            scores |= _in_one_frame(study, prepared, tuned, aligned, icl, scores)
        scores["label_log_probs"] = ft.label_log_probs
        if setting == "FT":
            scores |= _of_these_demonstrations(study, prepared, tuned, zsl, icl, ft)
            if "order_sensitivity" in study.measures:
                spread.add(ft)
        tensors.update({f"{setting}/{name}": tensor for name, tensor in scores.items()})

    for setting, sequences in prepared.training.items():
        wants_queries = setting == "FT" and any(
            "training_queries" in METRICS[name].arguments for name in metrics_of_demonstrations(study)
        )
        settings[setting] = _fine_tune(
            study,
            model,
            sequences,
            prepared.zsl,
            method,
            partial(keep, setting),
            partial(progress, setting),
            record_training_queries=wants_queries,
        )
    if "order_sensitivity" in study.measures and settings["FT"]["status"] == "ok":
        facts = [
            _fine_tune(
                study,
                model,
                sequences,
                prepared.zsl,
                method,
                lambda tuned, ft: spread.add(ft),
                partial(progress, "FT, another order"),
            )
            for sequences in other_trainings(study, prepared)
        ]
        failed = next((fine_tuning["status"] for fine_tuning in facts if fine_tuning["status"] != "ok"), None)
        settings["FT"]["order_sensitivity"] = failed or "ok"
        if failed is None:
            tensors["FT/order_sensitivity"] = spread.value()
    return CellRecord(
        tensors, {"k_used": prepared.k_used, "seconds": time.perf_counter() - started, "settings": settings}
    )


_OF_KEYS = ("implicit_update", "implicit_update_weighted")
"""Metrics that compare sums of v kᵀ, of which rotary positions turn k."""


def needs_alignment(study: Study, model: Model) -> bool:
    """Whether the implicit update is asked for where keys are rotary, and the queries of ZSL and FT do not stand where
    they stand in ICL: ΔW_ICL and ΔW_FT would be matrices in frames that are rotated against each other."""
    return "implicit_update" in study.measures and not study.align_positions and has_rotary_keys(model.anatomy)


def can_align(model: Model, prompts: Prompts) -> bool:
    """Whether queries of prompts as long as these can be put at positions of their own."""
    return way_at_length(model, prompts) == "packed"


def observe_aligned(study: Study, model: Model, prepared: Prepared) -> Observation:
    """ZSL or, of a tuned model, FT, with its queries where they stand in ICL, and the products of values and keys."""
    products = extras_of(MEASURES["implicit_update"].metrics, "FT")
    return observe(model, prepared.aligned_zsl, extras=products, place=study.place)


def _in_one_frame(
    study: Study,
    prepared: Prepared,
    tuned: TunedModel,
    aligned_zsl: Observation | None,
    icl: Observation,
    scores: dict[str, Tensor],
) -> dict[str, Tensor]:
    """The implicit update on aligned positions; missing of a model whose positions cannot be told."""
    if aligned_zsl is None:
        return {name: torch.full_like(scores[name], torch.nan) for name in _OF_KEYS}
    ft = observe_aligned(study, tuned, prepared)
    if not is_finite(ft):
        raise Diverged(len(tuned.losses), "what the tuned model computes")
    return _scores(_OF_KEYS, aligned_zsl, icl, ft, prepared.seed)


def measure_orders(
    study: Study,
    model: Model,
    prepared: Prepared,
    zsl: Observation,
    icl: Observation,
    progress: Progress,
) -> CellRecord:
    """ICL under other orders of the demonstrations: its order sensitivity, and one order's scores beside another's."""
    started = time.perf_counter()
    spread, tensors = OrderSensitivity(), dict[str, Tensor]()

    def another(order: Order) -> Observation:
        return observe_untuned(study, "ICL", model, order.icl, progress("ICL, another order", len(icl.gold)))

    for number, order in enumerate(prepared.orders):
        again = icl if number == 0 else another(order)
        if "order_sensitivity" in study.measures:
            spread.add(again)
        if number == 1 and "reordering" in study.measures:
            names = [name for name in metrics_of_fine_tuning(study) if takes_reordered_icl(METRICS[name])]
            scores = _scores(names, zsl, icl, again, prepared.seed)
            tensors |= {f"ICL_reordered/{name}": score for name, score in scores.items()}
    if "order_sensitivity" in study.measures:
        tensors["ICL/order_sensitivity"] = spread.value()
    return CellRecord(tensors, {"seconds": time.perf_counter() - started})


def _scores(
    metrics: Iterable[str], zsl: Observation, icl: Observation, ft: Observation, seed: int
) -> dict[str, Tensor]:
    """Each [queries], [queries, layers], [queries, layers, heads] or [queries, layers, layers′]."""
    return _copied(compute(metrics, _by_argument(zsl, icl, ft), seed))


def _by_argument(zsl: Observation, icl: Observation, ft: Observation) -> dict[str, Any]:
    """The observations by the arguments of metrics that they are."""
    return {"zsl": zsl, "icl": icl, "ft": ft, "other": ft, "a": icl, "b": ft}


def _copied(scores: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of their own: two metrics may return one, or a view of what was observed, and no file holds that."""
    return {name: score.clone() for name, score in scores.items()}


def _of_these_demonstrations(
    study: Study, prepared: Prepared, tuned: TunedModel, zsl: Observation, icl: Observation, ft: Observation
) -> dict[str, Tensor]:
    """What has a meaning only where FT and ICL saw the same demonstrations, or is needed beside another method."""
    scores: dict[str, Tensor] = {}
    if "alpha" in study.measures:  # compared with another method's, once both are there
        scores["attention_logits"] = torch.cat(ft.attention_logits, dim=-1)
    arguments = _by_argument(zsl, icl, ft)
    arguments |= {"spans": prepared.icl.demonstration_spans, "training_queries": tuned.training_queries}
    return scores | _copied(compute(metrics_of_demonstrations(study), arguments, prepared.seed))


def _fine_tune(
    study: Study,
    model: Model,
    sequences: list[TrainingSequence],
    prompts: Prompts,
    method: Method,
    keep: Callable[[TunedModel, Observation], None],
    progress: Callable[[int], Callable[[int], None]],
    *,
    record_training_queries: bool = False,
) -> dict[str, Any]:
    """Fine-tune, observe and let `keep` take what it needs; the facts of it."""
    on_progress = progress(len(sequences) + len(prompts.queries))
    try:
        with fine_tuned(
            model, sequences, method, on_step=on_progress, record_training_queries=record_training_queries
        ) as tuned:
            ft = observe_setting(study, "FT", tuned, prompts, lambda done: on_progress(len(sequences) + done))
            if not is_finite(ft):
                raise Diverged(len(tuned.losses), "what the tuned model computes")
            keep(tuned, ft)
    except Diverged as diverged:
        return {"status": str(diverged), "losses": [], "gradient_norms": [], "notes": []}
    return {
        "status": "ok",
        "losses": tuned.losses.tolist(),
        "gradient_norms": tuned.gradient_norms.tolist(),
        "notes": list(ft.notes),
    }
