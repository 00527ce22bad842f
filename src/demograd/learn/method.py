"""Methods: each is a frozen dataclass of its settings, under the name that `@method` gives it.

A method takes demonstrations and makes a changed model of them, by fine-tuning (`learn.fine_tuning`) or in another way
(`learn.rivals`); it says what that costs, and has a label. Nothing else in demograd lists methods: a study's file, its
JSON schema, its plan, `demograd list methods` and the report ask this registry. Nothing here imports torch.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, asdict, dataclass, fields
from functools import cache
from importlib import import_module
from importlib.resources import files
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from demograd import learn, models
from demograd.errors import UserError
from demograd.extensions import fingerprint, load_entry_points
from demograd.learn.cost import Flops, NetworkSizes, SequenceSizes
from demograd.learn.subset import ParameterSubset
from demograd.numbers import Real

if TYPE_CHECKING:
    from demograd.tasks.prompts import TrainingSequence

GROUP = "demograd.methods"
"""The entry points by which a package brings methods of its own."""
LARGEST_RATE = 3.4e38
"""The numbers of 32 bit, in which torch takes a learning rate, end here."""


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """What every method has; a subclass adds its settings, and how it learns."""

    # a study file makes methods by way of pydantic, which would otherwise pass over a misspelt option
    __pydantic_config__ = {"extra": "forbid", "use_attribute_docstrings": True}  # noqa: RUF012 (no field, never changed)

    name: ClassVar[str]
    """The name under which `@method` registered the class."""
    version: ClassVar[int] = 1
    """The version of its numbers, part of a cell's key: raise it when the method computes something else. The source
    of a class from outside demograd is in the key too: raise it for what that does not show."""
    _fingerprint: ClassVar[str]
    """Where a class from outside demograd comes from: module, name and hash of its source."""
    layer_causal: ClassVar[bool] = False
    """Whether each layer learns from a loss of its own and no gradient crosses a block's boundary: then one layer's
    graph is held at a time, and `which: all` means the parameters of the blocks."""
    default_rate: ClassVar[float | None] = None
    """The learning rate that needs no sweep: of a method that does not train, its change as published."""
    fewest: ClassVar[int] = 1
    """How many demonstrations it needs at least; of fewer a study is refused before it runs."""

    learning_rate: Real
    """The step size of training; of a method that does not train, the strength of its change."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if not cls._is_built_in():
            cls._fingerprint = fingerprint(cls)

    def __post_init__(self) -> None:
        if not 0 <= self.learning_rate <= LARGEST_RATE:
            raise UserError(f"learning rate {self.learning_rate}", f"a number from 0 to {LARGEST_RATE}", "Try 0.001")

    @abstractmethod
    def train(self, training: "learn.Training") -> None:
        """Learn from the demonstrations: take the method's steps, or say what it changes in the forward pass.

        Raises:
            Diverged: a loss, gradient or weight is not finite.
        """

    @abstractmethod
    def cost(self, network: NetworkSizes, sequences: Sequence[SequenceSizes]) -> Flops:
        """The operations of learning from demonstrations of these sizes."""

    def learned(self, sequences: "Sequence[TrainingSequence]") -> "list[TrainingSequence]":
        """The sequences with the loss that this method takes.

        Raises:
            UserError: a sequence lacks what the method needs.
        """
        return list(sequences)

    def n_steps(self, demonstrations: int) -> int:
        """About how many steps it takes, for its progress; of a method that takes none, 1."""
        return 1

    @property
    def label(self) -> str:
        """The name in a table: the method, and every option but the learning rate that is not the default."""
        settings = {name: value for name, value in asdict(self).items() if name != "learning_rate"}
        return ", ".join([self.name, *_differing(settings, _settings_of([type(self)]))])

    def check(self, anatomy: "models.Anatomy") -> None:  # noqa: B027 (some suit every network)
        """
        Raises:
            UserError: the method does not suit the network.
        """

    def check_demonstrations(self, number: int) -> None:
        """
        Raises:
            UserError: it takes more demonstrations than there are.
        """
        if number < self.fewest:
            raise UserError(
                f"{number} demonstration{'s' * (number != 1)} for {self.name}",
                f"at least {self.fewest}",
                "Raise k; where the context window leaves no room for more, choose another task or model",
            )

    def options(self) -> dict[str, Any]:
        """All settings but the learning rate, as the results table has them.

        All methods but GD and LCGD, which their options tell apart, say by `kind` whose options they are.
        """
        kind = {} if self._goes_by_its_options() else {"kind": self.name}
        return kind | {name: value for name, value in asdict(self).items() if name != "learning_rate"}

    def key(self) -> dict[str, Any]:
        """The settings that numbers depend on, with the method's name and version, for the key of a unit of work.

        demograd's own methods go by the name of their class. Those of users go by their registered name, by module and
        name of their class, and by its source and that of their classes that it is derived from.
        """
        version = {} if self.version == 1 else {"version": self.version}
        if self._is_built_in():
            return {"kind": type(self).__name__, **version, **asdict(self)}
        fingerprints = [vars(base)["_fingerprint"] for base in type(self).__mro__ if "_fingerprint" in vars(base)]
        # with blanks: no option can have this name
        return {"kind": f"method {self.name}", "defined as": fingerprints, **version, **asdict(self)}

    @classmethod
    def _is_built_in(cls) -> bool:
        return cls.__module__.startswith(f"{__package__}.")

    @classmethod
    def _goes_by_its_options(cls) -> bool:
        return cls._is_built_in() and cls.name in _BY_OPTIONS


