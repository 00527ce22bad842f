"""A study: what to run, with every setting named and checked."""

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator, model_validator

from demograd.errors import UserError, unknown_name
from demograd.learn import GradientDescent, LayerCausalGradientDescent, Method
from demograd.models import Weights

PRESETS = Path(__file__).parent / "presets"
METHODS: dict[str, type[GradientDescent] | type[LayerCausalGradientDescent]] = {
    "GD": GradientDescent,
    "LCGD": LayerCausalGradientDescent,
}
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
MethodName = Literal["GD", "LCGD"]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GradientDescentOptions(_Settings):
    """Options of GD (`demograd.GradientDescent`)."""

    optimizer: Literal["sgd", "adam"] = "sgd"
    momentum: float = Field(default=0.0, ge=0, lt=1)
    step: Literal["demonstration", "batch"] = "demonstration"
    epochs: PositiveInt = 1


class LayerCausalOptions(_Settings):
    """Options of LCGD (`demograd.LayerCausalGradientDescent`)."""

    readout: Literal["block", "attention_residual", "attention"] = "block"
    step: Literal["demonstration", "token"] = "demonstration"
    softmax_gradient: bool = True


class Study(_Settings):
    """A grid of cells: weights × tasks × seeds × methods × learning rates."""

    name: str = "study"
    model: str = "smollm2-135m"
    """A built-in name, a hub name, a local folder, or a GGUF file."""
    weights: list[Weights] = Field(default=["trained"], min_length=1)
    """States before anything; an untrained one is drawn anew for each seed."""
    tasks: list[str] = Field(default=["sst2"], min_length=1)
    """Built-in names, `hub:owner/name`, CSV, JSONL or Parquet files, or `cb=FILE`: a built-in task on a file."""
    template: str | None = None
    """How a file's columns become text, as in "Review: {text} Sentiment:"."""
    label_words: list[str] | dict[str, str] | None = None
    """One word per class of a file, or label → word."""
    label_column: str = "label"
    validation_path: str | None = None
    """A second file, from which the queries of a file task are drawn."""
    k: PositiveInt = 16
    """Demonstrations."""
    seeds: list[int] = Field(default=[0, 1, 2, 3, 4], min_length=1)
    """Demonstration sets."""
    permutation: int = Field(default=0, ge=0)
    """Which order of the demonstrations."""
    balanced: bool = False
    """Draw as many demonstrations of each class."""
    queries: PositiveInt = 100
    query_seed: int = Field(default=1, ge=0)
    methods: list[MethodName] = Field(default=["GD", "LCGD"], min_length=1)
    learning_rates: dict[MethodName, list[Rate] | dict[str, list[Rate]]] = {}
    """Per method, for all tasks or task by task; where none is named, the rate that the shipped sweep chose."""
    gd: GradientDescentOptions = GradientDescentOptions()
    lcgd: LayerCausalOptions = LayerCausalOptions()
    loss_on: Literal["all", "label"] = "all"
    """Which tokens of a demonstration FT learns to predict."""
    separator: Literal["newline", "eos"] = "newline"
    record_at: Literal["prompt_end", "first_answer"] = "prompt_end"
    align_positions: bool = False
    """Give ZSL and FT queries the positions that they have in ICL."""
    place: Literal["projection", "after_norm"] = "projection"
    """Where the attention output is read."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str = "auto"

    @field_validator("weights", "tasks", "seeds", "methods")
    @classmethod
    def _no_repeats(cls, values: list[Any]) -> list[Any]:
        if len(set(values)) != len(values):
            raise ValueError("each value once")
        return values

    @field_validator("seeds")
    @classmethod
    def _seeds_from_zero(cls, values: list[int]) -> list[int]:
        if min(values) < 0:
            raise ValueError("whole numbers from 0")
        return values

    @field_validator("learning_rates")
    @classmethod
    def _no_repeated_rates(cls, rates: dict[str, Any]) -> dict[str, Any]:
        for of_method in rates.values():
            for values in of_method.values() if isinstance(of_method, dict) else [of_method]:
                cls._no_repeats(values)
        return rates

    @model_validator(mode="after")
    def _methods_can_be_made(self) -> "Study":
        if self.gd.optimizer == "adam" and self.gd.momentum:
            raise ValueError("gd.momentum with the optimizer sgd alone: Adam keeps its own")
        return self

    def method(self, name: MethodName, learning_rate: float) -> Method:
        """The method with this study's options."""
        if name == "GD":
            return GradientDescent(learning_rate=learning_rate, **self.gd.model_dump())
        return LayerCausalGradientDescent(learning_rate=learning_rate, **self.lcgd.model_dump())


def preset_names() -> list[str]:
    """The studies that ship with demograd."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def read_study(name_or_path: str, **changes: Any) -> Study:
    """A preset or a YAML file as a study, some of its settings replaced.

    Raises:
        UserError: there is no such preset or file, it is not YAML, or a setting is unknown or wrong.
    """
    is_file = name_or_path.endswith((".yaml", ".yml"))
    path = Path(name_or_path) if is_file else PRESETS / f"{name_or_path}.yaml"
    if not is_file and name_or_path not in preset_names():
        raise unknown_name("preset", name_or_path, preset_names(), "Or name a study file that ends in .yaml")
    if not path.is_file():
        raise UserError(f"There is no file {name_or_path}", "a study file", "Check the path")
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{name_or_path} is not YAML ({' '.join(str(error).split())})", "a study file",
                        "Mend it there") from error  # fmt: skip
    if not isinstance(settings, dict):
        raise UserError(f"{name_or_path} holds no settings", "lines such as `k: 16`", "Mend it there")
    return make_study({"name": path.stem, **settings, **changes})


def make_study(settings: dict[str, Any]) -> Study:
    """A study from settings.

    Raises:
        UserError: a setting is unknown or wrong; the first is named with what was given and what is allowed.
    """
    try:
        return Study(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        # pydantic names the members of a union too, as in `list[float]`: they are no part of a setting's name
        field = ".".join(str(part) for part in first["loc"] if "[" not in str(part))
        if first["type"] == "extra_forbidden":
            of_method: dict[str, type[BaseModel]] = {"gd": GradientDescentOptions, "lcgd": LayerCausalOptions}
            known = of_method.get(str(first["loc"][0]), Study).model_fields
            raise unknown_name("setting", str(first["loc"][-1]), known, "Correct the name") from error
        top = str(first["loc"][0]) if first["loc"] else ""
        if top in ("methods", "weights") and first["type"] == "literal_error":
            options = list(METHODS) if top == "methods" else get_args(Weights)
            raise unknown_name(top, str(first["input"]), options, "Choose among these") from error
        expected = first["msg"].removeprefix("Value error, ")  # pydantic's prefix to what a validator here says
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        if not field:
            raise UserError(f"These settings do not fit together{more}", expected, "Change one of them") from error
        raise UserError(f"{field} = {first['input']!r}{more}", expected, f"Correct {field}") from error
