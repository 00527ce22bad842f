"""Cells: fine-tune on demonstration sets and on their controls, observe, and score against ICL on every set."""

import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import torch
from torch import Tensor

from demograd.errors import UserError
from demograd.learn import Diverged, FineTuned, FineTuningJob, Method, TunedModel, fine_tuned_together
from demograd.learn.parameters import slices_of_layers
from demograd.metrics import METRICS, OrderSensitivity, compute
from demograd.models import Model
from demograd.observe import Observation, observe
from demograd.observe.rotary import has_rotary_keys
from demograd.observe.self_check import way_at_length
from demograd.statistics import mean_over_heads
from demograd.study.language_model.grid import extras
from demograd.study.language_model.measures import (
    MEASURES,
    extras_of,
    matched_metrics,
    metrics_of_demonstrations,
    metrics_of_fine_tuning,
    takes_reordered_icl,
)
from demograd.study.language_model.prompts import Order, Prepared, other_trainings
from demograd.study.language_model.spec import Study
from demograd.study.store.folder import CellRecord
from demograd.tasks import Prompts, TrainingSequence
from demograd.words import Setting

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


@dataclass(frozen=True)
class ObservedSet:
    """A demonstration set, and what was observed of it before anything was tuned."""

    prepared: Prepared
    zsl: Observation
    icl: Observation
    aligned_zsl: Callable[[], Observation]
    """ZSL with its queries where they stand in ICL, for where `needs_alignment` says so."""


def measure(
    study: Study,
    model: Model,
    observed: Sequence[ObservedSet],
    places: Sequence[int],
    method: Method,
    progress: Progress,
    say: Callable[[str], None],
) -> Iterator[tuple[int, CellRecord]]:
    """Fine-tune on demonstration sets and on their controls, all of them together; observe each, and score it against
    ICL on every set. A setting that diverges is recorded as that.

    Args:
        study: what is measured.
        model: before anything is tuned.
        observed: all demonstration sets of a group.
        places: of the sets whose cells are wanted. Sets are trained together in the same turns whichever these are, so
            that a run which went on has the numbers of one that did not stop: how sums are rounded depends on them.
        method: how.
        progress: is told how far it is.
        say: is told what is worth knowing of how they were trained.

    Yields:
        The place of a set, and what is kept of it.
    """
    # before anything is tuned
    aligned = {
        place: observed[place].aligned_zsl()
        for place in places
        if needs_alignment(study, model) and can_align(model, observed[place].prepared.icl)
    }
    wants_queries = any("training_queries" in METRICS[name].arguments for name in metrics_of_demonstrations(study))
    trainings = {place: _trainings(study, own.prepared) for place, own in enumerate(observed)}
    for turn in _turns(study, model, method, trainings):
        scored = [place for place in turn if place in places]
        if not scored:
            continue
        started = time.perf_counter()
        jobs = {
            (place, setting): FineTuningJob(sequences, method)
            for place in turn
            for setting, sequences in trainings[place].items()
        }
        followed = {id(job) for (_, setting), job in jobs.items() if setting == Setting.FT}

        def stops(job: FineTuningJob, followed: Container[int] = frozenset(followed)) -> Sequence[int]:
            return study.observe_at if id(job) in followed else ()

        steps = sum(len(job.sequences) for job in jobs.values()) * method.epochs
        with fine_tuned_together(
            model,
            [*jobs.values()],
            stops=stops,
            record_training_queries=wants_queries,
            on_step=progress(f"FT, {len(jobs)} fine-tuning{'s' * (len(jobs) > 1)}", steps),
        ) as trained:
            for note in dict.fromkeys(note for fine_tuning in trained for note in fine_tuning.notes):
                say(note)
            seconds = (time.perf_counter() - started) / len(turn)
            results = dict(zip(jobs, trained, strict=True))
            for place in scored:
                started = time.perf_counter()
                of_set = {setting: results[place, setting] for setting in trainings[place]}
                tensors, settings = _scored(study, observed, place, of_set, aligned.get(place), progress)
                facts = {
                    "k_used": observed[place].prepared.k_used,
                    "seconds": seconds + time.perf_counter() - started,
                    "settings": settings,
                }
                yield place, CellRecord(tensors, facts)


_ANOTHER_ORDER = "FT, another order"
HELD_BYTES = 8 << 30
"""Tuned weights that are held at once; where those of all sets are more, the sets take turns."""


def _trainings(study: Study, prepared: Prepared) -> dict[str, list[TrainingSequence]]:
    """Setting → training sequences: FT, its controls, and its other orders."""
    others = other_trainings(study, prepared)
    return prepared.training | {f"{_ANOTHER_ORDER} {number}": sequences for number, sequences in enumerate(others)}