_BY_OPTIONS = ("GD", "LCGD")
"""Methods that tables tell apart by the names of their options."""


Registered = TypeVar("Registered", bound=type[Method])
_METHODS: dict[str, type[Method]] = {}


def method(name: str) -> Callable[[Registered], Registered]:
    """Register a frozen dataclass of settings, a subclass of `Method`, under a name.

    The first line of its docstring is what `demograd list methods` says of it. The same class defined anew, as a
    notebook does, takes the place of the one before.

    Raises:
        TypeError: it is no frozen dataclass, or no subclass of `Method`.
        UserError: another class has this name.
    """

    def register(registered: Registered) -> Registered:
        # its own, not those of the class that it is derived from: else its fields would be no settings
        parameters = vars(registered).get("__dataclass_params__")
        if not (parameters and parameters.frozen and issubclass(registered, Method)):
            raise TypeError(f'@method("{name}") takes a frozen dataclass that is a subclass of demograd.learn.Method')
        before = _METHODS.get(name, registered)
        if (before.__qualname__, before.__module__) != (registered.__qualname__, registered.__module__):
            raise UserError(
                f"Two methods are called {name}: {before.__module__}.{before.__qualname__} and "
                f"{registered.__module__}.{registered.__qualname__}",
                "a name for each",
                "Rename one of them",
            )
        registered.name = name
        _METHODS[name] = registered
        return registered

    return register


def methods() -> dict[str, type[Method]]:
    """Every method by its name: demograd's, those of installed packages, and those decorated in this process.

    Raises:
        UserError: a method of an installed package cannot be loaded.
    """
    _load_methods()
    return dict(sorted(_METHODS.items()))


@cache
def _load_methods() -> None:
    for package in (__package__, f"{__package__}.rivals"):
        for file in sorted(files(package).iterdir(), key=lambda file: file.name):
            # the other files of this room import torch, which lists and schemas do without
            if file.name.endswith(".py") and "\n@method(" in file.read_text(encoding="utf-8"):
                import_module(f"{package}.{file.name.removesuffix('.py')}")
    load_entry_points(GROUP)


def about(registered: type[Method]) -> str:
    """The first line of a method's docstring."""
    return (registered.__doc__ or "").strip().partition("\n")[0].removesuffix(".")


def method_with(options: Mapping[str, Any]) -> type[Method] | None:
    """The method whose options these are, as `Method.options` has them; None: it is not registered here."""
    if "kind" in options:
        return methods().get(options["kind"])
    built_in = [registered for registered in methods().values() if registered._goes_by_its_options()]
    suited = [registered for registered in built_in if {*options} <= {setting.name for setting in fields(registered)}]
    # GD's options are all among LCGD's, which has more
    return min(suited, key=lambda registered: len(fields(registered)), default=None)


def options_in_words(options: Mapping[str, Any]) -> str:
    """Options that differ from the method's defaults, as in "Adam, 2 epochs"."""
    registered = method_with(options)
    settings = _settings_of([registered] if registered else methods().values())
    return ", ".join(_differing({name: options[name] for name in options if name != "kind"}, settings))


def _settings_of(registered: Iterable[type[Method]]) -> dict[str, Field[Any]]:
    """Name → field of these methods and of the parameters that they train."""
    return {setting.name: setting for owner in (*registered, ParameterSubset) for setting in fields(owner)}


def _differing(options: Mapping[str, Any], settings: Mapping[str, Field[Any]]) -> Iterator[str]:
    """The words of each option that is not the default, or has none."""
    for name, value in options.items():
        if isinstance(value, Mapping):  # the parameters that are trained
            yield from _differing(value, settings)
        elif name not in settings:
            yield _in_words(name, value, None)
        elif value != settings[name].default or settings[name].default is MISSING:
            yield _in_words(name, value, settings[name].metadata.get("words"))


def _in_words(name: str, value: Any, words: Any) -> str:
    """By what a field's metadata say: words of each value, text with a place for it, or a function of it."""
    if isinstance(words, str):
        return words.format(value)
    if callable(words):
        return str(words(value))
    if words and not isinstance(value, list | dict) and value in words:
        return str(words[value])
    return f"{name.replace('_', ' ')} {value}"


class Diverged(Exception):
    """A loss, gradient or weight is not finite: training ended at this step."""

    def __init__(self, step: int, quantity: str) -> None:
        super().__init__(f"diverged at step {step}: {quantity} is not finite")
        self.step = step
