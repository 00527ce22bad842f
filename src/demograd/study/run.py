"""Run a study: ZSL and ICL observed once and shared by all methods and rates, finished cells kept at once."""

import time

from demograd.errors import UserError
from demograd.files import Place, check_writable
from demograd.models import Model
from demograd.observe.fit import Fit, random_prompts, way_at_length
from demograd.observe.observe import check_place
from demograd.study.cells import cells, demonstrations_label, looks_at_prompts, worlds
from demograd.study.claims import check_claims
from demograd.study.demonstration_sets import DemonstrationSets
from demograd.study.engine import Workers, run_jobs
from demograd.study.engine.jobs import all_keys, forget_finished, given_up, jobs, what_is_left
from demograd.study.engine.loaded import Network, label, let_go, loaded, network_of
from demograd.study.engine.main_module import refuse_in_import
from demograd.study.estimate import estimate
from demograd.study.finished import Run
from demograd.study.kept_notes import kept_notes
from demograd.study.learning_rates import resolved
from demograd.study.load_tasks import load_tasks
from demograd.study.prepare import Reader
from demograd.study.provenance import model_facts, model_notes, notes_of, provenance
from demograd.study.results import collect
from demograd.study.schema import Study
from demograd.study.store.computing import Computing
from demograd.study.store.failures import failures, forget
from demograd.study.store.folder import RunFolder
from demograd.study.store.inputs import Inputs, inputs_of
from demograd.study.store.mended import mended
from demograd.study.store.opened import opened
from demograd.study.validity import check_validity, gates_in_words
from demograd.study.watch import Silent, Watch
from demograd.study.working_folder import working_folder
from demograd.words import Weights


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
    refuse_in_import()
    if out is not None:
        check_writable(out)
    watch, workers = watch or Silent(), workers or Workers()
    started = time.perf_counter()
    let_go()  # the files of a network that another run left here may have changed since
    study, tasks = load_tasks(study, watch.say)
    first = _any_of(study, study.models[0])
    study, rate_sources = resolved(study)
    sets = DemonstrationSets(study, tasks, Reader(first.name, first.tokenizer, first.context_window))
    for sentence in sets.check():
        watch.say(sentence)
    _check_methods(study, first, sets)
    can_align = _way_of(study, first, sets) == "packed"
    notes, device = [*notes_of(study, first, can_align=can_align), *sets.notes], str(first.anatomy.device)
    del first  # other models, and those who work, may need its memory
    facts: dict[str, dict[str, str]] = {}

    def load(name: str) -> Model:
        model = _any_of(study, name)
        _way_of(study, model, sets)
        facts[name] = model_facts(model)
        notes.extend(model_notes(study, model))  # the provenance says each once
        return model

    inputs = inputs_of(study, sets.fingerprints, load)
    folder = working_folder(study, out, workers)

    def work() -> None:
        for changed in folder.keep_inputs(inputs):
            watch.say(f"{changed} is not what {folder.path} was begun with: its cells are run anew")
        folder.write_json(
            "demonstrations.json",
            {demonstrations_label(world): sets.of(world).k_used for world in worlds(study) if looks_at_prompts(study)},
        )
        if retry_failed:
            forget(folder, failures(folder, all_keys(study, inputs)))
        forget_finished(study, folder, inputs)
        _run_cells(study, folder, sets, inputs, workers, watch)
        collect(study, folder)
        gates = gates_in_words(check_validity(study, folder))
        check_claims(study, folder)
        folder.write_json(
            "provenance.json",
            provenance(
                sets.tasks,
                device,
                workers.threads_each,
                _networks(study, facts, inputs),
                rate_sources,
                notes + kept_notes(study, folder, inputs),
                gates,
                before=folder.read_json("provenance.json"),
                seconds=time.perf_counter() - started,
            ),
        )

    with opened(folder, study, watch.say):
        mended(folder, work, watch.say)
    return Run(folder, study)


def _run_cells(
    study: Study, folder: RunFolder, sets: DemonstrationSets, inputs: Inputs, workers: Workers, watch: Watch
) -> None:
    """Whatever is not in the folder yet."""
    left = what_is_left(study, folder, inputs)
    todo, total = [cell for here in left.values() for cell in here], sum(1 for _ in cells(study))
    failed = given_up(study, folder, inputs)
    if finished := total - len(todo) - failed["cells"]:
        watch.say(f"{finished} of {total} cells are already in {folder.path}")
    if any(failed.values()):
        told = ", ".join(f"{kind}: {number}" for kind, number in failed.items() if number)
        watch.say(f"Failed before, and not tried again ({told}); --retry-failed does")
    if todo and not workers.are_elsewhere:
        try:
            watch.say(estimate(study, loaded(study, network_of(todo[0].world)), left, sets))
        except Exception as error:  # whatever it is, the cell that meets it again will be kept as failed
            if isinstance(error, UserError):
                raise
            watch.say(f"How long it takes cannot be told ({type(error).__name__}: {error})")
    watch.start(sum(sets.of(cell.world).work for cell in todo))
    computing = Computing(study.device, workers.threads_each)
    for _ in run_jobs(jobs(study, folder, computing, inputs, left, sets.prepared), workers, watch):
        pass  # all that a job leaves is in the folder


def _networks(study: Study, facts: dict[str, dict[str, str]], inputs: Inputs) -> dict[str, dict[str, str]]:
    """Every network of the study by its label, also those whose cells were there and which nobody loaded: the facts of
    its pretrained network, and what draws untrained weights."""
    drawn = {"drawn_by": inputs.initialisation}
    networks = dict.fromkeys(map(network_of, worlds(study)))
    return {label(study, one): facts[one[0]] | (drawn if one[1] != "trained" else {}) for one in networks}


def _any_of(study: Study, name: str) -> Model:
    """A model in some state of the study's: what prompts and fingerprints need is the same in all."""
    return loaded(study, _any_state(study, name))


def _any_state(study: Study, name: str) -> Network:
    return name, Weights.TRAINED if Weights.TRAINED in study.weights else study.weights[0], 0


def _way_of(study: Study, model: Model, sets: DemonstrationSets) -> Fit:
    """How the model is observed, tried at the length of the longest prompts."""
    sizes = [one.sizes for one in sets.known.values()]
    longest = max((one.context + one.longest for of_set in sizes for one in (of_set.zsl, *of_set.icl)), default=0)
    return way_at_length(model, random_prompts(model, context=max(12, longest - 7), lengths=(7,)))


def _check_methods(study: Study, model: Model, sets: DemonstrationSets) -> None:
    """That the model can be observed, and every method made, while nothing is written yet."""
    if _way_of(study, model, sets) == "unpacked" and study.align_positions:
        raise UserError(f"align_positions with {model.name}", "a model that can be told positions", "Leave it off")
    check_place(model, study.place)
    for cell in cells(study):
        study.method(cell.method, cell.learning_rate).check(model.anatomy)
