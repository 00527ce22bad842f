"""What a command or an import must not load before it needs it: held by what is in `sys.modules`, never by time."""

import ast
import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from jaxtyping import TypeCheckError

import demograd
from demograd import metrics, models
from demograd.lazy import LazyPackage
from demograd.metrics.registry import Per
from demograd.study.synthetic.spec import LinearWorld

HEAVY = {"torch", "transformers", "pandas", "pyarrow", "datasets", "altair", "scipy", "numpy", "accelerate", "ray"}
PACKAGES = ["demograd"] + [
    f"demograd.{room}"
    for room in (
        "files",
        "learn",
        "metrics",
        "models",
        "observe",
        "published",
        "report",
        "statistics",
        "study",
        "study.workers",
        "study.plan",
        "synthetic",
        "tasks",
    )
]
COMMAND = "import sys; sys.argv = ['demograd', *sys.argv[1:]]; from demograd.cli import main; main()"


def _loaded(code: str, *arguments: str, cwd: Path | None = None) -> tuple[set[str], int, str]:
    """The heavy modules that a new process has at its end, its exit code, and what it printed on standard error."""
    printed = (
        "import atexit, json, sys\n"
        "atexit.register(lambda: print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules}))))\n" + code
    )
    ended = subprocess.run([sys.executable, "-c", printed, *arguments], capture_output=True, text=True, cwd=cwd)
    return HEAVY & set(json.loads(ended.stdout.splitlines()[-1])), ended.returncode, ended.stderr


def test_importing_demograd_loads_nothing_heavy() -> None:
    heavy, code, _ = _loaded("import demograd; dir(demograd); demograd.GradientDescent(learning_rate=0.1)")
    assert (heavy, code) == (set(), 0)


@pytest.mark.parametrize("kind", ["tasks", "models", "methods", "measures", "metrics", "claims", "presets"])
def test_lists_load_nothing_heavy(kind: str) -> None:
    assert _loaded(COMMAND, "list", kind)[:2] == (set(), 0)


@pytest.mark.parametrize(
    "command",
    [
        "--help",
        "--version",
        "run --help",
        "plan --help",
        "claims --help",
        "report --help",
        "compare --help",
        "list --help",
        "check --help",
        "schema --help",
        "cache --help",
        "schema",
        "cache list",
        "cache size",
        "cache prune --older-than 99999",
    ],
)
def test_help_schema_and_cache_load_nothing_heavy(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEMOGRAD_CACHE", str(tmp_path))
    assert _loaded(COMMAND, *command.split())[:2] == (set(), 0)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("--nosuch", "--nosuch"),
        ("run --nosuch", "--nosuch"),
        ("nosuch", "nosuch"),
        ("run nosuch", "preset 'nosuch'"),
        ("plan nosuch", "preset 'nosuch'"),
        ("run nosuch.yaml", "nosuch.yaml"),
        ("list nosuch", "list 'nosuch'"),
        ("run --method NoSuch", "'NoSuch'"),
        ("run --task nosuch", "task 'nosuch'"),
        ("run --measure nosuch", "'nosuch'"),
        ("run --weights nosuch", "'nosuch'"),
        ("run --set nosuch=1", "'nosuch'"),
        ("run --set methods.GD.nosuch=1", "'nosuch'"),
        ("run -k sixteen", "sixteen"),
        ("run --seeds none", "none"),
        ("run --learning-rate fast", "fast"),
        ("run --workers 0", "--workers 0"),
        ("run --executor nosuch", "executor 'nosuch'"),
        ("run vonoswald2023 --set worlds.linear.nosuch=1", "'linear'"),
        ("run --model ./nothere", "./nothere"),
        ("plan --model nothere.gguf", "nothere.gguf"),
        ("run --model smollm2-135", "'smollm2-135'"),
        ("check ./nothere", "./nothere"),
        ("plan --workers none", "--workers none"),
        ("run --dtype nosuch", "dtype 'nosuch'"),
        ("run --device nosuch", "device 'nosuch'"),
        ("run vonoswald2023 --set device=nosuch", "device 'nosuch'"),
        ("check smollm2-135m --dtype nosuch", "dtype 'nosuch'"),
        ("check smollm2-135m --device nosuch", "device 'nosuch'"),
        ("report nothere", "nothere has no study.yaml"),
        ("claims nothere", "nothere has no study.yaml"),
        ("compare nothere nothere", "nothere has no study.yaml"),
        ("cache prune", "--older-than"),
    ],
)
def test_mistakes_are_answered_before_anything_heavy_is_loaded(command: str, message: str, tmp_path: Path) -> None:
    heavy, code, stderr = _loaded(COMMAND, *command.split(), cwd=tmp_path)
    assert (heavy, code) == (set(), 2)
    assert message in stderr


