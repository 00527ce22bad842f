"""How long a study's kinds of work take at this machine's pace, part by part."""

from collections.abc import Mapping
from dataclasses import dataclass

from demograd.models.load import DTYPES
from demograd.study.language_model.networks import THRESHOLDS
from demograd.study.language_model.spec import Study
from demograd.study.plan.blueprint import Blueprint
from demograd.study.plan.flops import observing, training
from demograd.study.plan.work import WorldWork

PASSES = ("observing", "fine-tuning", "observing tuned networks")
"""The parts of a world's time that follow from its operations."""
READING = 2e9
"""Bytes of weights a second, read from a file, converted and hashed; or gone through in memory."""
FLOAT32 = 4
"""Bytes: what single weights are compared in."""


@dataclass(frozen=True)
class Pace:
    """Seconds per operation of one model, by kind of work, and per query where scores are computed."""

    observing: Mapping[str, float]
    """Setting → seconds: ZSL, ICL; `FT`, and a method's name where it is observed otherwise than ZSL."""
    tuning: Mapping[str, float]
    """Method → seconds, trained on as many demonstration sets at a time as in a run."""
    scoring: float = 0.0
    """Seconds a query that all scores of FT against ICL on its own demonstration set take."""
    matching: float = 0.0
    """Seconds a query that the scores of FT against ICL on one more set take."""
    drawing: float = 0.0
    """Seconds that drawing random weights for the whole network takes."""

    def parts(self, study: Study, blueprint: Blueprint, work: WorldWork) -> dict[str, float]:
        """Seconds that one world takes, by kind of work."""
        untuned = 0.0
        for observation in work.observations:
            untuned += self.observing[observation.setting] * observing(blueprint, observation.sizes).total
        fine_tuning, tuned = 0.0, 0.0
        scored = int("reordering" in study.measures and bool(work.observations))  # in FT's place
        for tuning in work.tunings:
            method = study.method(tuning.method, tuning.learning_rate)
            trained = sum(training(blueprint, sequences, method).total for sequences in tuning.trained)
            fine_tuning += tuning.rates * self.tuning[tuning.method] * trained
            after = self.observing.get(tuning.method, self.observing["FT"])
            tuned += tuning.observations * after * observing(blueprint, tuning.after).total
            scored += tuning.scored
        per_query = self.scoring + self.matching * work.sets * study.matching
        return {
            **dict(zip(PASSES, (untuned, fine_tuning, tuned), strict=True)),
            "scores": scored * per_query * study.queries_of(work.world.task),
        }


def loading_seconds(study: Study, blueprint: Blueprint) -> float:
    """Until the trained network is there."""
    return blueprint.parameters * DTYPES[study.dtype].itemsize / READING


def measuring_seconds(study: Study, blueprint: Blueprint, measure: str) -> float:
    """Seconds of a network measure: `sparsity`, or `training_time`, for which the last checkpoint is loaded too."""
    if measure == "sparsity":
        entries = sum(parameter.numel() for module in blueprint.anatomy.attentions for parameter in module.parameters())
        return entries * FLOAT32 * (1 + len(THRESHOLDS)) / READING
    return loading_seconds(study, blueprint) + 2 * blueprint.parameters * FLOAT32 / READING


def duration_in_words(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    minutes = seconds / 60
    if minutes < 100:
        return f"{minutes:.0f} minutes"
    return f"{minutes / 60:.1f} hours" if minutes < 60 * 48 else f"{minutes / 60 / 24:.1f} days"
