"""What turns out damaged only when it is read is set aside too, and measured again in the same run."""

from collections.abc import Callable
from typing import TypeVar

from demograd.files import Damaged
from demograd.study.store.folder import RunFolder
from demograd.study.store.stored import damaged_files

Result = TypeVar("Result")


def mended(folder: RunFolder, work: Callable[[], Result], say: Callable[[str], None]) -> Result:
    """What `work` gives; where it reads a damaged file, all of the folder's are checked, and it works once more.

    Args:
        folder: where it reads and writes, opened.
        work: measures what the folder does not have, so that the second time costs what was damaged.
        say: told which files were set aside.

    Raises:
        Damaged: a file is damaged again.
    """
    try:
        return work()
    except Damaged:
        folder.set_aside(damaged_files(folder.path, large=True), say)
        return work()
