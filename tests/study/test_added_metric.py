"""A metric from outside the package: by the decorator, by an entry point, and as the guide shows it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from tests.guide import guide_code
from tests.study.conftest import small_settings
from tests.study.test_run import Listening
from torch import Tensor

from demograd import UserError
from demograd.metrics import METRICS, compute, metric
from demograd.metrics.registry import Metrics
from demograd.observe import Observation
from demograd.report import write_report
from demograd.study import Workers, make_study, measures, run_study
from demograd.study.language_model.measures import versions as versions_of
from demograd.words import Extra

SMALL: dict[str, Any] = {
    "weights": ["trained"],
    "controls": [],
    "seeds": [0, 1],
    "queries": 4,
    "k": 1,
    "methods": ["GD"],
    "learning_rates": {"GD": [0.01]},
}


@pytest.fixture(autouse=True)
def restored_metrics() -> Iterator[None]:
    """The metrics of other tests' studies stay as they are."""
    before = dict(METRICS)
    yield
    for name in [name for name in METRICS if name not in before]:
        del METRICS[name]


def overall(out: Path, name: str, setting: str) -> list[float]:
    table = pd.read_parquet(out / "results.parquet")
    rows = table[(table.metric == name) & (table.setting == setting) & table.layer.isna() & table.seed.isna()]
    return rows[(rows.reading == "plain") & rows.versus.isna()].value.dropna().tolist()


def started_settings(model: Path, out: Path, **changes: Any) -> list[str]:
    """The settings that a run of the smallest study observes anew."""
    watch = Listening()
    run_study(make_study(small_settings(model, **SMALL | changes)), out, watch)
    return [setting for _, setting in watch.started]


def test_the_guides_metric_is_in_the_results_and_on_the_page(small_model: Path, tmp_path: Path) -> None:
    exec(guide_code("A metric"), {"__name__": "guide"})
    described = METRICS["sim_aou_sign"]
    assert (described.arguments, described.measure) == (("zsl", "icl", "ft"), "similarity")
    run_study(make_study(small_settings(small_model, **SMALL)), tmp_path / "out")
    assert len(overall(tmp_path / "out", "sim_aou_sign", "FT")) == 1
    table = pd.read_parquet(tmp_path / "out" / "results.parquet")
    assert table[(table.metric == "sim_aou_sign") & table.versus.notna()].value.notna().any(), "its specificity"
    page = write_report(tmp_path / "out").read_text(encoding="utf-8")
    assert described.definition in page and page.count(described.title) >= 3


