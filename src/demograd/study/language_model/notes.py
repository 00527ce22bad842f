"""Sentences for the page of a run of language models: about its models and settings, and how its files were made."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from demograd.models import Model
from demograd.observe.observation import tied
from demograd.study.language_model.observing import needs_alignment
from demograd.study.language_model.spec import Study
from demograd.study.language_model.units import FineTuning, PromptObservations
from demograd.study.store.folder import RunFolder
from demograd.study.unit import Unit
from demograd.tasks import prompt_notes


def model_notes(study: Study, model: Model) -> list[str]:
    """Notes about a model, whichever of its states was loaded."""
    untrained = any(weights != "trained" for weights in study.weights)
    return [*model.notes, *([model.initialisation] if untrained else [])]


def notes_of(study: Study, model: Model, *, can_align: bool) -> list[str]:
    """Notes about the model and the settings; `can_align`: whether its longest prompts can be aligned."""
    notes = [*study.notes, *model_notes(study, model), *prompt_notes(model.tokenizer, study.separator)]
    if study.answer_prefix != " ":
        notes.append(f"Between text and answer stands {study.answer_prefix!r}, not a space.")
    if any(weights != "trained" for weights in study.weights):
        notes.append("One draw of untrained weights serves all demonstration sets, as trained weights do.")
        if study.final_norm_lost:
            notes.append("Untrained networks have no final norm: a defect of the released runs, kept as asked for.")
    if needs_alignment(study, model):
        if can_align:
            notes.append(
                "Implicit update: keys are rotary, so ΔW_FT is taken with the queries of ZSL and FT where "
                "they stand in ICL, observed once more for that. All other scores are of queries where they "
                "stand without demonstrations."
            )
        else:
            notes.append(
                "Implicit update: missing. Keys are rotary, and the queries of ZSL and FT cannot be put where "
                "they stand in ICL, so ΔW_ICL and ΔW_FT would be matrices in frames rotated against each "
                "other. Its validity check is free of that."
            )
    return notes


def kept_notes(units: Iterable[Unit], folder: RunFolder) -> list[str]:
    """Notes about all finished files, whichever run or worker made them, each once, in the order of the grid."""
    files = [*_finished_files(units, folder)]
    notes = list(dict.fromkeys(note for file_notes, _, _ in files for note in file_notes))
    computed_on = dict.fromkeys(computing for _, computing, _ in files if computing)
    ties = sum(int(tied_queries.sum()) for _, _, tied_queries in files)
    answers = sum(len(tied_queries) for _, _, tied_queries in files)
    if ties:
        notes.append(
            f"{ties} of {answers} answers to queries are tied: several label words have exactly the highest score. "
            "Accuracy and macro-F1 count each of m as 1/m right; no order of the classes decides."
        )
    if len(computed_on) > 1:
        notes.append(
            "Cells and observations were computed on several settings, between which numbers differ by "
            f"rounding: {'; '.join(computed_on)}."
        )
    return notes


def _finished_files(units: Iterable[Unit], folder: RunFolder) -> Iterator[tuple[Iterable[str], str, Tensor]]:
    """The notes of each file, what computed it, and which of its queries are tied."""
    done = set[str]()
    for unit in units:
        keys = (unit.zsl_key, unit.icl_key) if isinstance(unit, PromptObservations) else ()
        for key in keys:
            if key not in done and folder.has_observation(key):
                observation = folder.load_observation(key, extras=())
                yield observation.notes, observation.computed_on, observation.tied
            done.add(key)
        for cell_key in filter(folder.has_cell, unit.cell_keys) if isinstance(unit, FineTuning) else ():
            record = folder.load_cell(cell_key)
            notes = [note for facts in record.facts["settings"].values() for note in facts["notes"]]
            answers = record.tensors.get("FT/label_log_probs", torch.empty(0, 1))  # none where FT diverged
            yield notes, record.facts.get("computed_on", ""), tied(answers)
