"""Run a study: ZSL and ICL observed once and shared by all methods and rates, finished cells kept at once."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from demograd.errors import UserError
from demograd.files import Place, check_writable
from demograd.models import Model
from demograd.observe.fit import way_to_observe
from demograd.observe.observe import check_place
from demograd.study.cells import cells, demonstrations_label, looks_at_prompts, worlds
from demograd.study.claims import check_claims
from demograd.study.demonstration_sets import DemonstrationSets
from demograd.study.engine import Outcome, Workers, run_jobs
from demograd.study.engine.jobs import all_keys, jobs, what_is_left
from demograd.study.engine.loaded import Network, label, let_go, loaded, network_of
from demograd.study.estimate import estimate
from demograd.study.finished import Run
from demograd.study.learning_rates import resolved
from demograd.study.prepare import load_tasks
from demograd.study.provenance import model_facts, notes_of, provenance
from demograd.study.results import collect
from demograd.study.schema import Study
from demograd.study.store.failures import failures, forget
from demograd.study.store.folder import RunFolder
from demograd.study.store.inputs import Inputs, inputs_of
from demograd.study.store.keys import path_safe, study_key
from demograd.study.store.mended import mended
from demograd.study.store.opened import opened
from demograd.study.validity import check_validity
from demograd.study.watch import Silent, Watch


def run_study(
    study: Study,
    out: Place | None = None,
    watch: Watch | None = None,
    *,
    workers: Workers | None = None,
    retry_failed: bool = False,
) -> Run:
    """Run every cell that the folder does not have yet, then write the results table.

    Everything that can be wrong with the study is found before the folder is made. What fails on the way is kept as
    failed (`Run.failed`), and the rest goes on.

    Args:
        study: what to run.
        out: the run folder; None: `runs/`, and the study's name.
        watch: told how far the run is.
        workers: who does the work; None: this process.
        retry_failed: try again what failed before.

    Raises:
        UserError: something in the study cannot work.
    """
    if out is not None:
        check_writable(out)
    watch, workers = watch or Silent(), workers or Workers()
    started = time.perf_counter()
    let_go()  # the files of a network that another run left here may have changed since
    study, tasks = load_tasks(study, watch.say)
    first = _any_of(study, study.models[0])
    study, rate_sources = resolved(study)
    sets = DemonstrationSets(study, tasks, first)
    for sentence in sets.check():
        watch.say(sentence)
    _check_methods(study, first)
    notes, device = notes_of(study, first), str(first.anatomy.device)
    networks = {label(study, _any_state(study, first.name)): model_facts(first)}
    del first  # other models, and those who work, may need its memory
    inputs = inputs_of(study, sets.fingerprints, partial(_any_of, study))
    folder = RunFolder(out or Path("runs") / f"{path_safe(study.name)}-{study_key(study)}")

    def work() -> None:
        for changed in folder.keep_inputs(inputs):
            watch.say(f"{changed} is not what {folder.path} was begun with: its cells are run anew")
        folder.write_json("demonstrations.json", {
            demonstrations_label(world): sets.of(world).k_used
            for world in worlds(study) if looks_at_prompts(study)
        })  # fmt: skip
        if retry_failed:
            forget(folder, failures(folder, all_keys(study, inputs)))
        for outcome in _run_cells(study, folder, sets, inputs, workers, watch):
            networks.update(outcome.networks)
            notes.extend(outcome.notes)
        folder.write_json("provenance.json", provenance(
            tasks, device, networks, rate_sources, notes, before=folder.read_json("provenance.json"),
            seconds=time.perf_counter() - started,
        ))  # fmt: skip
        collect(study, folder)
        check_validity(study, folder)
        check_claims(study, folder)

    with opened(folder, study, watch.say):
        mended(folder, work, watch.say)
    return Run(folder, study)


def _run_cells(
    study: Study, folder: RunFolder, sets: DemonstrationSets, inputs: Inputs, workers: Workers, watch: Watch
) -> Iterator[Outcome]:
    """Whatever is not in the folder yet."""
    left = what_is_left(study, folder, inputs)
    todo, total = [cell for here in left.values() for cell in here], sum(1 for _ in cells(study))
    failed = len(failures(folder, all_keys(study, inputs)))
    if len(todo) < total:
        watch.say(f"{total - len(todo)} of {total} cells are already in {folder.path}")
    if failed:
        watch.say(f"{failed} of them failed before, and are not tried again; --retry-failed does")
    if todo and not workers.are_elsewhere:
        try:
            watch.say(estimate(study, loaded(study, network_of(todo[0].world)), todo, sets.prepared))
        except Exception as error:  # whatever it is, the cell that meets it again will be kept as failed
            if isinstance(error, UserError):
                raise
            watch.say(f"How long it takes cannot be told ({type(error).__name__}: {error})")
    watch.start(sum(sets.of(cell.world).work for cell in todo))
    yield from run_jobs(jobs(study, folder, inputs, left, sets.prepared), workers, watch)


def _any_of(study: Study, name: str) -> Model:
    """A model in some state of the study's: what prompts and fingerprints need is the same in all."""
    return loaded(study, _any_state(study, name))


def _any_state(study: Study, name: str) -> Network:
    return name, "trained" if "trained" in study.weights else study.weights[0], 0


def _check_methods(study: Study, model: Model) -> None:
    """That the model can be observed, and every method made, while nothing is written yet."""
    if way_to_observe(model) == "unpacked" and study.align_positions:
        raise UserError(f"align_positions with {model.name}", "a model that can be told positions", "Leave it off")
    check_place(model, study.place)
    for cell in cells(study):
        study.method(cell.method, cell.learning_rate).check(model.anatomy)
