"""Facts about plans: a plan needs no weights, counts the work of a run, and predicts its duration."""

import gc
import json
import os
import pickle
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from tests.cli.test_mistakes import call
from tests.study.conftest import small_settings

from demograd.learn import FineTuningJob
from demograd.models import Model
from demograd.models.load import load_tokenizer
from demograd.study import Study, cells, make_study, read_study, run_study
from demograd.study.language_model.grid import World
from demograd.study.language_model.measures import MEASURES, NETWORK_MEASURES
from demograd.study.language_model.networks import Network
from demograd.study.language_model.prompts import Prepared, Reader
from demograd.study.plan import plan_study
from demograd.study.plan.blueprint import blueprint_of
from demograd.study.plan.pace import Pace
from demograd.study.plan.plan import PlannedJob, makespan, peak_bytes
from demograd.study.plan.work import trained_at_a_time
from demograd.tasks import Prompts, Task, TrainingSequence
from demograd.words import Weights

A: Network = ("a", Weights.TRAINED, 0)
B: Network = ("b", Weights.TRAINED, 0)


@pytest.fixture
def no_weights(small_model: Path, tmp_path: Path) -> Path:
    """The small model's folder without its weights, like a hub's before the download."""
    folder = tmp_path / "model"
    shutil.copytree(small_model, folder)
    (folder / "model.safetensors").unlink()
    return folder


def test_a_plan_needs_no_weights_and_counts_every_cell(no_weights: Path) -> None:
    study = make_study(small_settings(no_weights, queries=4))
    plan = plan_study(study)
    assert plan.cells == len(list(cells(study))) == 12
    # of each network one ZSL for all three seeds; ICL: one for each seed
    assert sum(len(work.observations) for work in plan.work) == 2 * (1 + 3)
    assert sum(tuning.observations for work in plan.work for tuning in work.tunings) == 12 * 2  # FT and a control
    assert len(plan.networks) == len(plan.jobs(1)) == 2, "a worker takes all demonstration sets of a matrix"
    shared = plan.jobs(2)  # what no method matters for, and each of two methods, of both networks
    assert len(shared) == 2 * (1 + 2) and [job.network for job in shared[:2]] == list(plan.networks)
    assert sum(job.seconds for job in shared) == pytest.approx(sum(job.seconds for job in plan.jobs(1)))
    assert [job.seconds for job in shared[2:]] == sorted((job.seconds for job in shared[2:]), reverse=True)
    assert plan.flops.backward > 0 and plan.memory > plan.blueprints[str(no_weights)].parameters * 4


