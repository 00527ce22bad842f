"""A study of language models as an experiment: how it is prepared, and what its run folder says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from demograd.errors import UserError
from demograd.models import Model
from demograd.observe.observe import check_place
from demograd.observe.self_check import Fit, random_prompts, way_at_length
from demograd.study.experiment import Experiment
from demograd.study.language_model.claims import check_claims
from demograd.study.language_model.demonstration_sets import DemonstrationSets
from demograd.study.language_model.grid import cells, demonstrations_label, networks, worlds
from demograd.study.language_model.keys import Inputs, inputs_of, keep_inputs, read_inputs
from demograd.study.language_model.load_tasks import load_tasks
from demograd.study.language_model.matching import write_matrices
from demograd.study.language_model.networks import Network, label, let_go, loaded
from demograd.study.language_model.notes import kept_notes, model_notes, notes_of
from demograd.study.language_model.prompts import Reader
from demograd.study.language_model.queries import write_queries
from demograd.study.language_model.spec import Study
from demograd.study.language_model.table import rows_of
from demograd.study.language_model.units import FineTuning, equipped, units_of
from demograd.study.language_model.validity import check_validity, gates_in_words
from demograd.study.spec.learning_rates import resolved
from demograd.study.store.failures import without_secrets
from demograd.study.store.folder import RunFolder
from demograd.study.unit import Unit
from demograd.tasks import Task
from demograd.words import Row, Weights


@dataclass(frozen=True)
class Preparation:
    """Facts gathered before the run: demonstration sets, networks, and sentences about them for the page."""

    sets: DemonstrationSets
    inputs: Inputs
    device: str
    models: Mapping[str, dict[str, str]]
    """Model → facts of its pretrained network."""
    learning_rate_source: Mapping[str, str]
    notes: Sequence[str]


@dataclass(frozen=True)
class LanguageModelExperiment(Experiment):
    """Models × tasks × demonstration sets × methods × learning rates."""

    study: Study
    preparation: Preparation | None = field(default=None, repr=False)
    """None: a folder is only read."""

    @property
    def size(self) -> str:
        """`12 cells`."""
        return f"{sum(1 for _ in cells(self.study))} cells"

    def prepared(self, say: Callable[[str], None]) -> LanguageModelExperiment:
        """Load tasks and models, fill in learning rates, and make all prompts once.

        Raises:
            UserError: something in the study cannot work.
        """
        let_go()  # the files of a network that another run left here may have changed since
        study, tasks = load_tasks(self.study, say)
        first = _any_of(study, study.models[0])
        study, learning_rate_source = resolved(study)
        sets = DemonstrationSets(study, tasks, Reader(first.name, first.tokenizer, first.context_window))
        for sentence in sets.check():
            say(sentence)
        _check_methods(study, first, sets)
        can_align = _way_of(study, first, sets) == "packed"
        notes, device = [*notes_of(study, first, can_align=can_align), *sets.notes], str(first.anatomy.device)
        del first  # the other models need its memory
        facts: dict[str, dict[str, str]] = {}

        def load(name: str) -> Model:
            model = _any_of(study, name)
            _way_of(study, model, sets)
            facts[name] = _model_facts(model)
            notes.extend(model_notes(study, model))
            return model

        inputs = inputs_of(study, sets.fingerprints, load)
        return replace(
            self, study=study, preparation=Preparation(sets, inputs, device, facts, learning_rate_source, notes)
        )

    def free(self) -> None:
        """Free the network with which the study was checked."""
        let_go()

    def begin(self, folder: RunFolder, say: Callable[[str], None]) -> None:
        """Keep the fingerprints of networks and token ids, and how many demonstrations fit."""
        for changed in keep_inputs(folder, self._preparation.inputs):
            say(f"{changed} is not what {folder.path} was begun with: its cells are run anew")
        sets = self._preparation.sets
        k_used = {demonstrations_label(world): sets.set_of(world).k_used for world in worlds(self.study)}
        folder.write_json("demonstrations.json", k_used)

    def units(self, folder: RunFolder) -> list[Unit]:
        """Measures of networks, observations of prompts, and cells."""
        return [*units_of(self.study, read_inputs(folder))]

    def work(self, unit: Unit) -> int:
        """Optimizer steps and queries of a cell; observations are shared, and not counted."""
        if not isinstance(unit, FineTuning):
            return 0
        sets, method = self._preparation.sets, self.study.method(unit.cells[0].method, unit.cells[0].learning_rate)
        return sum(sets.set_of(cell.world).work(self.study, method) for cell in unit.cells)

    def equipped(self, batch: Sequence[Unit]) -> Sequence[Unit]:
        """The units with the token ids of their world."""
        return equipped(batch, self._preparation.sets.prepared)

    def rows(self, folder: RunFolder) -> Iterator[Row]:
        """The rows of the results table."""
        return rows_of(self.study, folder)

    def judge(self, folder: RunFolder) -> None:
        """Write `matching.parquet`, `validity.json`, `claims.json`, and what stands behind them query by query."""
        write_matrices(self.study, folder)
        write_queries(self.study, folder, self._preparation.sets)
        check_validity(self.study, folder)
        check_claims(self.study, folder)

    def device(self) -> str:
        """The device of the first model."""
        return self._preparation.device

    def facts(self, folder: RunFolder) -> dict[str, Any]:
        """Fingerprints of models and tasks, sources of learning rates, notes, and what the learning gates said."""
        preparation = self._preparation
        tasks = preparation.sets.tasks
        notes = [*preparation.notes, *kept_notes(self.units(folder), folder)]
        notes += [note for task in tasks.values() for note in task.notes]
        return {
            "models": self._networks(),
            "tasks": {name: _task_facts(task) for name, task in tasks.items()},
            "learning_rate_source": preparation.learning_rate_source,
            "notes": list(dict.fromkeys(notes)),
            "gates": gates_in_words(folder.read_json("validity.json")),
        }

    def _networks(self) -> dict[str, dict[str, str]]:
        """Every network of the study by its label, also those whose cells were there and which nobody loaded: the facts
        of its pretrained network, and what draws untrained weights."""
        drawn_by = {"drawn_by": self._preparation.inputs.initialisation}
        return {
            label(self.study, network): self._preparation.models[network[0]]
            | (drawn_by if network[1] != "trained" else {})
            for network in networks(self.study)
        }

    @property
    def _preparation(self) -> Preparation:
        assert self.preparation is not None, "only what was prepared is run"
        return self.preparation


def _any_of(study: Study, name: str) -> Model:
    """A model in some state of the study's: what prompts and fingerprints need is the same in all."""
    network: Network = name, Weights.TRAINED if Weights.TRAINED in study.weights else study.weights[0], 0
    return loaded(study, network)