def test_a_run_says_what_it_does_before_anything_heavy_is_loaded(tmp_path: Path) -> None:
    first = (
        "import sys, typer\nbefore = typer.echo\n"
        "def echo(text, **how):\n"
        "    before(text, **how)\n"
        "    if how.get('err'): sys.exit(7)\n"
        "typer.echo = echo\n"
    )
    heavy, code, stderr = _loaded(first + COMMAND, "run", "quickstart", cwd=tmp_path)
    assert (heavy, code) == (set(), 7)
    assert stderr.splitlines() == ["Reading the study quickstart …"]


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_is_there_and_is_listed(name: str) -> None:
    package = importlib.import_module(name)
    assert isinstance(package, LazyPackage)
    imported = [
        alias.asname or alias.name
        for block in ast.parse(inspect.getsource(package)).body
        if isinstance(block, ast.If)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    ]
    assert sorted(imported) == sorted(package.__all__)
    for public in imported:
        assert public in dir(package)
        assert getattr(package, public) is not None


def test_a_function_is_not_hidden_by_the_module_that_it_is_from() -> None:
    for path in ("demograd.metrics.rec2ftp", "demograd.observe.packed", "demograd.learn.fine_tuned"):
        importlib.import_module(path)
    assert callable(metrics.rec2ftp)
    assert callable(demograd.observe)
    assert callable(demograd.fine_tuned)
    assert inspect.isfunction(importlib.import_module("demograd.learn").fine_tuned)


def test_a_star_import_brings_all_public_names() -> None:
    names: dict[str, object] = {}
    exec("from demograd import *", names)
    assert set(demograd.__all__) <= names.keys()


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'demograd' has no attribute 'nosuch'"):
        demograd.nosuch  # noqa: B018


def test_shapes_of_what_is_imported_late_are_checked() -> None:
    with pytest.raises(TypeCheckError):
        metrics.sim_aou("no observation", "none", "none")  # type: ignore[arg-type]
    signature = inspect.signature(LinearWorld.world)
    assert "LinearRegression" in str(signature.return_annotation)


@pytest.mark.parametrize("name", metrics.METRICS)
def test_a_metric_of_the_table_is_the_function_that_it_names(name: str) -> None:
    """Its arguments are the function's, in their order, and what a value is of is the function's shape."""
    metric = metrics.METRICS[name]
    signature = inspect.signature(metric.function)
    parameters = list(signature.parameters.values())
    assert tuple(parameter.name for parameter in parameters[: len(metric.arguments)]) == metric.arguments
    assert all(parameter.default is not parameter.empty for parameter in parameters[len(metric.arguments) :])
    shape = getattr(signature.return_annotation, "dim_str", None)
    if shape is not None:
        heads = {"head": "heads", "layer pair": "layers"}.get(metric.per, "")
        first = "layers" if metric.per == "model" else "queries"
        dims = shape.split()
        assert dims[0] == first
        assert len(dims) == {"head": 3, "layer pair": 3, "layer": 2, "query": 1, "model": 2}[metric.per]
        assert dims[-1].endswith(heads)
    else:
        assert metric.per in get_args(Per)


@pytest.mark.parametrize("kind", models.ARCHITECTURES)
def test_functions_that_the_table_of_architectures_names_are_there(kind: str) -> None:
    architecture = models.ARCHITECTURES[kind]
    assert architecture.biased_by is None or callable(architecture.position_bias)
    if (override := architecture.override) is not None:
        assert callable(override.function)
        assert override.rotated_by is None or callable(override.rotary)
