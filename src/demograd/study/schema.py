"""A study: what to run, with every setting named and checked."""

from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator, model_validator

from demograd.errors import UserError, unknown_name
from demograd.learn import Method
from demograd.models import Weights
from demograd.study.measures import MEASURES
from demograd.study.methods import make_method, named_methods, resolved_methods

Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0)]
Control = Literal["other_demonstrations", "permuted_labels", "other_task"]


class Study(BaseModel):
    """A grid of cells: checkpoints × weights × k × seeds × tasks × methods × learning rates."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "study"
    about: str = ""
    """One line for lists and the report's heading."""
    model: str = "smollm2-135m"
    """A built-in name, a hub name (`owner/name@revision`), a local folder, or a GGUF file."""
    checkpoints: list[str] = []
    """States of one model in order of training, each as `model` takes it; they take `model`'s place. One starting with
    `@` is a revision of `model`."""
    weights: list[Weights] = Field(default=["trained"], min_length=1)
    """States before anything; an untrained one is drawn anew for each seed."""
    tasks: list[str] = Field(default=["sst2"], min_length=1)
    """Built-in names, `hub:owner/name`, CSV, JSONL or Parquet files, or `cb=FILE`: a built-in task on a file."""
    optional_tasks: list[str] = []
    """Those among the tasks that are left out, aloud, where their data cannot be had."""
    template: str | None = None
    """How columns become text, as in "Review: {text} Sentiment:"; it also replaces a built-in task's."""
    label_words: list[str] | dict[str, str] | None = None
    """One word per class, or label → word; they also replace a built-in task's."""
    label_column: str = "label"
    validation_path: str | None = None
    """A second file, from which the queries of a file task are drawn."""
    k: list[PositiveInt] = Field(default=[16], min_length=1)
    """Demonstrations."""
    seeds: list[Seed] | dict[str, list[Seed]] = [0, 1, 2, 3, 4]
    """Demonstration sets, for all tasks or task by task."""
    permutations: list[Seed] = Field(default=[0], min_length=1)
    """Which order the demonstrations come in: one for all seeds, or one per seed."""
    balanced: bool = False
    """Draw as many demonstrations of each class."""
    queries: PositiveInt | dict[str, PositiveInt] = 100
    """Test examples, for all tasks or task by task."""
    query_seed: Seed = 1
    methods: dict[str, dict[str, Any]] = Field(default=["GD", "LCGD"], validate_default=True)
    """Names of `demograd list methods`; or name → options, with `kind: GD` or `kind: LCGD` for a name of one's own."""
    learning_rates: dict[str, list[Rate] | dict[str, list[Rate]]] = {}
    """Per method, for all tasks or task by task; where none is named, the rate that the shipped sweep chose."""
    controls: list[Control] = ["other_demonstrations", "permuted_labels"]
    """What else FT is trained on, for the specificity."""
    measures: list[str] = Field(default=["similarity"], min_length=1)
    """Groups of metrics, see `demograd list measures`."""
    selections: list[Literal["all", "corrected"]] = Field(default=["all"], min_length=1)
    """Queries to average over; `corrected`: those wrong in ZSL and right in ICL and FT."""
    orders: Annotated[int, Field(ge=2)] = 10
    """Orders of the demonstrations over which order sensitivity is taken."""
    loss_on: Literal["all", "label"] = "all"
    """Which tokens of a demonstration FT learns to predict."""
    separator: Literal["newline", "eos"] = "newline"
    record_at: Literal["prompt_end", "first_answer"] = "prompt_end"
    align_positions: bool = False
    """Give ZSL and FT queries the positions that they have in ICL."""
    fine_tuning_order: Literal["as_prompted", "as_released"] = "as_prompted"
    """`as_released` is a defect of the released runs: permutations above 0 are other orders in FT than in ICL."""
    fine_tuned_on: Literal["fitting", "all"] = "fitting"
    """Demonstrations that fit the context window, in ICL and FT; `all` is a defect of the released runs: FT trains on
    all k, also on those that ICL cannot show."""
    final_norm_lost: bool = False
    """A defect of the released runs: untrained networks had no final norm."""
    place: Literal["projection", "after_norm"] = "projection"
    """Where the attention output is read."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str = "auto"

    @field_validator("k", "permutations", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return value if isinstance(value, list) else [value]

    @field_validator("methods", mode="before")
    @classmethod
    def _methods_by_name(cls, given: Any) -> dict[str, dict[str, Any]]:
        return resolved_methods(given)

    @field_validator("measures")
    @classmethod
    def _known_measures(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in MEASURES:
                raise unknown_name("measures", name, MEASURES, "Choose among these")
        return names

    @field_validator("weights", "tasks", "k", "controls", "measures", "selections", "checkpoints")
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
            for values in of_method.values() if isinstance(of_method, dict) else [of_method]:
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
        self._same_demonstrations()
        for task in self.tasks:
            if len(self.permutations) not in (1, len(self.seeds_of(task))):
                raise ValueError(f"permutations has {len(self.permutations)} orders for {len(self.seeds_of(task))} "
                                 f"seeds of {task}: give one for all, or one per seed")  # fmt: skip
        return self

    def _same_demonstrations(self) -> None:
        """Some measures pair what ICL and FT do with the same demonstrations in the same order."""
        orders_differ = self.fine_tuning_order == "as_released" and any(self.permutations)
        pairing = {"attention_to_demonstrations"} if orders_differ else set()
        if self.fine_tuned_on == "all":
            pairing |= {"attention_to_demonstrations", "order_sensitivity"}
        if not_here := sorted(pairing & set(self.measures)):
            raise ValueError(f"{' and '.join(not_here)} take the same demonstrations in the same order in ICL and FT: "
                             "leave fine_tuning_order and fine_tuned_on as they are by default")  # fmt: skip

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
        """The checkpoints, or the one model."""
        return [self.model + one if one.startswith("@") else one for one in self.checkpoints] or [self.model]

    def method(self, name: str, learning_rate: float) -> Method:
        """A method of this study."""
        return make_method(name, self.methods[name], learning_rate)


def make_study(settings: dict[str, Any]) -> Study:
    """A study from settings.

    Raises:
        UserError: a setting is unknown or wrong; the first is named with what was given and what is allowed.
    """
    return validated(Study, settings)


Schema = TypeVar("Schema", bound=BaseModel)


def validated(schema: type[Schema], settings: dict[str, Any]) -> Schema:
    """Settings as a study of one kind or another.

    Raises:
        UserError: as `make_study`.
    """
    try:
        return schema(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        why = first["msg"].removeprefix("Value error, ")
        # pydantic names the members of a union too, as in `list[float]`: they are no part of a setting's name
        field = ".".join(str(part) for part in first["loc"] if "[" not in str(part) and not isinstance(part, int))
        if first["type"] == "extra_forbidden":
            if len(first["loc"]) == 1:
                raise unknown_name("setting", field, schema.model_fields, "Correct the name") from error
            raise UserError(f"Unknown setting {field}", "a name that docs/study.md has", "Correct the name") from error
        top = str(first["loc"][0]) if first["loc"] else ""
        if top == "weights" and first["type"] == "literal_error":
            raise unknown_name(top, str(first["input"]), get_args(Weights), "Choose among these") from error
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        if not field:
            raise UserError(f"These settings do not fit together{more}", why, "Change one of them") from error
        raise UserError(f"{field} = {first['input']!r}{more}", why, f"Correct {field}") from error
