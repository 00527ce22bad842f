"""What a reader must know of how the files of a run folder were made, such as that memory ran out."""

from collections.abc import Iterator

from demograd.study.cells import cells_by_world, looks_at_prompts
from demograd.study.schema import Study
from demograd.study.store.folder import RunFolder
from demograd.study.store.inputs import Inputs
from demograd.study.store.keys import cell_key, observation_key


def kept_notes(study: Study, folder: RunFolder, inputs: Inputs) -> list[str]:
    """Of all that is finished, whichever run or worker made it, each note once; in the order of the grid."""
    return list(dict.fromkeys(_notes(study, folder, inputs)))


def _notes(study: Study, folder: RunFolder, inputs: Inputs) -> Iterator[str]:
    seen = set[str]()
    for world, here in cells_by_world(study).items() if looks_at_prompts(study) else ():
        for key in (observation_key(study, world, setting, inputs) for setting in ("ZSL", "ICL")):
            if key not in seen and folder.has_observation(key):
                yield from folder.load_observation(key, extras=False).notes
            seen.add(key)
        for key in (cell_key(study, cell, inputs) for cell in here):
            if folder.has_cell(key):
                for facts in folder.load_cell(key).facts["settings"].values():
                    yield from facts["notes"]
