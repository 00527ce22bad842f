"""`@metric`: what makes a function a metric of studies, lists, tables and pages; and all metrics by name.

The metrics of this package are read from its source, as the names of a lazy package are (`demograd/lazy.py`): a list of
them imports no torch, and each function is imported when it is first called.
"""

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from math import inf
from pathlib import Path
from threading import RLock
from typing import Any, Literal, TypeVar

from demograd.errors import UserError
from demograd.extensions import fingerprint, load_entry_points
from demograd.words import Extra

Group = Literal[
    "similarity", "attention_to_demonstrations", "implicit_update", "size", "performance", "distribution", "weights"
]
"""How a study treats a metric. A `similarity` that has layers has a specificity and a check of its resolution.
`performance` follows from label scores, and is computed whenever the table is written. `size` and `performance` are
measured by every study, the others where they are asked for."""
Per = Literal["head", "layer", "layer pair", "query", "setting", "model"]
"""[queries, layers, heads]; [queries, layers]; [queries, layers, layers′]; [queries]; one number per observation; of
the weights alone."""
Bounds = tuple[float, float]
Function = TypeVar("Function", bound=Callable[..., Any])

COSINE: Bounds = (-1.0, 1.0)
SHARE: Bounds = (0.0, 1.0)
SIZE: Bounds = (0.0, inf)
LOG_PROBABILITY: Bounds = (-inf, 0.0)
UNBOUNDED: Bounds = (-inf, inf)
FEWEST_FOR_A_COSINE = 3
"""Label words: their log-probabilities, less their mean, then have two dimensions. In one a cosine is a sign."""

ENTRY_POINTS = "demograd.metrics"
"""The entry points by which a package brings metrics of its own."""
ARGUMENTS = {"zsl", "icl", "ft", "other", "a", "b", "observation", "spans", "training_queries"}
"""What a study can give to a metric of another package."""
_PACKAGE = __name__.rpartition(".")[0]
_FILES = (
    "attention_output",
    "attention_logits",
    "attention_to_demonstrations",
    "implicit_update",
    "update_size",
    "predictions",
    "label_changes",
    "rec2ftp",
    "next_token",
    "weights",
)
"""In the order of lists and of the results' rows; other files of this package come after them."""


@dataclass(frozen=True)
class Metric:
    """What is known of a metric besides its function: what `metric` takes, and what it reads from the function."""

    title: str
    source: str
    group: Group
    per: Per = "layer"
    bounds: Bounds = COSINE
    table: str | None = "Other scores"
    measure: str = ""
    name: str = ""
    definition: str = ""
    extras: Mapping[str, tuple[Extra, ...]] = field(default_factory=dict, hash=False)
    has_ceiling: bool = False
    fewest_label_words: int = 1
    version: int = 1
    part: str = ""
    after: str = ""
    arguments: tuple[str, ...] = ()
    """The function's parameters without a default."""
    is_seeded: bool = False
    """Whether the function has a keyword `seed`: studies pass the demonstration set's."""
    code: Callable[..., Any] | tuple[str, str] = ("", "")
    """The function; of this package, its module and its name."""
    fingerprint: str = ""
    """Where a function of another package comes from: module, name and hash of its source (`extensions`)."""

    @property
    def function(self) -> Callable[..., Any]:
        """The function, imported now."""
        if not isinstance(self.code, tuple):
            return self.code
        module, name = self.code
        function: Callable[..., Any] = getattr(import_module(module), name)
        return function

    @property
    def has_layers(self) -> bool:
        """Whether it returns [queries, layers] or [queries, layers, heads], which `aggregate` takes."""
        return self.per in ("layer", "head")

    def why_undefined(self, n_label_words: int) -> str:
        """Why it has no value on a task of so many label words, as a clause; empty where it has."""
        words = f"{n_label_words} label word{'s' * (n_label_words != 1)}"
        return f"with {words} a cosine is a sign" if n_label_words < self.fewest_label_words else ""

    @property
    def is_of_another_package(self) -> bool:
        """Whether it was registered by a script, a notebook or an entry point."""
        return not isinstance(self.code, tuple)

    @property
    def version_in_keys(self) -> int | str:
        """The version, and what else tells a function from outside the package from another."""
        return f"{self.version}, {self.fingerprint}" if self.fingerprint else self.version

    def described(
        self, code: Callable[..., Any] | tuple[str, str], name: str, docstring: str, parameters: Mapping[str, bool]
    ) -> "Metric":
        """The metric with all that its function tells; `parameters`: name → whether it has a default.

        Raises:
            ValueError: there is no definition.
        """
        definition = self.definition or " ".join(docstring.partition("\n\n")[0].split()).removesuffix(".")
        if not definition:
            raise ValueError(f"the metric {name} has no definition: begin its docstring with one")
        return replace(
            self,
            name=self.name or name,
            definition=definition,
            measure=self.measure or self.group,
            arguments=tuple(parameter for parameter, has_default in parameters.items() if not has_default),
            is_seeded="seed" in parameters,
            code=code,
        )


