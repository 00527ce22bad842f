"""A study: what to run, with every setting named and checked."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from demograd.errors import unknown_name
from demograd.learn import Method
from demograd.study.language_model.measures import measures
from demograd.study.language_model.points import axes_of, points_of, world_points
from demograd.study.language_model.rules import Exclusion, PairedAxis, check_rules
from demograd.study.spec.fields import (
    AtLeastOne,
    Count,
    Device,
    FolderName,
    Many,
    Natural,
    OneOrMany,
    Order,
    Orders,
    Positive,
    Seed,
)
from demograd.study.spec.methods import MethodsByName, make_method, named_methods
from demograd.study.spec.validation import validated
from demograd.tasks.sources.built_in import task_names
from demograd.tasks.sources.cells import label_key
from demograd.words import Control, DrawnAs, Dtype, Labels, Weights

RatesOfTask = Annotated[list[Positive] | dict[str, Many[Positive]], OneOrMany()]
"""For all label words, or by them."""
Rates = Annotated[list[Positive] | dict[str, RatesOfTask], OneOrMany()]
"""For all tasks, or task by task."""


class Study(BaseModel):
    """A grid of cells: models or checkpoints × weights × tasks × labels × k × demonstration sets × methods × rates."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: FolderName = "study"
    """Part of the run folder's name, unless `--out` gives another."""
    about: str = ""
    """One line for lists and the report's heading."""
    notes: Many[str] = []
    """Sentences for readers of the results; they stand on the page."""
    model: str | Annotated[list[str], Field(min_length=1)] = "smollm2-135m"
    """A built-in name, a hub name (`owner/name@revision`), a local folder, or a GGUF file; or several of these."""
    checkpoints: Many[str] = []
    """States of one model in order of training, each as `model` takes it; they take `model`'s place. One starting with
    `@` is a revision of `model`, which is then a single one."""
    weights: AtLeastOne[Weights] = [Weights.TRAINED]
    """States before anything."""
    initialisations: AtLeastOne[Seed] = [0]
    """Draw untrained weights: each is one network for all demonstration sets."""
    tasks: AtLeastOne[str] = ["sst2"]
    """Built-in names, `hub:owner/name`, files or folders of data, or `cb=FILE`: a built-in task on a file."""
    optional_tasks: Many[str] = []
    """Those among the tasks that are left out, aloud, where their data cannot be had."""
    source: Literal["staicc", "hub"] | None = None
    """Where the data of built-in tasks come from: the package StaICC or the hub; null: the package, where it has the
    task."""
    template: str | None = None
    """How columns become text, as in "Review: {text} Sentiment:"; it also replaces a built-in task's."""
    label_words: list[str] | dict[str, str] | None = None
    """One word per class, or label → word; they also replace a built-in task's."""
    answer_prefix: str = " "
    """The text between text and answer: empty in languages without spaces, or behind a line break."""
    label_column: str = "label"
    """The column of labels, of a file or hub task."""
    validation_path: str | None = None
    """A second file, from which the queries of a file task are drawn."""
    split: str | None = None
    """The split that demonstrations come from, of a hub data set or a folder; null: `train`."""
    validation_split: str | None = None
    """The split that queries come from, of a hub data set or a folder; null: `validation`, where there is one."""
    encoding: str | None = None
    """The encoding of CSV, TSV and JSON files, as latin-1 or utf-16; null: UTF-8, or what a byte-order mark says."""
    labels: AtLeastOne[Labels] = [Labels.GOLD]
    """The label words of demonstrations: the task's own; `abstract`: A, B, C …, so that what ICL gains is learned from
    the demonstrations; `random`: each demonstration's label is drawn anew, so that what it gains is recognised."""
    label_seed: Seed = 0
    """Draws which class is A."""
    k: AtLeastOne[Count] = [16]
    """Demonstrations."""
    seeds: Annotated[list[Seed] | dict[str, Many[Seed]], OneOrMany()] = [*range(8)]
    """Demonstration sets, for all tasks or task by task; no two sets of a task share a text."""
    permutations: AtLeastOne[Order] = [0]
    """The order of the demonstrations, by its number: one for all seeds, or one per seed."""
    balanced: bool = True
    """Draw as many demonstrations of each class."""
    queries: Count | dict[str, Count] = 100
    """Test examples, for all tasks or task by task."""
    query_seed: Seed = 1
    """Draws the queries, which do not depend on the demonstration set."""
    attention_queries: Natural = 8
    """Of so many queries, the first of each task, the attention to every token of the prompt is kept with the first
    demonstration set, for the page's query explorer."""
    methods: Annotated[dict[str, dict[str, Any]], MethodsByName()] = Field(
        default=["GD", "LCGD"], validate_default=True
    )
    """Names of `demograd list methods`; or name → options, with a `kind` such as GD or LCGD for a name of one's own."""
    learning_rates: dict[str, Annotated[list[Positive] | dict[str, Rates], OneOrMany()]] = {}
    """Per method, for all tasks, or by model, task and labels, in this order; where none is named, the rate that the
    shipped sweep chose."""
    exclude: list[Exclusion] = []
    """Rules that take cells out of the grid: `{weights: no_training, task: agnews}` takes those that match all of
    it."""
    pair: list[list[PairedAxis]] = []
    """Rules that go through lists together instead of multiplying them: `[task, k]` takes the first task with the first
    k, the second with the second, and so on."""
    matching: bool = True
    """Score ICL on every demonstration set against FT on every other: is FT on a set what ICL does with that set?"""
    specificity_margin: Positive = 0.1
    """A specific share (specificity / matched score) shown to be smaller than this is called not specific."""
    controls: Many[Literal[Control.PERMUTED_LABELS, Control.OTHER_TASK]] = [Control.PERMUTED_LABELS]
    """Other data that FT is trained on; other demonstrations of the task are those of `matching`."""
    observe_at: Many[Count] = []
    """Steps of fine-tuning after which FT is observed besides its end: learning along the way."""
    measures: AtLeastOne[str] = ["similarity"]
    """Groups of metrics, see `demograd list measures`."""
    selections: AtLeastOne[Literal["all", "corrected"]] = ["all"]
    """Queries to average over; `corrected`: those wrong in ZSL and right in ICL and FT."""
    orders: Orders = 10
    """Orders of the demonstrations over which order sensitivity is taken."""
    separator: Literal["newline", "eos"] = "newline"
    """The end of a demonstration in the prompt."""
    record_at: Literal["prompt_end", "first_answer"] = "prompt_end"
    """The position at which a query is observed: its last token, or the first token of class 0's answer behind it."""
    align_positions: bool = False
    """Put the queries of ZSL, ICL and FT at one position, behind the longest context of the demonstration sets."""
    fine_tuning_order: Literal["as_prompted", "as_released"] = "as_prompted"
    """`as_released` is a defect of the released runs: permutations above 0 are other orders in FT than in ICL."""
    fine_tuned_on: Literal["fitting", "all"] = "fitting"
    """Demonstrations that fit the context window, in ICL and FT; `all` is a defect of the released runs: FT trains on
    all k, also on those that ICL cannot show."""
    bos: str | None = None
    """The token that prompts and training sequences begin with, in place of the model's own."""
    initializer_range: Positive | None = None
    """Standard deviation of untrained weights, in place of what the model's configuration says."""
    drawn_as: DrawnAs = "transformers"
    """Whose initialisation draws untrained weights: that of transformers or, of an XGLM, that of fairseq."""
    final_norm_lost: bool = False
    """A defect of the released runs: untrained networks had no final norm."""
    place: Literal["projection", "after_norm"] = "projection"
    """The module behind which the attention output is read."""
    dtype: Dtype = "float32"
    """The number format in which the network computes."""
    device: Device = "auto"
    """`auto`, `balanced` (over all CUDA devices), `cpu`, `cuda`, `cuda:1`, …"""

    @field_validator("label_words", mode="before")
    @classmethod
    def _labels_as_text(cls, value: Any) -> Any:
        """A label may be a number or true; YAML reads it as one."""
        return (
            {
                label_key(label) if isinstance(label, bool | int | float) else label: word
                for label, word in value.items()
            }
            if isinstance(value, dict)
            else value
        )

    @field_validator("measures")
    @classmethod
    def _known_measures(cls, names: list[str]) -> list[str]:
        registered = measures()
        for name in names:
            if name not in registered:
                raise unknown_name("measures", name, registered, "Choose among these")
        return names

    @field_validator(
        "weights",
        "initialisations",
        "tasks",
        "labels",
        "k",
        "controls",
        "observe_at",
        "measures",
        "selections",
        "checkpoints",
    )
    @classmethod
    def _no_repeats(cls, values: list[Any]) -> list[Any]:
        if len(set(values)) != len(values):
            raise ValueError("each value once")
        return values

    @field_validator("seeds")
    @classmethod
    def _seeds_once(cls, seeds: Any) -> Any:
        for values in seeds.values() if isinstance(seeds, dict) else [seeds]:
            if not values:
                raise ValueError("at least one demonstration set")
            cls._no_repeats(values)
        return seeds

    @field_validator("learning_rates")
    @classmethod
    def _no_repeated_rates(cls, rates: dict[str, Any]) -> dict[str, Any]:
        for of_method in rates.values():
            for values in _lists_in(of_method):
                cls._no_repeats(values)
        return rates

    @model_validator(mode="after")
    def _fits_together(self) -> "Study":
        for method in self.learning_rates:
            if method not in self.methods and method not in named_methods():  # rates of a method left out do no harm
                raise unknown_name("method in learning_rates", method, self.methods, "Name a method of this study")
        for field in (self.seeds, self.queries):
            if isinstance(field, dict) and (missing := [task for task in self.tasks if task not in field]):
                raise ValueError(f"seeds and queries that are given task by task have none for {', '.join(missing)}")
        if stray := [task for task in self.optional_tasks if task not in self.tasks]:
            raise ValueError(f"optional_tasks has {', '.join(stray)}, which tasks has not")
        if self.source and not {*self.tasks} & {*task_names()}:
            raise ValueError("source is of built-in tasks, and tasks names none: leave it out")
        if self.label_words is not None and self.labels == [Labels.ABSTRACT]:
            raise ValueError(
                "labels are abstract, so no prompt has the label_words that are given: leave one of them out"
            )
        self._one_series_of_checkpoints()
        self._same_demonstrations()
        for task in self.tasks:
            if len(self.permutations) not in (1, len(self.seeds_of(task))):
                raise ValueError(
                    f"permutations has {len(self.permutations)} orders for {len(self.seeds_of(task))} "
                    f"seeds of {task}: give one for all, or one per seed"
                )
        check_rules(axes_of(self), points_of(self), self.exclude, self.pair)
        of_tasks = {"task", "seed"} if isinstance(self.seeds, dict) else {"task"}
        if self.optional_tasks and of_tasks & {field for rule in self.pair for field in rule}:
            raise ValueError("pair goes through the tasks, or their seeds, so none of them can be optional")
        if next(world_points(self), None) is None:
            raise ValueError("exclude and pair leave no cell of the grid")
        return self

    def _one_series_of_checkpoints(self) -> None:
        several = isinstance(self.model, list)
        if several and len(set(self.model)) < len(self.model):
            raise ValueError("model has one twice: each value once")
        if several and self.checkpoints:
            raise ValueError("checkpoints are states of one model, and model names several")
        if len(self.models) > 1 and "training_time" in self.measures and not self.checkpoints:
            raise ValueError("training_time compares checkpoints of one model, and there are none")

    def _same_demonstrations(self) -> None:
        """Some measures pair what ICL and FT do with the same demonstrations in the same order."""
        orders_differ = self.fine_tuning_order == "as_released" and any(self.permutations)
        pairing = {"attention_to_demonstrations"} if orders_differ else set()
        if self.fine_tuned_on == "all":
            pairing |= {"attention_to_demonstrations", "order_sensitivity"}
        if not_here := sorted(pairing & set(self.measures)):
            raise ValueError(
                f"{' and '.join(not_here)} take the same demonstrations in the same order in ICL and FT: "
                "leave fine_tuning_order and fine_tuned_on as they are by default"
            )

    def seeds_of(self, task: str) -> list[int]:
        """The demonstration sets of a task."""
        return self.seeds[task] if isinstance(self.seeds, dict) else self.seeds

    def queries_of(self, task: str) -> int:
        """How many queries a task has."""
        return self.queries[task] if isinstance(self.queries, dict) else self.queries

    def permutation_of(self, task: str, seed: int) -> int:
        """Which order the demonstrations of a seed come in."""
        position = self.seeds_of(task).index(seed)
        return self.permutations[position] if len(self.permutations) > 1 else self.permutations[0]

    @property
    def models(self) -> list[str]:
        """The checkpoints, or the models."""
        if isinstance(self.model, list):
            return self.model
        return [
            self.model + checkpoint if checkpoint.startswith("@") else checkpoint for checkpoint in self.checkpoints
        ] or [self.model]

    def rates_of(self, model: str, task: str, labels: Labels, method: str) -> list[float] | None:
        """A method's learning rates in some worlds; None where the study names none."""
        rates: Any = self.learning_rates.get(method)
        for name in (model, task, labels):  # a mapping may be from any of them, in this order
            rates = rates.get(name, rates) if isinstance(rates, dict) else rates
        return rates if isinstance(rates, list) else None

    def all_rates_of(self, method: str) -> list[float]:
        """A method's learning rates anywhere."""
        return [rate for values in _lists_in(self.learning_rates[method]) for rate in values]

    def method(self, name: str, learning_rate: float) -> Method:
        """A method of this study."""
        return make_method(name, self.methods[name], learning_rate)


def _lists_in(rates: Any) -> Iterator[list[float]]:
    """Every list of learning rates in a tree of them."""
    if isinstance(rates, dict):
        for below in rates.values():
            yield from _lists_in(below)
    else:
        yield rates


def make_study(settings: dict[str, Any]) -> Study:
    """A study from settings.

    Raises:
        UserError: a setting is unknown or wrong; the first is named with what was given and what is allowed.
    """
    return validated(Study, settings)
