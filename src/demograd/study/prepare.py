"""Everything that can be wrong is found here, before a run folder exists: tasks, demonstrations, tokens."""

from dataclasses import dataclass

from demograd.errors import UserError
from demograd.models import Model
from demograd.study.schema import Study
from demograd.tasks import Example, Prompts, Task, TrainingSequence, load_task, permute_labels
from demograd.tasks.draws import reorder

CONTROLS = ("FT_other_demonstrations", "FT_permuted_labels")


@dataclass(frozen=True)
class Prepared:
    """The token ids of one task and one demonstration set."""

    k_used: int
    zsl: Prompts
    icl: Prompts
    training: dict[str, list[TrainingSequence]]
    """Per setting: FT, and the two controls."""


def load_tasks(study: Study) -> dict[str, Task]:
    """The study's tasks by name; a file's options apply to files and hub data sets."""
    tasks = {}
    for name in study.tasks:
        tasks[name] = load_task(
            name, template=study.template, label_words=study.label_words, label_column=study.label_column,
            validation_path=study.validation_path,
        )  # fmt: skip
    return tasks


def prepare(study: Study, task: Task, model: Model, seed: int) -> Prepared:
    """Draw demonstrations and queries and turn them into token ids.

    Raises:
        UserError: see `Task.demonstrations`, `Task.queries`, `Task.prompts`.
    """
    queries = task.queries(study.queries, study.query_seed)
    drawn = task.demonstrations(study.k, seed, study.balanced)
    # what fits is found in the first order, so that every order is one of the same demonstrations
    used = reorder(_fitting(study, task, model, queries, drawn), seed, study.permutation)
    others = task.other_demonstrations(study.k, seed, study.balanced)[: len(used)]
    wrong = permute_labels(used, len(task.label_words), seed)

    def prompts(demonstrations: list[Example], query_position: int | None = None) -> Prompts:
        return task.prompts(
            model.tokenizer, queries, demonstrations, separator=study.separator, record_at=study.record_at,
            align_positions_to=query_position, context_window=model.context_window,
        )  # fmt: skip

    icl = prompts(used)
    sets = {"FT": used, "FT_other_demonstrations": others, "FT_permuted_labels": wrong}
    training = {
        setting: task.training_sequences(model.tokenizer, demonstrations, loss_on=study.loss_on)
        for setting, demonstrations in sets.items()
    }
    longest = max(len(sequence.tokens) for sequences in training.values() for sequence in sequences)
    if model.context_window is not None and longest > model.context_window:
        raise UserError(f"A demonstration of {task.name} (seed {seed}) takes {longest} tokens",
                        f"at most {model.context_window} for {model.name}", "Choose another seed or model")  # fmt: skip
    return Prepared(
        k_used=len(used),
        zsl=prompts([], len(icl.context) if study.align_positions else None),
        icl=icl,
        training=training,
    )


def _fitting(study: Study, task: Task, model: Model, queries: list[Example], drawn: list[Example]) -> list[Example]:
    """Those that fit the context window: dropped from the end, in ICL and FT alike."""
    if model.context_window is None:
        return drawn
    return task.fitting_demonstrations(model.tokenizer, queries, drawn, model.context_window, separator=study.separator)
