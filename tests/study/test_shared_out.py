"""How units are shared out among workers."""

from dataclasses import dataclass
from itertools import chain
from typing import ClassVar

from demograd.study.store.folder import RunFolder
from demograd.study.unit import Unit, shared_out
from demograd.study.workers.progress import JobWatch


@dataclass(frozen=True)
class Short(Unit):
    """A unit of a group that needs others of it, or none."""

    kind: ClassVar[str] = "short"
    key: str
    group: str
    required: tuple[Unit, ...] = ()

    @property
    def batch(self) -> str:
        return self.group

    @property
    def needs(self) -> tuple[Unit, ...]:
        return self.required

    def compute(self, folder: RunFolder, watch: JobWatch) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class Needed(Short):
    kind: ClassVar[str] = "needed"


@dataclass(frozen=True)
class Long(Short):
    kind: ClassVar[str] = "long"
    is_long: ClassVar[bool] = True


def group(name: str) -> list[Unit]:
    """Two units that the rest needs, two short and two long ones."""
    needed = (Needed(f"{name} needed 1", name), Needed(f"{name} needed 2", name))
    short = (Short(f"{name} short 1", name, needed), Short(f"{name} short 2", name, needed))
    return [*needed, *short, Long(f"{name} long 1", name, needed), Long(f"{name} long 22", name, needed)]


def keys(units: list[Unit], workers: int) -> list[list[str]]:
    """The jobs, where a longer name is more work of a long unit."""
    jobs = shared_out(units, workers, lambda unit: len(unit.key) if unit.is_long else 0)
    return [[unit.key for unit in job] for job in jobs]


def test_a_worker_does_a_batch_where_there_are_enough_for_all() -> None:
    units = [*group("a"), *group("b"), *group("c"), *group("d")]
    for workers in (1, 2):
        assert [{unit.batch for unit in job} for job in shared_out(units, workers, lambda unit: 0)] == [
            {"a"},
            {"b"},
            {"c"},
            {"d"},
        ]


def test_few_batches_are_shared_out_what_others_need_first_and_then_the_most_work() -> None:
    units = [*group("a"), *group("b")]
    assert keys(units, 2) == [
        ["a needed 1", "a needed 2"],
        ["b needed 1", "b needed 2"],
        ["a long 22"],
        ["b long 22"],
        ["a long 1"],
        ["b long 1"],
        ["a short 1", "a short 2"],
        ["b short 1", "b short 2"],
    ]
    assert sorted(chain(*keys(units, 2))) == sorted(unit.key for unit in units), "each unit once"


def test_one_process_computes_in_the_order_of_the_study() -> None:
    units = [*group("a"), *group("b")]
    assert [*chain(*keys(units, 1))] == [unit.key for unit in units]