def _turns(
    study: Study, model: Model, method: Method, trainings: Mapping[int, Mapping[str, object]]
) -> Iterator[tuple[int, ...]]:
    """The places of sets whose tuned weights are held at once."""
    slices = [part for parts in slices_of_layers(model.anatomy, method.parameters).values() for part in parts]
    trained_bytes = sum(part.select(part.parameter).numel() * part.parameter.itemsize for part in slices)
    held = max((len(settings) + len(study.observe_at) for settings in trainings.values()), default=1)
    at_once = max(1, HELD_BYTES // (trained_bytes * held))
    places = tuple(trainings)
    for first in range(0, len(places), at_once):
        yield places[first : first + at_once]


def _scored(
    study: Study,
    observed: Sequence[ObservedSet],
    place: int,
    of_set: Mapping[str, FineTuned],
    aligned: Observation | None,
    progress: Progress,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The scores of all fine-tunings of one demonstration set, and facts of each setting."""
    own = observed[place]
    tensors: dict[str, Tensor] = {}
    settings: dict[str, Any] = {}
    spread, order_statuses = OrderSensitivity(), list[str]()

    def keep(setting: str, step: int | None, tuned: TunedModel, ft: Observation) -> None:
        scores = _scores(metrics_of_fine_tuning(study), own.zsl, own.icl, ft, own.prepared.seed)
        if needs_alignment(study, tuned):
            scores |= _in_one_frame(study, own.prepared, tuned, aligned, own.icl, scores)
        if study.matching:
            scores |= _against_all_sets(matched_metrics(study), observed, ft)
        scores["label_log_probs"] = ft.label_log_probs
        if setting == Setting.FT and step is None:
            scores |= _of_these_demonstrations(study, own.prepared, tuned, own.zsl, own.icl, ft)
            if "order_sensitivity" in study.measures:
                spread.add(ft)
        tensors.update({f"{after_step(setting, step)}/{name}": tensor for name, tensor in scores.items()})

    for setting, fine_tuning in of_set.items():
        if setting.startswith(_ANOTHER_ORDER):
            order_statuses.append(
                _observe_tuned(study, own, fine_tuning, None, setting, progress, lambda tuned, ft: spread.add(ft))[0]
            )
            continue
        stops = [step for step in fine_tuning.steps if step < len(fine_tuning.losses) or fine_tuning.diverged]
        along = {
            step: _observe_tuned(study, own, fine_tuning, step, setting, progress, partial(keep, setting, step))[0]
            for step in stops
        }
        status, notes = _observe_tuned(study, own, fine_tuning, None, setting, progress, partial(keep, setting, None))
        is_ok = status == "ok"
        settings[setting] = {
            "status": status,
            "losses": fine_tuning.losses.tolist() if is_ok else [],
            "gradient_norms": fine_tuning.gradient_norms.tolist() if is_ok else [],
            "notes": notes,
            "after_steps": {str(step): step_status for step, step_status in along.items()},
        }
    if "order_sensitivity" in study.measures and settings[Setting.FT]["status"] == "ok":
        failed = next((status for status in order_statuses if status != "ok"), None)
        settings[Setting.FT]["order_sensitivity"] = failed or "ok"
        if failed is None:
            tensors["FT/order_sensitivity"] = spread.value()
    return tensors, settings


def after_step(setting: str, step: int | None) -> str:
    """`FT`, or `FT@8`: the names of a setting's tensors in a cell begin with it."""
    return setting if step is None else f"{setting}@{step}"


def _observe_tuned(
    study: Study,
    own: ObservedSet,
    fine_tuning: FineTuned,
    step: int | None,
    title: str,
    progress: Progress,
    keep: Callable[[TunedModel, Observation], None],
) -> tuple[str, list[str]]:
    """Observe after a step (None: the last), and let `keep` take what it needs; `ok`, or how it diverged, and notes."""
    prompts = own.prepared.zsl
    try:
        with fine_tuning.loaded(step) as tuned:
            title = title if step is None else f"{title} after {step} steps"
            ft = observe_setting(study, "FT", tuned, prompts, progress(title, len(prompts.queries)))
            if not is_finite(ft):
                raise Diverged(len(tuned.losses), "what the tuned model computes")
            keep(tuned, ft)
    except Diverged as diverged:
        return str(diverged), []
    return "ok", list(ft.notes)


def _against_all_sets(metrics: Iterable[str], observed: Sequence[ObservedSet], ft: Observation) -> dict[str, Tensor]:
    """A row of each metric's matrix: `matching/sim_aou` [sets, queries, layers], of ICL on every set against this FT;
    means over heads."""
    names = list(metrics)
    scores = [_scores(names, against.zsl, against.icl, ft, against.prepared.seed) for against in observed]
    return {f"{MATCHING}{name}": torch.stack([_by_layer(of_set[name]) for of_set in scores]) for name in names}


MATCHING = "matching/"
"""Names of scores against all sets begin with it."""


def _by_layer(score: Tensor) -> Tensor:
    """[queries, layers], without heads; a score that has no layers has one."""
    return mean_over_heads(score) if score.dim() > 1 else score[:, None]


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
    study: Study, model: Model, observed: Sequence[ObservedSet], place: int, progress: Progress
) -> CellRecord:
    """ICL under other orders of the demonstrations: its order sensitivity, and one order's scores in FT's place."""
    started = time.perf_counter()
    own = observed[place]
    spread, tensors = OrderSensitivity(), dict[str, Tensor]()

    def another(order: Order) -> Observation:
        return observe_untuned(study, "ICL", model, order.icl, progress("ICL, another order", len(own.icl.gold)))

    for number, order in enumerate(own.prepared.orders):
        again = own.icl if number == 0 else another(order)
        if "order_sensitivity" in study.measures:
            spread.add(again)
        if number == 1 and "reordering" in study.measures:
            names = [name for name in metrics_of_fine_tuning(study) if takes_reordered_icl(METRICS[name])]
            scores = _scores(names, own.zsl, own.icl, again, own.prepared.seed)
            if study.matching:
                matched = [name for name in matched_metrics(study) if name in names]
                scores |= _against_all_sets(matched, observed, again)
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