def test_a_folder_from_before_a_metric_is_not_answered_without_it(small_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert started_settings(small_model, out) == ["ZSL", "ICL", "ICL", "FT, 2 fine-tunings", "FT", "FT"]
    assert started_settings(small_model, out) == []
    exec(guide_code("A metric"), {"__name__": "guide"})
    assert started_settings(small_model, out) == ["FT, 2 fine-tunings", "FT", "FT"]
    assert len(overall(out, "sim_aou_sign", "FT")) == 1
    assert started_settings(small_model, out) == []
    METRICS["sim_aou_sign"] = replace(METRICS["sim_aou_sign"], version=2)
    assert started_settings(small_model, out) == ["FT, 2 fine-tunings", "FT", "FT"]


def test_a_metric_of_predictions_or_of_icl_alone_needs_no_cell(small_model: Path, tmp_path: Path) -> None:
    started_settings(small_model, tmp_path / "out")

    @metric("margin", source="me", group="performance", per="query", bounds=(0, torch.inf), table=None)
    def margin(observation: Observation) -> Tensor:
        """Log-odds of the most probable label."""
        first, second = observation.label_log_probs.topk(2, dim=-1).values.T
        return first - second

    @metric("ICL's length", source="me", group="similarity", bounds=(0, torch.inf), table="My scores")
    def length_of_icl(icl: Observation, *, seed: int = 0) -> Tensor:
        """‖h_ICL‖ plus the seed."""
        return icl.attention_output.norm(dim=-1) + seed

    @metric("recall of mine", source="me", group="performance", per="query", bounds=(0, 1), table="What is predicted")
    def recall_of_mine(zsl: Observation, icl: Observation, ft: Observation) -> Tensor:
        """FT's label equals ICL's."""
        return (ft.label_log_probs.argmax(-1) == icl.label_log_probs.argmax(-1)).float()

    out = tmp_path / "out"
    assert started_settings(small_model, out) == []
    for name, setting in (("margin", "ZSL"), ("margin", "FT"), ("length_of_icl", "ICL"), ("recall_of_mine", "FT")):
        assert len(overall(out, name, setting)) == 1, name
    page = write_report(out).read_text(encoding="utf-8")
    assert "My scores" in page and "recall of mine" in page


def test_what_a_metric_asks_to_be_recorded_is_recorded(small_model: Path, tmp_path: Path) -> None:
    recorded: tuple[Extra, ...] = ("next_token_log_probs",)

    @metric(
        "entropies",
        source="me",
        group="distribution",
        measure="mine",
        per="query",
        bounds=(-100, 100),
        extras={"ICL": recorded, "FT": recorded},
    )
    def difference_of_entropies(icl: Observation, ft: Observation) -> Tensor:
        """Entropy of ICL's next token minus that of FT's."""
        icl_log_probs, ft_log_probs = icl.next_token_log_probs, ft.next_token_log_probs
        assert icl_log_probs is not None and ft_log_probs is not None
        return (ft_log_probs.exp() * ft_log_probs).sum(-1) - (icl_log_probs.exp() * icl_log_probs).sum(-1)

    assert measures()["mine"].metrics == ("difference_of_entropies",)
    started_settings(small_model, tmp_path / "out", measures=["mine"])
    assert len(overall(tmp_path / "out", "difference_of_entropies", "FT")) == 1


def test_a_metric_of_training_queries_without_spans_is_computed(small_model: Path, tmp_path: Path) -> None:
    @metric("training tokens", source="me", group="similarity", bounds=(0, torch.inf))
    def training_tokens(ft: Observation, training_queries: list[Tensor]) -> Tensor:
        """Number of tokens that FT learned from."""
        return torch.full_like(ft.attention_output[..., 0], sum(len(queries) for queries in training_queries))

    started_settings(small_model, tmp_path / "out")
    assert overall(tmp_path / "out", "training_tokens", "FT")[0] > 0


def test_a_metric_of_demonstrations_may_name_icl_and_ft_by_a_and_b(small_model: Path, tmp_path: Path) -> None:
    @metric("share of the prompt", source="me", group="similarity", bounds=(0, torch.inf))
    def share_of_prompt(a: Observation, b: Observation, spans: Any) -> Tensor:
        """Number of demonstrations, beside what ICL and FT do."""
        return torch.full_like(a.attention_output[..., 0] + b.attention_output[..., 0], float(len(spans)))

    started_settings(small_model, tmp_path / "out")
    assert overall(tmp_path / "out", "share_of_prompt", "FT") == [1.0]


def test_a_metric_with_the_name_of_another_is_refused() -> None:
    source = guide_code("A metric")
    before = METRICS["sim_aou"]
    with pytest.raises(UserError, match=r"Two metrics are called sim_aou: demograd\.metrics\.\S+ and guide\.sim_aou"):
        exec(source.replace("def sim_aou_sign", "def sim_aou"), {"__name__": "guide"})
    assert METRICS["sim_aou"] is before
    exec(source, {"__name__": "guide"})
    mine = METRICS["sim_aou_sign"]
    with pytest.raises(UserError, match=r"Two metrics are called sim_aou_sign: guide\.\S+ and another\."):
        exec(source, {"__name__": "another"})
    assert METRICS["sim_aou_sign"] is mine


def test_a_function_defined_anew_with_other_code_has_another_version_in_keys() -> None:
    study, versions = make_study({"measures": ["similarity"]}), set()
    source = guide_code("A metric")
    for changed in (source, source, source.replace("mean(dim=-1)", "mean(dim=-2)"), source.replace(".mean(", ".sum(")):
        exec(changed, {"__name__": "guide"})
        versions.add(versions_of(study)["metric sim_aou_sign"])
    assert len(versions) == 3
    del METRICS["sim_aou_sign"]
    exec(source, {"__name__": "another"})
    assert versions_of(study)["metric sim_aou_sign"] not in versions
    assert versions_of(study)["metric sim_aou"] == METRICS["sim_aou"].version


def test_a_metric_that_no_study_can_compute_is_refused() -> None:
    with pytest.raises(ValueError, match="the metric mine takes gradient; studies give a, b, ft, icl"):

        @metric("mine", source="me", group="similarity")
        def mine(icl: Observation, gradient: Tensor) -> Tensor:
            """A definition."""
            return gradient

    with pytest.raises(ValueError, match="the metric mine has no definition"):

        @metric("mine", source="me", group="similarity")
        def mine(icl: Observation) -> Tensor:
            return icl.attention_output


def test_parts_of_one_function_are_computed_once_and_follow_what_they_name() -> None:
    calls = []

    @metric("real", source="me", group="similarity", name="real_part", part="real", after="sim_am")
    @metric("imaginary", source="me", group="similarity", name="imaginary_part", part="imag", after="sim_aou")
    def parts(icl: complex) -> complex:
        """A definition."""
        calls.append(icl)
        return icl

    assert compute(["real_part", "imaginary_part"], {"icl": 3 + 4j}) == {"real_part": 3, "imaginary_part": 4}
    assert calls == [3 + 4j]
    names = list(METRICS)
    assert names[names.index("sim_aou") + 1] == "imaginary_part" and names[names.index("sim_am") + 1] == "real_part"
    assert len(names) == len(METRICS) == len(set(names))


def installed(folder: Path, source: str) -> None:
    """A package with one module and an entry point, as an installer leaves it."""
    (folder / "outside_metrics.py").write_text(source, encoding="utf-8")
    metadata = folder / "outside-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[demograd.metrics]\nsign = outside_metrics\n")


