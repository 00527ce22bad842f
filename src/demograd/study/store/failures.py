"""Failures of a run, kept beside its cells: the others go on, and a failed unit is tried again on request only."""

import os
import re
import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TypeVar

from demograd.errors import UserError, shortened
from demograd.files import NoRoom
from demograd.study.store.folder import CellRecord, RunFolder

LONGEST = 200
"""Letters of an error that fit a table; more of it is in the failure's file."""
LONGEST_ERROR, LONGEST_TRACE = 2_000, 20_000
"""Letters of what is kept: an error may quote all the data that it was about."""
_SECRET_NAME = re.compile("TOKEN|SECRET|KEY|PASSWORD|CREDENTIAL", re.IGNORECASE)
_SHORTEST_SECRET = 8
"""Characters: a shorter value, such as `true`, is also a word of other texts."""
_USER_IN_URL = re.compile(r"(?<=://)[^/\s@]+:[^/\s@]*@")
HIDDEN = "***"
Result = TypeVar("Result")
Say = Callable[[str], None]
"""Tells the user a sentence."""


@dataclass(frozen=True)
class Failure:
    """Something that could not be measured."""

    key: str
    """Key of the unit that failed."""
    title: str
    """Title of the unit that failed."""
    error: str
    """Type and message."""
    traceback: str
    time: str
    """UTC, ISO 8601."""

    @property
    def status(self) -> str:
        """As the results' column has it: one line."""
        return f"failed: {shortened(' '.join(self.error.split()), LONGEST)}"


def attempt(folder: RunFolder, key: str, title: str, work: Callable[[], Result], say: Say) -> Result | None:
    """Result of `work`; None where it failed, which is kept with its traceback, and said.

    Raises:
        UserError: a setting cannot work, and nothing is finished yet: who gave it can mend it at once; or the disk is
            full.
    """
    try:
        return work()
    except Exception as error:
        if isinstance(error, NoRoom) or (isinstance(error, UserError) and not folder.has_any_cell()):
            raise
        trace = "".join(traceback.format_exception(error))
        keep_failure(folder, key, title, f"{type(error).__name__}: {error}", trace, say)
        return None


def keep_failure(folder: RunFolder, key: str, title: str, error: str, trace: str, say: Say) -> None:
    """Write `failures/<key>.json`, and say so; without secrets, which other libraries' errors may quote."""
    # shortened last: half a secret would not be known as such
    error, trace = shortened(without_secrets(error), LONGEST_ERROR), shortened(without_secrets(trace), LONGEST_TRACE)
    failure = Failure(key, title, error, trace, datetime.now(UTC).isoformat(timespec="seconds"))
    content = asdict(failure)
    folder.write_json(_name(key), {"what": content.pop("title"), **content})
    say(f"{title} {failure.status}")


def failures(folder: RunFolder, keys: Iterable[str]) -> dict[str, Failure]:
    """Key → failure, for those of the keys that failed."""
    failed = failed_keys(folder)
    read = {key: _read(folder, key) for key in keys if key in failed}
    return {key: failure for key, failure in read.items() if failure is not None}


def failed_keys(folder: RunFolder) -> set[str]:
    """Keys of all failures in this folder."""
    return {file.stem for file in (folder.path / "failures").glob("*.json")}


def load_or_failed(folder: RunFolder, key: str, settings: Iterable[str] = (), failure: str | None = None) -> CellRecord:
    """A finished cell; a failed one has no numbers, and the failure as the status of all its settings; `failure`: the
    key that names its failure, where that is not its own."""
    failed = None if folder.has_cell(key) else _read(folder, failure or key)
    if failed is None:
        return folder.load_cell(key)
    why = {"status": failed.status, "losses": [], "gradient_norms": []}
    return CellRecord({}, {"failed": failed.status, "settings": dict.fromkeys(settings, why)})


def forget(folder: RunFolder, keys: Iterable[str]) -> None:
    """Let what failed be tried again."""
    for key in keys:
        (folder.path / _name(key)).unlink(missing_ok=True)


def _read(folder: RunFolder, key: str) -> Failure | None:
    content = folder.read_json(_name(key))
    return None if content is None else Failure(title=content.pop("what"), **content)


def _name(key: str) -> str:
    return f"failures/{key}.json"


def without_secrets(text: str) -> str:
    """The text without the values of variables whose names say that they are secret, and without users and passwords
    in URLs."""
    secrets = {
        value for name, value in os.environ.items() if _SECRET_NAME.search(name) and len(value) >= _SHORTEST_SECRET
    }
    for secret in sorted(secrets, key=len, reverse=True):  # one may begin another
        text = text.replace(secret, HIDDEN)
    return _USER_IN_URL.sub(f"{HIDDEN}@", text)
