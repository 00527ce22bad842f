"""The job that most of a study is made of: one world, with all its cells."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial

from demograd.models import Model
from demograd.observe import Observation
from demograd.study.cells import Cell, World
from demograd.study.engine.loaded import loaded, network_of
from demograd.study.measure import Progress, measure, measure_orders, observe_aligned, observe_untuned
from demograd.study.prepare import Prepared
from demograd.study.schema import Study
from demograd.study.store.failures import attempt, failed_keys, keep_failure
from demograd.study.store.folder import RunFolder
from demograd.study.store.inputs import Inputs
from demograd.study.store.keys import observation_key, untuned_key, world_key
from demograd.study.watch import JobWatch


@dataclass(frozen=True)
class UntunedKeys:
    """Where what all cells of a world need is kept."""

    world: str
    """Of its failure."""
    zsl: str
    icl: str
    orders: str | None
    """Of ICL under other orders; None: the study does not look at them."""

    def are_kept(self, folder: RunFolder) -> bool:
        """Whether all of it is there."""
        observed = all(map(folder.has_observation, (self.zsl, self.icl)))
        return observed and (self.orders is None or folder.has_cell(self.orders))


def untuned_keys(study: Study, world: World, inputs: Inputs) -> UntunedKeys:
    """Those of a world."""
    looks_at_orders = {"reordering", "order_sensitivity"} & set(study.measures)
    return UntunedKeys(
        world=world_key(study, world, inputs),
        zsl=observation_key(study, world, "ZSL", inputs),
        icl=observation_key(study, world, "ICL", inputs),
        orders=untuned_key(study, world, "orders", inputs) if looks_at_orders else None,
    )


@dataclass(frozen=True)
class WorldJob:
    """Observe ZSL and ICL of a world, then run its cells."""

    study: Study = field(repr=False)
    folder: RunFolder
    world: World
    fingerprint: str
    """Of the world's pretrained network."""
    untuned: UntunedKeys
    cells: Mapping[Cell, str]
    """Those that are not finished and have not failed, and where they will be kept."""
    prepared: Prepared = field(repr=False)

    def run(self, watch: JobWatch) -> None:
        """Whatever fails is kept as failed, and the next cell goes on."""
        load = partial(loaded, self.study, network_of(self.world), self.fingerprint)
        observe = partial(self._observe, load, watch)
        observed = attempt(self.folder, self.untuned.world, str(self.world), observe, watch)
        if observed is not None:
            aligned_zsl = cache(lambda: observe_aligned(self.study, load(), self.prepared))  # once for all cells
            failed = failed_keys(self.folder)  # where this job was given up in part
            for cell, key in self.cells.items():
                if key not in failed and not self.folder.has_cell(key):  # as it may, where its worker was killed
                    run = partial(self._run_cell, cell, load, *observed, aligned_zsl, watch)
                    attempt(self.folder, key, str(cell), run, watch)

    def give_up(self, why: str, watch: JobWatch) -> bool:
        """The first of its parts that is neither finished nor failed is what was being done."""
        failed = failed_keys(self.folder)
        left = [(key, what) for key, what in self._unfinished() if key not in failed]
        if left:
            keep_failure(self.folder, *left[0], why, "", watch)
        return len(left) > 1 and left[0][0] != self.untuned.world

    def _unfinished(self) -> Iterator[tuple[str, str]]:
        if not self.untuned.are_kept(self.folder):
            yield self.untuned.world, str(self.world)
        yield from ((key, str(cell)) for cell, key in self.cells.items() if not self.folder.has_cell(key))

    def _observe(self, load: Callable[[], Model], watch: JobWatch) -> tuple[Observation, Observation]:
        """ZSL and ICL, read or observed; other orders of ICL are kept."""

        def observed(setting: str, key: str) -> Observation:
            prompts = self.prepared.icl if setting == "ICL" else self.prepared.zsl

            def new() -> Observation:
                model = load()
                watch.begin(str(self.world), setting, len(prompts.queries))
                return observe_untuned(self.study, setting, model, prompts, watch.done)

            return self.folder.observation(key, new, watch.say)

        zsl, icl = observed("ZSL", self.untuned.zsl), observed("ICL", self.untuned.icl)
        key = self.untuned.orders
        if key is not None and not self.folder.has_cell(key):
            progress = _progress(watch, str(self.world))
            self.folder.save_cell(key, measure_orders(self.study, load(), self.prepared, zsl, icl, progress))
        return zsl, icl

    def _run_cell(
        self,
        cell: Cell,
        load: Callable[[], Model],
        zsl: Observation,
        icl: Observation,
        aligned_zsl: Callable[[], Observation],
        watch: JobWatch,
    ) -> None:
        method = self.study.method(cell.method, cell.learning_rate)
        record = measure(self.study, load(), self.prepared, method, zsl, icl, aligned_zsl, _progress(watch, str(cell)))
        self.folder.save_cell(self.cells[cell], record)
        for setting, facts in record.facts["settings"].items():
            if facts["status"] != "ok":
                watch.say(f"{cell}, {setting}: {facts['status']}")


def _progress(watch: JobWatch, what: str) -> Progress:
    def begin(setting: str, total: int) -> Callable[[int], None]:
        watch.begin(what, setting, total)
        return watch.done

    return begin