def _way_of(study: Study, model: Model, sets: DemonstrationSets) -> Fit:
    """How the model is observed, tried at the length of the longest prompts."""
    sizes = [demonstration_set.sizes for demonstration_set in sets.by_key.values()]
    longest = max((prompts.context + prompts.longest for size in sizes for prompts in (size.zsl, *size.icl)), default=0)
    return way_at_length(model, random_prompts(model, context=max(12, longest - 7), lengths=(7,)))


def _check_methods(study: Study, model: Model, sets: DemonstrationSets) -> None:
    """That the model can be observed, and every method made, while nothing is written yet."""
    if _way_of(study, model, sets) == "unpacked" and study.align_positions:
        raise UserError(f"align_positions with {model.name}", "a model that can be told positions", "Leave it off")
    check_place(model, study.place)
    for cell in cells(study):
        method = study.method(cell.method, cell.learning_rate)
        method.check(model.anatomy)
        method.check_demonstrations(min(sets.set_of(cell.world).trained))


def _model_facts(model: Model) -> dict[str, str]:
    """Facts of a pretrained network for the provenance, also where the model is an untrained twin of it."""
    return {
        "name": model.name,
        "fingerprint": model.pretrained_fingerprint,
        "source": without_secrets(model.source),
        "initialisation": model.initialisation,
    }


def _task_facts(task: Task) -> dict[str, Any]:
    return {
        "source": without_secrets(task.source),
        "fingerprint": task.fingerprint,
        "template": task.template,
        "label_words": list(task.label_words),
        "answer_prefix": task.answer_prefix,
    }
