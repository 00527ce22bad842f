"""Observing with a study's options: ZSL, ICL and FT, and queries of ZSL and FT where they stand in ICL."""

from collections.abc import Callable
from dataclasses import dataclass, fields

from torch import Tensor

from demograd.errors import UserError
from demograd.models import Model
from demograd.observe import Observation, observe
from demograd.observe.rotary import has_rotary_keys
from demograd.observe.self_check import way_at_length
from demograd.study.language_model.grid import extras
from demograd.study.language_model.measures import MEASURES, extras_of
from demograd.study.language_model.prompts import Prepared
from demograd.study.language_model.spec import Study
from demograd.tasks import Prompts

Progress = Callable[[str, int], Callable[[int], None]]
"""(setting, how much) → a function that is told how much is done."""


@dataclass(frozen=True)
class ObservedSet:
    """A demonstration set, and what was observed of it before anything was tuned."""

    prepared: Prepared
    zsl: Observation
    icl: Observation
    aligned_zsl: Callable[[], Observation]
    """ZSL with its queries where they stand in ICL, for where `needs_alignment` says so."""


def observe_setting(
    study: Study,
    setting: str,
    model: Model,
    prompts: Prompts,
    on_progress: Callable[[int], None],
    attention_queries: int = 0,
) -> Observation:
    """Observe with this study's options, and record what the last token of so many of the first queries attends to."""
    return observe(
        model,
        prompts,
        extras=extras(study, setting),
        place=study.place,
        attention_queries=attention_queries,
        on_progress=on_progress,
    )


def observe_untuned(
    study: Study,
    setting: str,
    model: Model,
    prompts: Prompts,
    on_progress: Callable[[int], None],
    attention_queries: int = 0,
) -> Observation:
    """Observe ZSL or ICL, as `observe_setting` does.

    Raises:
        UserError: the model overflows on these prompts.
    """
    observation = observe_setting(study, setting, model, prompts, on_progress, attention_queries)
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
