"""A method from outside the package is listed, planned, run and shown, and nothing else is edited for it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import ClassVar, Literal

import pandas as pd
import pytest
import yaml
from jsonschema import Draft202012Validator
from tests.cli.test_mistakes import call
from tests.guide import guide_code
from tests.study.conftest import small_settings

from demograd import GradientDescent, UserError
from demograd.learn import Training, method, methods
from demograd.learn.method import options_in_words
from demograd.study import make_study, run_study
from demograd.study.plan import plan_study
from demograd.study.spec.json_schema import json_schema

registry = import_module("demograd.learn.method")


@pytest.fixture(autouse=True)
def restored_methods() -> Iterator[None]:
    """The methods of other tests stay as they are."""
    before = methods()
    registry._load_methods.cache_clear()
    yield
    registry._METHODS.clear()
    registry._METHODS.update(before)


def installed(folder: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with one module and an entry point, as an installer leaves it."""
    (folder / "outside_methods.py").write_text(source)
    metadata = folder / "outside-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[demograd.methods]\nsign = outside_methods:SignGradientDescent\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "outside_methods", raising=False)


def settings_with_sign(model: Path, **changes: object) -> dict[str, object]:
    return small_settings(
        model,
        weights=["trained"],
        seeds=[0, 1],
        queries=4,
        methods={"GD": {}, "SignGD": {}, "twice": {"kind": "SignGD", "epochs": 2}},
        learning_rates={"GD": [0.01], "SignGD": [0.001], "twice": [0.001]},
        **changes,
    )


