"""What a reader must know of how the files of a run folder were made, such as that memory ran out."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from demograd.observe.observation import tied
from demograd.study.cells import cells_by_world, looks_at_prompts
from demograd.study.schema import Study
from demograd.study.store.folder import RunFolder
from demograd.study.store.inputs import Inputs
from demograd.study.store.keys import cell_key, observation_key


def kept_notes(study: Study, folder: RunFolder, inputs: Inputs) -> list[str]:
    """Of all that is finished, whichever run or worker made it, each note once; in the order of the grid."""
    made = [*_made(study, folder, inputs)]
    notes = list(dict.fromkeys(note for one, _, _ in made for note in one))
    computed_on = dict.fromkeys(one for _, one, _ in made if one)
    ties, answers = sum(int(one.sum()) for _, _, one in made), sum(len(one) for _, _, one in made)
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


def _made(study: Study, folder: RunFolder, inputs: Inputs) -> Iterator[tuple[Iterable[str], str, Tensor]]:
    """Of each file, its notes, what computed it, and which of its queries are tied."""
    seen = set[str]()
    for world, here in cells_by_world(study).items() if looks_at_prompts(study) else ():
        for key in (observation_key(study, world, setting, inputs) for setting in ("ZSL", "ICL")):
            if key not in seen and folder.has_observation(key):
                observation = folder.load_observation(key, extras=False)
                yield observation.notes, observation.computed_on, observation.tied
            seen.add(key)
        for key in (cell_key(study, cell, inputs) for cell in here):
            if folder.has_cell(key):
                record = folder.load_cell(key)
                notes = [note for one in record.facts["settings"].values() for note in one["notes"]]
                answers = record.tensors.get("FT/label_log_probs", torch.empty(0, 1))  # none where FT diverged
                yield notes, record.facts.get("computed_on", ""), tied(answers)
