"""Cells: fine-tune on demonstration sets and on their controls, observe, and score against ICL on every set."""

import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from demograd.learn import Diverged, FineTuned, FineTuningJob, Method, TunedModel, fine_tuned_together
from demograd.metrics import METRICS, OrderSensitivity
from demograd.models import Model
from demograd.observe import Observation
from demograd.study.language_model.attention import ATTENTION, attention_codes
from demograd.study.language_model.cell_scores import (
    against_all_sets,
    in_one_frame,
    of_these_demonstrations,
    scores_of,
)
from demograd.study.language_model.measures import matched_metrics, metrics_of_demonstrations, metrics_of_fine_tuning
from demograd.study.language_model.observing import (
    ObservedSet,
    Progress,
    can_align,
    is_finite,
    needs_alignment,
    observe_setting,
)
from demograd.study.language_model.prompts import Prepared, other_trainings
from demograd.study.language_model.spec import Study
from demograd.study.language_model.turns import sets_at_once
from demograd.study.store.folder import CellRecord
from demograd.tasks import TrainingSequence
from demograd.words import Setting


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

        steps = sum(method.n_steps(len(job.sequences)) for job in jobs.values())
        with fine_tuned_together(
            model,
            [*jobs.values()],
            stops=stops,
            record_training_queries=wants_queries,
            on_step=progress(f"FT, {len(jobs)} fine-tuning{'s' * (len(jobs) > 1)}", steps),
        ) as trained:
            for note in dict.fromkeys(note for tuned in trained for note in (*tuned.notes, *tuned.method_notes)):
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


def _trainings(study: Study, prepared: Prepared) -> dict[str, list[TrainingSequence]]:
    """Setting → training sequences: FT, its controls, and its other orders."""
    others = other_trainings(study, prepared)
    return prepared.training | {f"{_ANOTHER_ORDER} {number}": sequences for number, sequences in enumerate(others)}


def _turns(
    study: Study, model: Model, method: Method, trainings: Mapping[int, Mapping[str, object]]
) -> Iterator[tuple[int, ...]]:
    """The places of sets whose tuned weights are held at once."""
    places, most = tuple(trainings), max(map(len, trainings.values()))
    at_once = sets_at_once(study, model.anatomy, method, most, len(places))
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
    attention_queries = study.attention_queries if place == 0 else 0  # with the first demonstration set

    def keep(setting: str, step: int | None, tuned: TunedModel, ft: Observation) -> None:
        scores = scores_of(metrics_of_fine_tuning(study), own.zsl, own.icl, ft, own.prepared.seed)
        if needs_alignment(study, tuned):
            scores |= in_one_frame(study, own.prepared, tuned, aligned, own.icl, scores)
        if study.matching:
            scores |= against_all_sets(matched_metrics(study), observed, ft)
        scores["label_log_probs"] = ft.label_log_probs
        if setting == Setting.FT and step is None:
            scores |= of_these_demonstrations(study, own.prepared, tuned, own.zsl, own.icl, ft)
            if "order_sensitivity" in study.measures:
                spread.add(ft)
            if attention_queries:
                scores[ATTENTION] = attention_codes(study, ft)
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
        attended = attention_queries if setting == Setting.FT else 0
        status, notes = _observe_tuned(
            study, own, fine_tuning, None, setting, progress, partial(keep, setting, None), attended
        )
        is_ok = status == "ok"
        settings[setting] = {
            "status": status,
            "losses": fine_tuning.losses.tolist() if is_ok else [],
            "gradient_norms": fine_tuning.gradient_norms.tolist() if is_ok else [],
            "notes": [*fine_tuning.method_notes, *notes],
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
    attention_queries: int = 0,
) -> tuple[str, list[str]]:
    """Observe after a step (None: the last), with the attention of the first queries, and let `keep` take what it
    needs; `ok`, or how it diverged, and notes."""
    prompts = own.prepared.zsl
    try:
        with fine_tuning.loaded(step) as tuned:
            title = title if step is None else f"{title} after {step} steps"
            done = progress(title, len(prompts.queries))
            ft = observe_setting(study, "FT", tuned, prompts, done, attention_queries)
            if not is_finite(ft):
                raise Diverged(len(tuned.losses), "what the tuned model computes")
            keep(tuned, ft)
    except Diverged as diverged:
        return str(diverged), []
    return "ok", list(ft.notes)
