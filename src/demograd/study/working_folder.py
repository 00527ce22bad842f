"""Where a run keeps what it makes, whatever kind of study it is of."""

from pathlib import Path

from demograd.files import Place
from demograd.study.engine import Workers
from demograd.study.engine.on_ray import check_reachable
from demograd.study.schema import Study
from demograd.study.store.computing import Computing
from demograd.study.store.folder import RunFolder
from demograd.study.store.keys import path_safe, study_key
from demograd.study.synthetic.schema import SyntheticStudy


def working_folder(study: Study | SyntheticStudy, out: Place | None, workers: Workers) -> RunFolder:
    """The folder of a run; what the nodes of a cluster compute on is not known here: they ask the cache themselves.

    Raises:
        UserError: the run is new and its Ray cluster does not answer, which is found before the folder is made.
    """
    computing = None if workers.executor == "ray" else Computing(study.device, workers.threads_each)
    folder = RunFolder(out or Path("runs") / f"{path_safe(study.name)}-{study_key(study)}", computing)
    if workers.executor == "ray" and not folder.path.exists():  # one that is there may be finished, and need no cluster
        check_reachable(workers.address)
    return folder