class Metrics(MutableMapping[str, Metric]):
    """Name → metric, in the order of lists: this package's, those of entry points, and those of a script.

    Raises:
        UserError: at the first look, where the entry point of an installed package cannot be loaded.
    """

    def __init__(self) -> None:
        self._metrics: dict[str, Metric] = {}
        self._is_loaded = False
        self._lock = RLock()
        self._n_changes = 0

    def _loaded(self) -> dict[str, Metric]:
        with self._lock:
            if not self._is_loaded:
                self._is_loaded = True  # before what follows looks in here
                try:
                    self._metrics |= {metric.name: metric for metric in _of_this_package()}
                    load_entry_points(ENTRY_POINTS)
                except BaseException:
                    self._is_loaded = False
                    raise
        return self._metrics

    @property
    def n_changes(self) -> int:
        """How often a metric came, changed or went: what follows from all of them holds while this is the same."""
        self._loaded()
        return self._n_changes

    def __getitem__(self, name: str) -> Metric:
        return self._loaded()[name]

    def __setitem__(self, name: str, metric: Metric) -> None:
        self._loaded()[name] = metric
        self._n_changes += 1

    def __delitem__(self, name: str) -> None:
        del self._loaded()[name]
        self._n_changes += 1

    def __len__(self) -> int:
        return len(self._loaded())

    def __iter__(self) -> Iterator[str]:
        metrics = self._loaded()
        names = [name for name, metric in metrics.items() if metric.after not in metrics]
        for name, metric in metrics.items():
            if metric.after in metrics:
                names.insert(names.index(metric.after) + 1 if metric.after in names else len(names), name)
        return iter(names)


METRICS = Metrics()


def metric(
    title: str,
    *,
    source: str,
    group: Group,
    per: Per = "layer",
    bounds: tuple[float | int, float | int] = COSINE,
    table: str | None = "Other scores",
    measure: str = "",
    name: str = "",
    definition: str = "",
    extras: Mapping[str, tuple[Extra, ...]] | None = None,
    has_ceiling: bool = False,
    fewest_label_words: int = 1,
    version: int = 1,
    part: str = "",
    after: str = "",
) -> Callable[[Function], Function]:
    """Register a function as a metric. One defined anew in the same module, as a notebook does, takes the place of the
    one before.

    Its parameters without a default say what it is given: observations by their setting (`zsl`, `icl`, `ft`; `other`:
    ICL or FT; `observation`: each), the demonstrations' `spans`, FT's `training_queries`. A keyword `seed` is given the
    demonstration set's.

    Args:
        title: as papers and reports write it.
        source: paper and section.
        group: how a study treats it, see `Group`.
        per: what one value is of, and so the shape of what the function returns, see `Per`.
        bounds: between which values it lies: an interval is cut there.
        table: heading of its table among the scores of a page; None: it has none there.
        measure: what a study names under `measures` to ask for it; by default the group's name.
        name: as the results and lists name it; by default the function's name.
        definition: one line; by default the first paragraph of the docstring.
        extras: setting (ZSL, ICL, FT) → what must be recorded of it besides (`observe(…, extras=…)`).
        has_ceiling: whether it is a cosine of updates, of which √r is a ceiling (`noise_ceiling`).
        fewest_label_words: with fewer on a task it is missing there, for it is a cosine in one dimension.
        version: raised when the definition changes: it is in the keys of cells, so that none answers that was computed
            by another definition. Of a function from outside the package, a hash of its source is there too: raise the
            version for what its source does not show, as a function that it calls.
        part: attribute of what the function returns that is this metric's value; by default all of it is.
        after: name of the metric that it follows in lists and in the results; by default it comes last.

    Raises:
        ValueError: there is no definition, or the function takes what no study gives.
        UserError: a metric of demograd's, or of another module, has this name.
    """
    registered = Metric(
        title,
        source,
        group,
        per,
        (float(bounds[0]), float(bounds[1])),
        table,
        measure,
        name,
        definition,
        extras or {},
        has_ceiling,
        fewest_label_words,
        version,
        part,
        after,
    )

    def register(function: Function) -> Function:
        docstring = inspect.getdoc(function) or ""
        if not function.__module__.startswith(f"{_PACKAGE}."):
            signature = inspect.signature(function).parameters
            parameters = {name: parameter.default is not parameter.empty for name, parameter in signature.items()}
            described = registered.described(function, function.__name__, docstring, parameters)
            if not set(described.arguments) <= ARGUMENTS:
                unknown = ", ".join(sorted(set(described.arguments) - ARGUMENTS))
                raise ValueError(
                    f"the metric {described.name} takes {unknown}; studies give {', '.join(sorted(ARGUMENTS))}"
                )
            if "observation" in described.arguments and len(described.arguments) > 1:
                raise ValueError(
                    f"the metric {described.name} takes observation, each setting by itself, beside others"
                )
            _refuse_another(described.name, function)
            METRICS[described.name] = replace(described, fingerprint=fingerprint(function))
        if "**Source:**" not in docstring:
            function.__doc__ = f"{docstring}\n\n**Source:** {source}."
        return function

    return register