@pytest.mark.slow
def test_an_installed_package_brings_a_metric_to_every_command(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, guide_code("A metric").replace("bounds=(0, 1)", 'bounds=(0, 1), measure="sign"'))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    study = tmp_path / "study.yaml"
    study.write_text(yaml.safe_dump(small_settings(small_model, **SMALL, measures=["similarity", "sign"])))

    def output(*arguments: str) -> str:
        code = "import sys; sys.argv = ['demograd', *sys.argv[1:]]; from demograd.cli import main; main()"
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout

    assert "sim_aou_sign" in output("list", "metrics") and "sign" in output("list", "measures")
    assert "sign" in json.loads(output("schema"))["$defs"]["Study"]["properties"]["measures"]["anyOf"][0]["enum"]
    assert "sim_aou_sign" in output("plan", str(study))
    assert "SimAOU, sign" in output("run", str(study), "--out", "out", "--workers", "2"), "the terminal"
    assert len(overall(tmp_path / "out", "sim_aou_sign", "FT")) == 1
    assert "SimAOU, sign" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_broken_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, "1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "outside_metrics", raising=False)
    metrics = Metrics()
    for _ in range(2):
        with pytest.raises(UserError, match="the metric sign of an installed package cannot be loaded"):
            len(metrics)


def test_another_process_does_not_compute_without_a_metric(small_model: Path, tmp_path: Path) -> None:
    exec(guide_code("A metric"), {"__name__": "guide"})
    study = make_study(small_settings(small_model, **SMALL))
    with pytest.raises(UserError, match="does not have the metric sim_aou_sign"):
        run_study(study, tmp_path / "out", workers=Workers("processes", 1))


def test_a_metric_of_each_setting_takes_nothing_beside_it() -> None:
    with pytest.raises(ValueError, match="the metric mine takes observation, each setting by itself, beside others"):

        @metric("mine", source="me", group="similarity")
        def mine(observation: Observation, spans: Any) -> Tensor:
            """Nothing that a study could give."""
            return observation.attention_output[..., 0]
