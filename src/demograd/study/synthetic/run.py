"""Run a synthetic study: tune the references, train the networks, compare."""

import time
from collections.abc import Iterator
from dataclasses import asdict

import torch

from demograd.errors import UserError
from demograd.files import Place, check_writable
from demograd.models.placement import check_device
from demograd.study.engine import Workers, run_jobs
from demograd.study.engine.main_module import refuse_in_import
from demograd.study.provenance import machine_facts
from demograd.study.run import Run, run_study
from demograd.study.store.computing import Computing
from demograd.study.store.failures import failed_keys, failures, forget
from demograd.study.store.folder import CellRecord, RunFolder
from demograd.study.store.keys import settings_key
from demograd.study.store.mended import mended
from demograd.study.store.opened import opened
from demograd.study.synthetic.collect import collect
from demograd.study.synthetic.notes import notes
from demograd.study.synthetic.references import Tuned, Wanted, checked, references_of, tune, tuned
from demograd.study.synthetic.schema import BESIDE, SyntheticStudy
from demograd.study.synthetic.trained import cells, keys, load_trained
from demograd.study.synthetic.training_job import training_jobs
from demograd.study.watch import Silent, Watch
from demograd.study.working_folder import working_folder
from demograd.synthetic import HeldOut, LinearSystem, NotConverged, World

TUNING = "to convergence, starts chosen on other problems"
"""How references are tuned: a folder's that were tuned otherwise are tuned anew."""


def run_synthetic(
    study: SyntheticStudy,
    out: Place | None = None,
    watch: Watch | None = None,
    *,
    workers: Workers | None = None,
    retry_failed: bool = False,
) -> Run:
    """Train every network that the folder does not have yet, then write the results table.

    A language model beside runs first: what can be wrong with it is known before hours of training, not after. A
    training that fails is kept as failed (`Run.failed`), and the others go on.

    Args:
        study: what to run.
        out: the run folder; None: `runs/`, and the study's name.
        watch: told how far the run is.
        workers: who trains; None: this process. References are tuned, and everything is compared, in this process.
        retry_failed: try again what failed before.

    Raises:
        UserError: something in the study cannot work.
    """
    refuse_in_import()
    if out is not None:
        check_writable(out)
    watch, workers, started = watch or Silent(), workers or Workers(), time.perf_counter()
    study = on_one_device(study)
    beside = study.language_model_beside()
    folder = working_folder(study, out, workers)

    def work() -> None:
        if beside is not None:
            watch.say(f"First the language model beside: {beside.model}")
            run_study(beside, folder.path / BESIDE, watch, workers=workers, retry_failed=retry_failed)
        if retry_failed:
            forget(folder, failures(folder, keys(study)))
        forget(folder, filter(folder.has_cell, failed_keys(folder)))
        _train(study, folder, workers, watch)
        references = {world: [*_references(study, world, folder, watch)] for world in study.worlds}
        networks = {cell: load_trained(study, cell, folder) for cell in cells(study)}
        collect(study, folder, references, networks)
        before = folder.read_json("provenance.json") or {}
        folder.write_json(
            "provenance.json",
            {
                **machine_facts(before, study.device, workers.threads_each, time.perf_counter() - started),
                "notes": notes(study, references),
            },
        )

    with opened(folder, study, watch.say):
        mended(folder, work, watch.say)
    return Run(folder, study)


def on_one_device(study: SyntheticStudy) -> SyntheticStudy:
    """The study with its device named: `auto` is the first CUDA device, or the CPU where there is none.

    Raises:
        UserError: this machine has no such device, or it is several.
    """
    device = check_device(study.device)
    if device == "balanced":
        raise UserError(
            "Device 'balanced' is all CUDA devices, and small transformers fit one",
            "auto, cpu, or one device that torch sees",
            "Try --device auto",
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return study.model_copy(update={"device": device})


def _train(study: SyntheticStudy, folder: RunFolder, workers: Workers, watch: Watch) -> None:
    todo = [*training_jobs(study, folder, Computing(study.device, workers.threads_each))]
    total, failed = len(cells(study)), len(failures(folder, keys(study)))
    if len(todo) < total:
        watch.say(f"{total - len(todo)} of {total} networks are already in {folder.path}")
    if failed:
        watch.say(f"{failed} of them failed before, and are not tried again; --retry-failed does")
    watch.start(sum(job.steps for job in todo))
    for _ in run_jobs(todo, workers, watch):
        pass  # all that a training leaves is in the folder


def _references(study: SyntheticStudy, name: str, folder: RunFolder, watch: Watch) -> Iterator[Tuned]:
    """Tuned once, and kept."""
    folder = RunFolder(folder.path, Computing(study.device, torch.get_num_threads()))  # here, whoever trains
    world = study.world(name)
    for wanted in references_of(study):
        key = settings_key(
            f"{name}-{wanted.label}",
            {
                "world": study.worlds[name].model_dump(),
                "reference": wanted.label,
                "context": study.context,
                "sequences": study.tuning_sequences,
                "device": study.device,
                "tuning": TUNING,
            },
        )
        if not folder.has_cell(key):
            watch.say(f"{name}: tuning {wanted.label}")
            folder.save_cell(key, _tuning_record(study, world, wanted))
        record = folder.load_cell(key)
        known = record.facts["held_out"]
        one = tuned(world, wanted, record.tensors, record.facts["status"], known and HeldOut(**known))
        if one.status != "ok":
            watch.say(f"{name}: {one.label}: {one.status}")
        yield one


def _tuning_record(study: SyntheticStudy, world: World | LinearSystem, wanted: Wanted) -> CellRecord:
    """What is kept of a reference; of one that is not as good as it can be, why: it would flatter networks."""
    try:
        tensors = tune(study, world, wanted)
    except NotConverged as error:
        status = f"not tuned to the end: {error}"
        return CellRecord({}, {"reference": wanted.label, "status": status, "held_out": None})
    known = checked(study, world, tuned(world, wanted, tensors))
    return CellRecord(tensors, {"reference": wanted.label, "status": "ok", "held_out": known and asdict(known)})