def _refuse_another(name: str, function: Callable[..., Any]) -> None:
    """
    Raises:
        UserError: a metric of demograd's, or of another module, has this name.
    """
    before = METRICS.get(name)
    if before is None:
        return
    module, function_name = (
        before.code if isinstance(before.code, tuple) else (before.code.__module__, before.code.__qualname__)
    )
    if module != function.__module__:
        raise UserError(
            f"Two metrics are called {name}: {module}.{function_name} and "
            f"{function.__module__}.{function.__qualname__}",
            "a name for each",
            "Rename yours, or give it a name in @metric(…, name=…)",
        )


def compute(names: Iterable[str], arguments: Mapping[str, Any], seed: int = 0) -> dict[str, Any]:
    """Name → value of these metrics. A function of which several metrics are parts is called once.

    Args:
        names: of metrics.
        arguments: what they take, by name; there may be more.
        seed: of those that draw random numbers.
    """
    returned: dict[Callable[..., Any], Any] = {}
    values: dict[str, Any] = {}
    for name in names:
        metric = METRICS[name]
        function = metric.function
        if function not in returned:
            options = {"seed": seed} if metric.is_seeded else {}
            returned[function] = function(**{name: arguments[name] for name in metric.arguments}, **options)
        values[name] = getattr(returned[function], metric.part) if metric.part else returned[function]
    return values


def _of_this_package() -> Iterator[Metric]:
    """The metrics of this package, as its source decorates them."""
    files = {path.stem: path for path in sorted(Path(__file__).parent.glob("*.py")) if path.stem != "registry"}
    for stem in (*_FILES, *(stem for stem in files if stem not in _FILES)):
        statements = ast.parse(files[stem].read_text(encoding="utf-8")).body
        for function in (statement for statement in statements if isinstance(statement, ast.FunctionDef)):
            for decorator in function.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == metric.__name__:
                    yield _decorated(f"{_PACKAGE}.{stem}", function, decorator)


def _decorated(module: str, function: ast.FunctionDef, decorator: ast.Call) -> Metric:
    facts = {keyword.arg or "": _value(keyword.value) for keyword in decorator.keywords}
    positional = function.args.args
    without_default = len(positional) - len(function.args.defaults)
    parameters = {parameter.arg: number >= without_default for number, parameter in enumerate(positional)}
    keywords = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    parameters |= {parameter.arg: default is not None for parameter, default in keywords}
    code = (module, function.name)
    return Metric(_value(decorator.args[0]), **facts).described(
        code, function.name, ast.get_docstring(function) or "", parameters
    )


def _value(expression: ast.expr) -> Any:
    """The value of a decorator's argument: a literal, or a name of this module, as `COSINE`."""
    return eval(compile(ast.Expression(expression), __file__, "eval"), globals())
