"""Files that are there whole or not at all, and that know whether they are what was written."""

from typing import TYPE_CHECKING

from demograd.lazy import make_lazy

if TYPE_CHECKING:
    from demograd.files.abilities import lock_where_possible, missing_abilities
    from demograd.files.place import (
        Place,
        check_holds,
        check_writable,
        local_copy,
        make_folder,
        move,
        place,
        remove,
        run_folder,
    )
    from demograd.files.seal import WITHOUT_SEAL, Damaged, check_seal, write_sealed
    from demograd.files.sealed import (
        read_json,
        read_table,
        read_yaml,
        sealed_tensors,
        write_json,
        write_table,
        write_tensors,
        write_yaml,
    )
    from demograd.files.whole import NoRoom, unfinished_files, written_whole

__all__ = [
    "WITHOUT_SEAL",
    "Damaged",
    "NoRoom",
    "Place",
    "check_holds",
    "check_seal",
    "check_writable",
    "local_copy",
    "lock_where_possible",
    "make_folder",
    "missing_abilities",
    "move",
    "place",
    "read_json",
    "read_table",
    "read_yaml",
    "remove",
    "run_folder",
    "sealed_tensors",
    "unfinished_files",
    "write_json",
    "write_sealed",
    "write_table",
    "write_tensors",
    "write_yaml",
    "written_whole",
]

make_lazy(__name__)
