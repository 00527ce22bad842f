"""The token ids of every demonstration set: made and checked once before a run, and again when a world is run.

All of them at once would not fit into memory in a large study, so what is kept is how long they are, and fingerprints.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from demograd.learn import Method
from demograd.study.language_model.grid import World, demonstrations_label, worlds
from demograd.study.language_model.keys import token_fingerprints
from demograd.study.language_model.prompts import Prepared, Reader, other_trainings, prepare, reader_of
from demograd.study.language_model.sizes import Sizes, sizes_of
from demograd.study.language_model.spec import Study
from demograd.tasks import Task
from demograd.tasks.tokenizer import Tokenizer

_Key = tuple[object, ...]
"""How text is read, task, labels, k and seed."""


@dataclass(frozen=True)
class DemonstrationSet:
    """What a run remembers of a demonstration set: its token ids would not fit into memory."""

    k_used: int
    """Demonstrations that fit the context window."""
    trained: tuple[int, ...]
    """How many training sequences each fine-tuning of a cell has, FT's first."""
    queries: int
    fingerprints: Mapping[str, str]
    """Setting → fingerprint of its token ids."""
    sizes: Sizes
    keeps_class_counts: bool
    """Whether the control with permuted labels has as many of each class."""

    def work(self, study: Study, method: Method) -> int:
        """Optimizer steps of a cell, one per demonstration, and queries of tuned networks."""
        observations = len(self.trained) + stops_on_the_way(study, method, self.trained[0])
        return sum(map(method.n_steps, self.trained)) + self.queries * observations


def stops_on_the_way(study: Study, method: Method, demonstrations: int) -> int:
    """How many of the steps after which FT is observed come before its last, with a step per demonstration."""
    steps = method.n_steps(1 if getattr(method, "step", "") == "batch" else demonstrations)
    return sum(step < steps for step in study.observe_at)


class DemonstrationSets:
    """All demonstration sets of a study; models whose tokenizers read alike share them."""

    def __init__(self, study: Study, tasks: dict[str, Task], first: Reader) -> None:
        """`first`: the reader of the study's first model. Texts too long for any of its models are left out for all.

        Raises:
            UserError: see `Task.within_window`.
        """
        self.study, self.tasks = study, dict(tasks)
        self.readers = {first.name: first}
        self.task_notes: list[str] = []
        """Sentences for the page: the tasks as these models read them."""
        if any(worlds(study)):
            self._read_tasks()
        self.by_key: dict[_Key, DemonstrationSet] = {}

    def check(self) -> Iterator[str]:
        """Make each once; a sentence where not all demonstrations fit.

        Raises:
            UserError: see `prepare`.
        """
        yield from self.task_notes
        for world in worlds(self.study):
            if (key := self._key(world)) in self.by_key:
                continue
            prepared = self.prepared(world)
            trainings = [*prepared.training.values(), *other_trainings(self.study, prepared)]
            self.by_key[key] = DemonstrationSet(
                prepared.k_used,
                tuple(map(len, trainings)),
                len(prepared.zsl.queries),
                token_fingerprints(prepared),
                sizes_of(prepared),
                prepared.keeps_class_counts,
            )
            if prepared.k_used < world.k:
                window = self._reader(world).context_window
                yield (
                    f"{world.task}, seed {world.seed}: {prepared.k_used} of {world.k} demonstrations fit the context "
                    f"window of {window} tokens{', in every set' * self.study.matching}; the rest is dropped in ICL "
                    "and FT"
                )

    @property
    def notes(self) -> list[str]:
        """Sentences for the page: the tasks, and the demonstrations drawn."""
        return self.task_notes + self._label_notes()

    def _label_notes(self) -> list[str]:
        """Where wrong labels cannot keep the shares of the classes."""
        skewed: dict[tuple[str, int], set[int]] = {}
        for world in worlds(self.study):
            if not self.set_of(world).keeps_class_counts:
                skewed.setdefault((world.task, world.k), set()).add(world.seed)
        return [
            f"Permuted labels on {task}, k {k}: with every label wrong, the classes cannot have as many demonstrations "
            f"as before, one having more than half (seeds {', '.join(map(str, sorted(seeds)))}): "
            "they have as nearly as many as can be. `balanced: true` draws as many of each class."
            for (task, k), seeds in skewed.items()
        ]

    def set_of(self, world: World) -> DemonstrationSet:
        """The demonstration set that a world shows and is trained on."""
        return self.by_key[self._key(world)]

    def sizes(self, world: World) -> Sizes:
        """How long its prompts and training sequences are."""
        return self.set_of(world).sizes

    def prepared(self, world: World) -> Prepared:
        """Its token ids."""
        return prepare(self.study, self.tasks, self._reader(world), world)

    def tokenizer(self, world: World) -> Tokenizer:
        """The one that makes them."""
        return self._reader(world).tokenizer

    @property
    def fingerprints(self) -> dict[str, Mapping[str, str]]:
        """`demonstrations_label` → setting → fingerprint of its token ids."""
        return {demonstrations_label(world): self.set_of(world).fingerprints for world in worlds(self.study)}

    def _read_tasks(self) -> None:
        names = self.study.models if isinstance(self.study.model, list) else self.study.models[:1]
        readers = list({reader.reading: reader for reader in map(self._reader_of, names)}.values())
        for name, task in self.tasks.items():
            for reader in readers:
                if reader.context_window is not None:
                    task = task.within_window(reader.tokenizer, reader.context_window, separator=self.study.separator)
                for labels in self.study.labels:
                    labelled = task.with_labels(labels, self.study.label_seed)
                    self.task_notes += labelled.label_word_notes(reader.tokenizer)
                    self.task_notes += [note for note in labelled.notes if note not in task.notes]
            self.task_notes += [note for note in task.notes if note not in self.tasks[name].notes]
            self.tasks[name] = task
        self.task_notes = list(dict.fromkeys(self.task_notes))

    def _key(self, world: World) -> _Key:
        return (self._reader(world).reading, world.task, world.labels, world.k, world.seed)

    def _reader(self, world: World) -> Reader:
        """Checkpoints of one model read alike; other models may."""
        return self._reader_of(world.model if isinstance(self.study.model, list) else self.study.models[0])

    def _reader_of(self, name: str) -> Reader:
        if name not in self.readers:
            new = reader_of(self.study, name)
            self.readers[name] = next(
                (reader for reader in self.readers.values() if reader.reading == new.reading), new
            )
        return self.readers[name]
