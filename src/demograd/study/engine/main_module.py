"""A worker process first imports the script that started the run: `multiprocessing` does so, for what it may define.

A script that starts a run while it is imported would start it once more.
"""

from multiprocessing import current_process

from demograd.errors import UserError

_SCRIPT = 'a script that starts its run below `if __name__ == "__main__":`'
_DO = "Put the run below that line, or run it in one process"


def refuse_in_import() -> None:
    """
    Raises:
        UserError: this process is a worker that is only just importing the script.
    """
    # set by multiprocessing for just so long; a user's own worker may well start a run later
    if getattr(current_process(), "_inheriting", False):
        raise UserError("A worker process imports the script, and that starts a run once more", _SCRIPT, _DO)


def no_worker_began() -> UserError:
    """Every worker process ended with an error before it took any work."""
    return UserError(
        "Worker processes ended while they imported the script that started the run (why is above)", _SCRIPT, _DO
    )