def test_a_run_observes_as_often_as_the_plan_says(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attention that the query explorer shows takes no pass of its own."""
    module, passes = import_module("demograd.study.language_model.observing"), list[int]()
    sound = module.observe

    def counted(model: Model, prompts: Prompts, **options: object) -> object:
        passes.append(len(prompts.queries))
        return sound(model, prompts, **options)

    settings = small_settings(small_model, queries=4, weights=["trained"], methods=["GD"], observe_at=[1], seeds=[0, 1])
    study = make_study({**settings, "attention_queries": 2})
    work = plan_study(study).work
    monkeypatch.setattr(module, "observe", counted)
    run_study(study, tmp_path / "run")
    observations = sum(len(of_world.observations) for of_world in work)
    observations += sum(tuning.observations for of_world in work for tuning in of_world.tunings)
    assert passes == [4] * observations == [4] * (1 + 2 + 2 * (2 + 1))


@pytest.mark.parametrize("layers", [1, "[0, 1]"])
def test_methods_on_some_layers_are_planned_though_they_are_timed_on_a_network_of_one(
    no_weights: Path, layers: object
) -> None:
    some = {"GD": {"parameters": {"layers": yaml.safe_load(str(layers))}}}
    plan = plan_study(make_study(small_settings(no_weights, queries=4, seeds=[0], weights=["trained"], methods=some)))
    assert plan.cells == 1 and plan.seconds() > 0


def test_labels_initialisations_and_steps_on_the_way_are_counted(no_weights: Path) -> None:
    """Random labels are the task's own words, and share its ZSL; abstract ones are others. Two of the four steps at
    which FT is to be observed come before its end, which is after the third."""
    axes = {"labels": ["gold", "abstract", "random"], "initialisations": [0, 1], "observe_at": [1, 2, 3, 4]}
    plan = plan_study(make_study(small_settings(no_weights, queries=4, methods=["GD"], **axes)))
    assert plan.cells == 3 * 3 * 3 and len(plan.networks) == 3 and len(plan.jobs(1)) == 3 * 3
    assert sum(len(work.observations) for work in plan.work) == 3 * (2 + 3 * 3)
    assert sum(tuning.observations for work in plan.work for tuning in work.tunings) == 27 * (2 + 2)


def test_the_parts_of_a_world_follow_from_the_pace_by_hand(small_model: Path) -> None:
    """Of each of two sets, FT and a control at two rates, and FT after two steps on the way: 2 · (2 + 2) observations,
    all scored against ICL on both sets, as is reordered ICL; other orders are trained on and observed, and not scored.
    """
    plan = plan_study(
        make_study(
            small_settings(
                small_model,
                weights=["trained"],
                methods=["GD"],
                learning_rates={"GD": [0.001, 0.01]},
                seeds=[0, 1],
                queries=4,
                observe_at=[1, 2],
                measures=["similarity", "reordering", "order_sensitivity"],
                orders=3,
            )
        )
    )
    world = plan.work[0]
    (tuning,) = world.tunings
    assert (world.sets, len(tuning.trained), tuning.controls) == (2, 2 + 2, 1)
    assert (tuning.observations, tuning.scored) == (2 * (4 + 2), 2 * (2 + 2))
    pace = Pace({"ZSL": 1.0, "ICL": 0.0, "FT": 1.0}, {"GD": 0.0}, scoring=5.0, matching=3.0)
    parts = pace.parts(plan.study, plan.blueprints[world.world.model], world)
    assert parts["scores"] == (8 + 1) * 4 * (5 + 3 * 2)
    assert parts["observing tuned networks"] == 12 * parts["observing"] > 0 == parts["fine-tuning"]
    assert plan.seconds() == pytest.approx(sum(plan.parts.values()))


@pytest.mark.parametrize(
    ("options", "jobs"), [({}, 3 * 2), ({"step": "token"}, 1), ({"parameters": {"which": "all"}}, 1)], ids=str
)
def test_methods_are_timed_on_as_many_sets_at_a_time_as_they_are_trained_on(
    options: dict[str, object], jobs: int, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FT and its control on three sets; a single fine-tuning where a run would train one by one."""
    module = import_module("demograd.study.plan.timing")
    together, timed = module.fine_tuned_together, []

    def counted(model: Model, jobs: Sequence[FineTuningJob], **options: bool) -> object:
        timed.append(len(jobs))
        return together(model, jobs, **options)

    monkeypatch.setattr(module, "fine_tuned_together", counted)
    monkeypatch.setattr(module, "TOKENS", 10**6)
    settings = small_settings(small_model, queries=4, weights=["trained"], methods={"GD": options})
    plan_study(make_study(settings))
    assert {*timed} == {jobs}
    monkeypatch.setattr(module, "TOKENS", 1)
    timed.clear()
    plan_study(make_study(settings))
    assert {*timed} == {1}


def test_what_is_trained_at_a_time_is_in_memory_together(small_model: Path) -> None:
    """Each of six fine-tunings, of three sets, has its own weights, masters and gradients; of one set there are two."""
    plan = plan_study(make_study(small_settings(small_model, queries=1, k=2, weights=["trained"], methods=["GD"])))
    blueprint, world = plan.blueprints[str(small_model)], plan.work[0]
    three, alone = (peak_bytes(plan.study, blueprint, replace(world, sets=sets)) for sets in (3, 1))
    entries = 2 * 2 * 32 * 16
    assert (three - alone) % 4 == 0 and (three - alone) / 4 > entries * (4 + 4 + 4)
    many = replace(world, tunings=[replace(world.tunings[0], trained=world.tunings[0].trained * 1000)])
    assert trained_at_a_time(plan.study, blueprint, many.tunings[0], 1) < 1000


def test_every_measure_and_a_linearised_method_are_timed_on_random_weights(no_weights: Path) -> None:
    """Tangents take longer to observe, so they have a pace of their own."""
    methods = {"GD": {}, "tangent": {"kind": "GD", "linearised": True}}
    of_cells = [name for name in MEASURES if name not in NETWORK_MEASURES]
    rates = {name: [0.001] for name in methods}
    settings = small_settings(
        no_weights, queries=4, seeds=[0], weights=["trained"], methods=methods, learning_rates=rates
    )
    plan = plan_study(make_study({**settings, "measures": of_cells}))
    pace = plan.paces[str(no_weights)]
    assert pace.observing.keys() == {"ZSL", "ICL", "FT", "tangent"} and pace.tuning.keys() == methods.keys()
    assert min(pace.scoring, pace.matching, plan.parts["scores"]) > 0


def test_twice_the_queries_are_twice_the_operations_behind_the_context(small_model: Path) -> None:
    single, double = (
        plan_study(make_study(small_settings(small_model, queries=n, methods=["GD"], seeds=[0]))) for n in (8, 16)
    )
    assert single.flops.backward == double.flops.backward
    assert 1.2 * single.flops.forward < double.flops.forward < 2 * single.flops.forward


def test_a_worker_takes_the_next_world_when_it_is_free_and_keeps_its_network() -> None:
    jobs = [PlannedJob(A, 3.0), PlannedJob(A, 1.0), PlannedJob(A, 1.0), PlannedJob(B, 4.0)]
    loading = {A: 2.0, B: 5.0}.__getitem__
    assert makespan(jobs, 1, loading) == 2 + 3 + 1 + 1 + 5 + 4
    # first: 2 + 3, until 5; second: 2 + 1 + 1, until 4, then B: 5 + 4
    assert makespan(jobs, 2, loading) == 13
    # third is free for B at 3: 2 + 1, then 5 + 4
    assert makespan(jobs, 3, loading) == 12
    assert makespan(jobs, 4, loading) == makespan(jobs, 64, loading) == 9
    assert makespan([], 4, loading) == 0


def test_the_command_prints_the_plan_and_writes_nothing(
    no_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    file = tmp_path / "study.yaml"
    file.write_text(json.dumps(small_settings(no_weights, queries=4)))
    assert call("plan", str(file), "--set", "seeds=0,1", "--workers", "1,2,64") == 0
    printed = " ".join(capsys.readouterr().out.split())  # lines break at the width of a terminal
    for words in (
        "8, in 4 worlds on 2 networks",
        "forward",
        "backward",
        "operations a second",
        "GiB",
        "of this",
        "observing tuned networks",
        "on 2 workers",
        "at most 6 have work",  # what no method matters for, and two methods, on two networks
    ):
        assert words in printed
    assert list(folder.iterdir()) == []


def test_a_study_of_networks_alone_is_planned_as_what_it_does(
    no_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--model", str(no_weights), "--workers", "1,4"]
    assert call("plan", "shen2023-sparsity", *options) == 0
    output = " ".join(capsys.readouterr().out.split())
    assert "0, in 0 worlds" not in output and "cells none: nothing is fine-tuned, and nothing is observed" in output
    assert (
        "measured alone 2 networks: sparsity" in output
        and "forward 0.00e+00" in output
        and "at most 2 have work" in output
    )
    plan = plan_study(read_study("shen2023-sparsity", model=str(no_weights)))
    weights = 4 * plan.blueprints[str(no_weights)].parameters
    assert plan.memory == 2 * weights  # an untrained network beside the trained one
    reading = weights / 2e9
    assert plan.loading((str(no_weights), Weights.TRAINED, 0)) == reading
    assert plan.loading((str(no_weights), Weights.NO_TRAINING, 0)) > reading
    # four matrices, two of them for keys and values of half the heads, in two layers; six times gone through
    assert [job.seconds for job in plan.jobs(1)] == [pytest.approx(2 * 3 * 32 * 32 * 4 * 6 / 2e9)] * 2


def test_a_study_of_checkpoints_observes_each_and_measures_it(no_weights: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(no_weights, other)
    settings = {"tasks": ["sst2"], "optional_tasks": [], "k": 2, "queries": 4, "seeds": [0, 1]}
    study = read_study(
        "shen2023-training-time", model=str(no_weights), checkpoints=[str(no_weights), str(other)], **settings
    )
    plan = plan_study(study)
    assert plan.cells == 0 and plan.measured == ["training_time"] and len(plan.networks) == 2
    assert [len(work.observations) for work in plan.work] == [2, 1, 2, 1]  # one ZSL for each checkpoint
    assert plan.flops.forward > 0 == plan.flops.backward
    # each checkpoint is held against the last before its worlds are observed
    assert [job.network[0] for job in plan.jobs(1)] == [str(no_weights)] * 2 + [str(other)] * 2
    assert plan.seconds() > sum(job.seconds for job in plan.jobs(1)) > 0
    assert plan.memory > 2 * 4 * plan.blueprints[str(other)].parameters


def test_orders_are_observed_where_nothing_is_fine_tuned(small_model: Path) -> None:
    plan = plan_study(
        make_study(
            small_settings(
                small_model,
                weights=["trained"],
                queries=4,
                methods=[],
                seeds=[0],
                learning_rates={},
                measures=["reordering"],
            )
        )
    )
    assert [[observation.setting for observation in work.observations] for work in plan.work] == [["ZSL", "ICL", "ICL"]]


@pytest.fixture
def preparations(monkeypatch: pytest.MonkeyPatch) -> list[World]:
    """The worlds whose demonstration sets have been prepared."""
    module, prepared = import_module("demograd.study.language_model.demonstration_sets"), []
    sound = module.prepare

    def counted(study: Study, tasks: dict[str, Task], reader: Reader, world: World) -> Prepared:
        prepared.append(world)
        return sound(study, tasks, reader, world)

    monkeypatch.setattr(module, "prepare", counted)
    return prepared


def test_models_with_one_tokenizer_share_their_demonstration_sets(
    no_weights: Path, tmp_path: Path, preparations: list[World]
) -> None:
    same, short = tmp_path / "same", tmp_path / "short"
    for folder in (same, short):
        shutil.copytree(no_weights, folder)
    config = json.loads((short / "config.json").read_text())
    (short / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 60}))
    settings = small_settings(no_weights, queries=4, weights=["trained"], methods=["GD"])
    plan = plan_study(make_study({**settings, "model": [str(no_weights), str(same), str(short)]}))
    pairs = [(world.model, world.seed) for world in preparations[:6]]
    assert pairs == [(str(model), seed) for model in (no_weights, short) for seed in range(3)]
    assert len(preparations) == 6 + 3  # and one for each model, to be timed
    contexts = [work.observations[-1].sizes.context for work in plan.work]
    assert contexts[:3] == contexts[3:6] != contexts[6:] and max(contexts[6:]) < 60


def test_a_plan_of_many_cells_holds_no_token_ids(no_weights: Path, preparations: list[World]) -> None:
    """Neither do more learning rates make a world larger."""
    settings = small_settings(no_weights, queries=20, k=16, weights=["trained"], methods=["GD"])
    rates = [1e-4 * (1 + number) for number in range(100)]
    study = make_study({**settings, "seeds": list(range(6)), "learning_rates": {"GD": rates}})
    before = {id(item) for item in token_ids()}
    plan = plan_study(study)
    assert plan.cells == 600 and sum(tuning.observations for work in plan.work for tuning in work.tunings) == 600 * 2
    assert [item for item in token_ids() if id(item) not in before] == [] and len(preparations) == 6 + 1
    assert len(pickle.dumps(plan.work)) < 6 * 4000


def token_ids() -> list[Prompts | TrainingSequence]:
    """All objects of this process that have token ids."""
    gc.collect()
    return [item for item in gc.get_objects() if type(item) in (Prompts, TrainingSequence)]


@pytest.mark.parametrize("workers", ["0", "one", "", "1,,2", "-3"])
def test_wrong_workers_are_named(workers: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("plan", "quickstart", f"--workers={workers}") == 2
    assert "whole numbers from 1 on" in capsys.readouterr().err


@pytest.mark.slow
def test_the_shape_of_a_gguf_file_is_read_from_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # where nothing was dequantised yet
    blueprint = blueprint_of("smollm2-135m")
    assert (blueprint.layers, blueprint.hidden, blueprint.vocabulary, blueprint.parameters) == (
        30,
        576,
        49152,
        134515008,
    )
    tokenizer, context_window = load_tokenizer("smollm2-135m")
    assert context_window == 8192 and tokenizer("a b")["input_ids"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_plan_is_right_about_the_time_within_thirty_percent(tmp_path: Path) -> None:
    """The real model runs in this process, with the run's number of threads; the machine may be busy, but evenly so."""
    study = make_study(
        {
            "weights": ["trained", "no_training"],
            "tasks": ["sst2"],
            "k": 4,
            "seeds": [0, 1],
            "queries": 12,
            "methods": ["GD", "LCGD"],
            "device": "cpu",
        }
    )
    predicted = plan_study(study).seconds()
    started = time.perf_counter()
    run_study(study, tmp_path / "out")
    measured = time.perf_counter() - started
    print(f"predicted {predicted:.1f} s, measured {measured:.1f} s", file=sys.stderr)
    assert predicted == pytest.approx(measured, rel=0.3), os.getloadavg()
