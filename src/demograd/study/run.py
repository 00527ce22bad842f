"""Run a study: ZSL and ICL observed once and shared by all methods and rates, finished cells kept at once."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from demograd.errors import UserError
from demograd.models import Model, Weights, load_model
from demograd.observe import Observation
from demograd.observe.fit import way_to_observe
from demograd.observe.observe import check_place
from demograd.study.cells import Cell, cell_key, cells, observation_key, study_key
from demograd.study.folder import RunFolder
from demograd.study.learning_rates import resolved
from demograd.study.measure import measure, observe_untuned
from demograd.study.prepare import Prepared, load_tasks, prepare
from demograd.study.provenance import inputs_changed, model_facts, provenance
from demograd.study.results import collect
from demograd.study.schema import Study
from demograd.study.validity import check_validity
from demograd.study.watch import Silent, Watch
from demograd.tasks import Task


@dataclass(frozen=True)
class Run:
    """A finished run."""

    folder: RunFolder
    study: Study


def run_study(study: Study, out: Path | None = None, watch: Watch | None = None) -> Run:
    """Run every cell that the folder does not have yet, then write the results table.

    Everything that can be wrong with the study is found before the folder is made.

    Raises:
        UserError: something in the study cannot work.
    """
    watch = watch or Silent()
    started = time.perf_counter()
    tasks = load_tasks(study)
    models = _Models(study)
    prepared = _prepare_all(study, tasks, models.get("trained", 0), watch)
    study, rate_sources = resolved(study)
    _check_methods(study, models.get("trained", 0))
    folder = RunFolder(out or Path("runs") / f"{study.name}-{study_key(study)}")
    is_new = folder.create(study)
    try:
        _run_cells(study, folder, models, tasks, prepared, watch)
    except UserError:
        if is_new and not folder.has_any_cell():  # nothing half-written for what could not work
            shutil.rmtree(folder.path)
        raise
    folder.write_json("provenance.json", provenance(
        study, tasks, models.get("trained", 0), models.facts, rate_sources, before=folder.read_json("provenance.json"),
        seconds=time.perf_counter() - started,
    ))  # fmt: skip
    collect(study, folder)
    check_validity(study, folder)
    return Run(folder, study)


def _run_cells(
    study: Study,
    folder: RunFolder,
    models: "_Models",
    tasks: dict[str, Task],
    prepared: dict[tuple[str, int], Prepared],
    watch: Watch,
) -> None:
    inputs_changed(folder, tasks, models.get("trained", 0), list(prepared.values()))
    todo = [cell for cell in cells(study) if not _is_finished(study, folder, cell)]
    watch.start(sum(_work(prepared[cell.task, cell.seed]) for cell in todo))
    if len(todo) < (total := sum(1 for _ in cells(study))):
        watch.say(f"{total - len(todo)} of {total} cells are already in {folder.path}")
    for (weights, initialisation), of_model in groupby(todo, key=lambda cell: (cell.weights, cell.initialisation)):
        model = models.get(weights, initialisation)
        for cell in of_model:
            _run_cell(study, folder, model, prepared[cell.task, cell.seed], cell, watch)


def _is_finished(study: Study, folder: RunFolder, cell: Cell) -> bool:
    """Whether the cell and the observations that it was scored against are there, and can be read."""
    observations = [observation_key(study, cell, setting) for setting in ("ZSL", "ICL")]
    return folder.has_cell(cell_key(study, cell)) and all(map(folder.has_observation, observations))


class _Models:
    """Loads each state of the weights when it is needed, and holds one besides the trained one."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.known: dict[str, Model] = {}
        self.facts: dict[str, dict[str, str]] = {}
        """Of every state that was loaded, for the provenance."""

    def get(self, weights: Weights, initialisation: int) -> Model:
        kept = self.known.get(weights)
        if kept is None or kept.seed != initialisation:
            # before loading, so that two untrained ones are never in memory
            self.known = {name: model for name, model in self.known.items() if name == "trained"}
            self.known[weights] = load_model(
                self.study.model, weights=weights, seed=initialisation,
                device=self.study.device, dtype=self.study.dtype,
            )  # fmt: skip
            label = weights if weights == "trained" else f"{weights}, seed {initialisation}"
            self.facts[label] = model_facts(self.known[weights])
        return self.known[weights]


def _check_methods(study: Study, model: Model) -> None:
    """That the model can be observed, and every method made, while nothing is written yet."""
    if way_to_observe(model) == "unpacked" and study.align_positions:
        raise UserError(f"align_positions with {model.name}", "a model that can be told positions", "Leave it off")
    check_place(model, study.place)
    for cell in cells(study):
        study.method(cell.method, cell.learning_rate).check(model.anatomy)


def _prepare_all(study: Study, tasks: dict[str, Task], model: Model, watch: Watch) -> dict[tuple[str, int], Prepared]:
    prepared = {}
    for name, task in tasks.items():
        for seed in study.seeds:
            one = prepared[name, seed] = prepare(study, task, model, seed)
            if one.k_used < study.k:
                watch.say(f"{name}, seed {seed}: {one.k_used} of {study.k} demonstrations fit the context window of "
                          f"{model.context_window} tokens; the rest is dropped in ICL and FT")  # fmt: skip
    return prepared


def _work(prepared: Prepared) -> int:
    return sum(len(sequences) + len(prepared.zsl.queries) for sequences in prepared.training.values())


def _run_cell(study: Study, folder: RunFolder, model: Model, prepared: Prepared, cell: Cell, watch: Watch) -> None:
    def observed(setting: str) -> Observation:
        prompts = prepared.icl if setting == "ICL" else prepared.zsl

        def new() -> Observation:
            watch.begin(str(cell), setting, len(prompts.queries))
            return observe_untuned(study, model, prompts, watch.done)

        return folder.observation(observation_key(study, cell, setting), new)

    def progress(setting: str, total: int) -> Callable[[int], None]:
        watch.begin(str(cell), setting, total)
        return watch.done

    method = study.method(cell.method, cell.learning_rate)
    record = measure(study, model, prepared, method, observed("ZSL"), observed("ICL"), progress)
    folder.save_cell(cell_key(study, cell), record)
    for setting, facts in record.facts["settings"].items():
        if facts["status"] != "ok":
            watch.say(f"{cell}, {setting}: {facts['status']}")