@pytest.mark.slow
def test_an_installed_package_brings_a_method(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    installed(tmp_path, guide_code("A method"), monkeypatch)
    monkeypatch.chdir(tmp_path)
    settings = settings_with_sign(small_model)
    Path("mine.yaml").write_text(yaml.safe_dump(settings))
    assert call("list", "methods") == 0
    assert re.search(r"SignGD +GD along the sign of each gradient", capsys.readouterr().out)
    assert call("schema") == 0
    validator = Draft202012Validator(json.loads(capsys.readouterr().out))
    assert list(validator.iter_errors(settings)) == []
    assert list(validator.iter_errors({"methods": {"mine": {"kind": "SignGD", "epoch": 2}}}))
    assert call("plan", "mine.yaml") == 0
    assert re.search(r"cells +6, in 2 worlds", capsys.readouterr().out)
    assert call("run", "mine.yaml", "--out", "out") == 0
    rows = pd.read_parquet("out/results.parquet").query("setting == 'FT' and metric == 'sim_aou' and layer.isna()")
    assert set(rows.method) == {"GD", "SignGD", "twice"} and rows.value.notna().all()
    assert rows.groupby("method").value.first().nunique() == 3
    options = rows.drop_duplicates("method").set_index("method").method_options.map(json.loads)
    assert "kind" not in options["GD"] and options["SignGD"]["kind"] == "SignGD" and options["twice"]["epochs"] == 2
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert "SignGD" in page and "2 epochs" in page


@pytest.mark.slow
def test_a_script_brings_a_method_to_its_worker_processes(small_model: Path, tmp_path: Path) -> None:
    script = f"""{guide_code("A method")}
from pathlib import Path

from demograd import Workers, run_study
from demograd.cli.lists import print_list
from demograd.study import make_study, run_study
from demograd.study.plan import plan_study

if __name__ == "__main__":
    print_list("methods")
    run_study(make_study({settings_with_sign(small_model)!r}), Path("out"), workers=Workers(number=2))
"""
    (tmp_path / "mine.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(Path(registry.__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, "mine.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "SignGD" in ended.stdout
    rows = pd.read_parquet(tmp_path / "out" / "results.parquet").query("metric == 'sim_aou' and layer.isna()")
    assert set(rows.method.dropna()) == {"GD", "SignGD", "twice"} and set(rows.status) == {"ok"}


def test_a_broken_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, "1 / 0", monkeypatch)
    with pytest.raises(UserError, match="the method sign of an installed package cannot be loaded"):
        make_study({})


@dataclass(frozen=True, kw_only=True)
class Noisy(GradientDescent):
    """GD with noise."""

    version: ClassVar[int] = 1
    noise: float = field(default=0.0, metadata={"words": "noise {:g}"})
    """Its standard deviation."""
    draws: Literal["once", "anew"] = field(default="once", metadata={"words": {"anew": "anew in each step"}})

    def train(self, training: Training) -> None:
        raise NotImplementedError


def test_options_of_its_own_are_checked_explained_and_in_words() -> None:
    method("noisy")(Noisy)
    study = make_study({"methods": {"much": {"kind": "noisy", "noise": "1e-1", "draws": "anew"}}})
    noisy = study.method("much", 0.1)
    assert noisy == Noisy(learning_rate=0.1, noise=0.1, draws="anew")
    assert noisy.label == "noisy, noise 0.1, anew in each step"
    assert options_in_words(noisy.options()) == "noise 0.1, anew in each step"
    assert make_study({"methods": ["noisy"]}).method("noisy", 0.1).options()["kind"] == "noisy"
    explained = json_schema()["$defs"]["Noisy"]["properties"]
    assert explained["noise"]["description"] == "Its standard deviation." and "learning_rate" not in explained
    for options, words in (
        ({"noize": 1}, "Did you mean noise"),
        ({"noise": "loud"}, r"methods\.much\.noise = 'loud'"),
        ({"draws": "never"}, r"methods\.much\.draws"),
        ({"learning_rate": 1}, "learning_rates"),
    ):
        with pytest.raises(UserError, match=words):
            make_study({"methods": {"much": {"kind": "noisy", **options}}})


def test_numbers_of_another_method_or_version_have_another_key() -> None:
    """demograd's own are known by the names of their classes, as they were before methods could come from outside."""
    gd = GradientDescent(learning_rate=0.1)
    assert gd.key()["kind"] == "GradientDescent" and "version" not in gd.key()
    method("noisy")(Noisy)
    noisy = Noisy(learning_rate=0.1)
    assert noisy.key()["kind"] == "method noisy"

    class Later(Noisy):
        version = 2

    later = Later(learning_rate=0.1).key()
    assert later | {"defined as": later["defined as"][1:]} == noisy.key() | {"version": 2}
    assert replace(noisy, noise=1.0).key() != noisy.key()


@dataclass(frozen=True, kw_only=True)
class Particular(GradientDescent):
    """GD that needs three demonstrations, and says something."""

    fewest: ClassVar[int] = 3

    def train(self, training: Training) -> None:
        training.note("the last demonstration is not read")
        super().train(training)


def test_a_method_of_many_demonstrations_is_timed_with_as_many_and_what_it_says_is_kept(
    small_model: Path, tmp_path: Path
) -> None:
    method("particular")(Particular)
    settings = small_settings(
        small_model,
        weights=["trained"],
        seeds=[0],
        queries=4,
        methods=["particular"],
        learning_rates={"particular": 0.01},
    )
    study = make_study({**settings, "k": 3})
    assert plan_study(study).paces[str(small_model)].tuning["particular"] > 0
    assert (
        "the last demonstration is not read"
        in run_study(study, tmp_path / "run").folder.read_json("provenance.json")["notes"]
    )
    for work in (plan_study, lambda study: run_study(study, tmp_path / "none")):
        with pytest.raises(UserError, match=r"2 demonstrations for particular.*at least 3.*Raise k"):
            work(make_study({**settings, "k": 2}))
    assert not (tmp_path / "none").exists()


SOURCE = """
from dataclasses import dataclass

from demograd import GradientDescent
from demograd.learn import method


@method("Mine")
@dataclass(frozen=True, kw_only=True)
class Mine(GradientDescent):
    '''A method.'''

    factor = 1.5

    def train(self, training):
        training.update(0.0, 1 if self.name in {"a", "b", "c"} else [])
"""


def key_of_method(module: str, source: str) -> dict[str, object]:
    """The key of the method `Mine`, defined as a notebook does: no file has its source."""
    registry._METHODS.pop("Mine", None)
    exec(source, {"__name__": module})
    return methods()["Mine"](learning_rate=0.1).key()


@pytest.mark.parametrize("change", [("0.0, 1", "0.0, 2"), ("training.update", "training.record"), ("1.5", "2.5")])
def test_a_class_defined_anew_with_other_code_has_another_key(change: tuple[str, str]) -> None:
    key = key_of_method("notebook", SOURCE)
    assert key_of_method("notebook", SOURCE) == key
    assert key_of_method("notebook", SOURCE.replace(*change)) != key


def test_a_class_of_another_module_or_file_has_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = key_of_method("notebook", SOURCE)
    assert key_of_method("another", SOURCE) != key
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    keys = []
    for source in (SOURCE, SOURCE, SOURCE.replace("1.5", "2.5")):
        (tmp_path / "file_of_mine.py").write_text(source)
        monkeypatch.delitem(sys.modules, "file_of_mine", raising=False)
        registry._METHODS.pop("Mine")
        keys.append(import_module("file_of_mine").Mine(learning_rate=0.1).key())
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("line", ["A list (it has no end,", "A sentence.", "def function(): pass"])
def test_a_class_of_a_block_in_a_page_is_told_by_its_code(line: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"  # a document's block, run under the document's name
    page.write_text("\n".join([line] * 40))
    keys = []
    for source in (SOURCE, SOURCE, SOURCE.replace("0.0, 1", "0.0, 2")):
        registry._METHODS.pop("Mine", None)
        exec(compile(source, str(page), "exec"), {"__name__": "page"})
        keys.append(methods()["Mine"](learning_rate=0.1).key())
    assert keys[0] == keys[1] != keys[2]


def test_the_key_of_a_class_without_a_source_is_the_same_in_another_process() -> None:
    code = f"exec({SOURCE!r}, space := {{'__name__': 'notebook'}}); print(space['Mine'](learning_rate=0.1).key())"
    outputs = []
    for seed in ("1", "2"):  # of hashes: the order of sets
        environment = {**os.environ, "PYTHONPATH": str(Path(registry.__file__).parents[2]), "PYTHONHASHSEED": seed}
        outputs.append(subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True))
    assert outputs[0].stdout == outputs[1].stdout != b""


def test_a_class_defined_anew_takes_its_place_and_another_is_refused() -> None:
    def registered(name: str) -> type:
        @method(name)
        @dataclass(frozen=True, kw_only=True)
        class Mine(Noisy):
            """A cell of a notebook."""

        return Mine

    registered("mine")
    again = registered("mine")
    assert methods()["mine"] is again
    with pytest.raises(UserError, match="Two methods are called mine"):
        method("mine")(Noisy)
    with pytest.raises(UserError, match="Two methods are called GD"):
        registered("GD")
    with pytest.raises(TypeError, match="frozen dataclass"):
        method("thawed")(type("Thawed", (Noisy,), {}))
