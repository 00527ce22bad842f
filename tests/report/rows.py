"""Rows of a results table by hand, and a run that has everything a page can show."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from demograd.files import read_json, read_yaml, write_json, write_table, write_yaml
from demograd.learn import GradientDescent, LayerCausalGradientDescent
from demograd.report import ReportedRun
from demograd.words import COLUMNS

RATES = {"GD": 0.001, "LCGD": 0.003}
METHODS = {"GD": GradientDescent, "LCGD": LayerCausalGradientDescent}
_OF_ALL = {
    "model": "smollm2-135m",
    "weights": "trained",
    "task": "mr",
    "labels": "gold",
    "dtype": "float32",
    "record_at": "prompt_end",
    "k": 16,
    "k_used": 16,
    "reading": "plain",
    "selection": "all",
    "status": "ok",
    "n": 100,
    "n_missing": 0,
    "n_seeds": 5,
}


def row(metric: str, setting: str | None, value: float | None, **about: Any) -> dict[str, Any]:
    """One row over five demonstration sets, with an interval of ±0.02; `method` brings a learning rate and options."""
    sure = {"std": 0.01, "ci_low": value - 0.02, "ci_high": value + 0.02, "interval": "demonstrations"} if value else {}
    tuned = (
        {"learning_rate": RATES[about["method"]], "method_options": options(about["method"])}
        if about.get("method")
        else {}
    )
    return {
        **dict.fromkeys(COLUMNS),
        **_OF_ALL,
        **sure,
        **tuned,
        "metric": metric,
        "setting": setting,
        "value": value,
        **about,
    }


def table(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(COLUMNS))


def run_of(*rows: dict[str, Any], study: dict[str, Any] | None = None, **facts: Any) -> ReportedRun:
    """A run of these rows that was never written to a folder."""
    about = {"validity": (), "provenance": {}, "claims": {"correction": "", "claims": []}, **facts}
    return ReportedRun(Path("run"), study or {}, table(rows), **about)


def options(method: str) -> str:
    """As a study writes them: all but the rate."""
    settings = asdict(METHODS.get(method, GradientDescent)(learning_rate=1.0))
    settings.pop("learning_rate")
    return json.dumps(settings)


def write_results(folder: Path, rows: Iterable[dict[str, Any]], *, keep: bool = False) -> Path:
    """These rows as the results of a run folder, or added to those that it has."""
    path = folder / "results.parquet"
    table = pd.DataFrame(list(rows))
    write_table(path, pd.concat([pd.read_parquet(path), table] if keep else [table]))
    return folder


def write_everything(folder: Path) -> Path:
    """A run of two tasks, methods, k and rates, with all measures, and claims of each verdict."""
    results = pd.read_parquet(folder / "results.parquet").astype({"k": "Int64"})
    tuned = results["method"].notna()
    faster = results[tuned].assign(
        learning_rate=results["learning_rate"] * 4,
        value=results["value"] * (1 + results["metric"].str.contains("size")),
    )
    whole = pd.concat([results, faster])
    whole["method_options"] = whole["method"].map(options, na_action="ignore")
    fewer = whole.assign(k=4, k_used=4, value=whole["value"] * 0.8)
    models = sorted(set(results["task"]))
    write_table(folder / "results.parquet", pd.concat([whole, fewer, pd.DataFrame(measures(models))]))
    study = read_yaml(folder / "study.yaml")
    write_yaml(folder / "study.yaml", study | {"checkpoints": ["@step1", "@step2"], "about": "all of it"})
    write_json(folder / "claims.json", read_json(folder / "claims.json") | claims())
    return folder


def measures(tasks: Iterable[str]) -> Iterator[dict[str, Any]]:
    """What each measure adds to the results of a study."""
    random = np.random.default_rng(1)
    for task in tasks:
        for k in (4, 16):
            world = {"task": task, "k": k}
            for metric in ("sim_aou", "sim_am_delta", "token_overlap", "overlap_cosine_similarity"):
                yield row(metric, "ICL_reordered", 0.64, **world)
            yield row("order_sensitivity", "ICL", 3.1e-6, **world, std=None, ci_low=3e-6, ci_high=3.4e-6)
            for method in METHODS:
                tuned = world | {"method": method}
                for metric in (
                    "token_overlap",
                    "overlap_cosine_similarity",
                    "rec2ftp",
                    "implicit_update",
                    "implicit_update_weighted",
                    "implicit_update_validity",
                ):
                    yield row(metric, "FT", 0.3 + 0.01 * k, **tuned)
                yield row("order_sensitivity", "FT", 2.2e-6, **tuned, std=None, ci_low=2e-6, ci_high=2.4e-6)
                for statistic in ("kendall", "recall"):
                    for unit in ("token", "demonstration"):
                        yield row(f"attention_{statistic}_by_{unit}", "FT", 0.21, **tuned)
                        yield row(f"random_attention_{statistic}_by_{unit}", "FT", 0.01, **tuned)
                for layer in range(12):
                    yield row("implicit_update_validity", "FT", 0.04 * layer, **tuned, layer=layer)
                    for other in range(12):
                        value = 0.6 - 0.1 * abs(layer - other) + 0.05 * random.standard_normal()
                        yield row("layer_by_layer_sim_aou", "FT", value, **tuned, layer=layer, at=other)
                    for step in range(k):
                        for seed in range(2):
                            at = {"layer": layer, "step": step, "seed": seed}
                            yield row("gradient_norm", "FT", float(2.0 ** (layer - step)), **tuned, **at)
                yield row("sim_aou", "FT", 0.3, **tuned, selection="corrected", n=240)
                yield row("sim_am_delta", "FT", 0.1, **tuned, selection="corrected", n=2000)
                for control in (None, "other_sets"):
                    equal = tuned | {"learning_rate": None, "reading": "at_equal_size", "versus": control}
                    yield row("sim_aou", "FT", 0.2, **equal, at=1.0)
            for layer in (None, *range(12)):
                yield row("alpha", "FT", 0.5 + 0.02 * (layer or 6), **world, method="LCGD", layer=layer)
    nothing = {"task": None, "k": None, "record_at": None}
    for weights in ("trained", "no_training"):
        for at in (1e-4, 1e-3, 1e-2, 3e-2, 1e-1):
            for layer in (None, *range(12)):
                share = min(1.0, 8 * at + 0.005 * (layer or 6))
                yield row("sparsity_ratio", None, share, **nothing, weights=weights, at=at, layer=layer)


def checkpoints() -> Iterator[dict[str, Any]]:
    """Two checkpoints of a model, of which the second learns in context."""
    for name, icl, distance in (("tiny@step1", 0.5, 0.9), ("tiny@step2", 0.8, 0.0)):
        for setting, value in (("ZSL", 0.5), ("ICL", icl)):
            yield row("accuracy", setting, value, model=name)
            yield row("label_log_likelihood", setting, value - 2, model=name)
        yield row("parameter_distance", None, distance, model=name, task=None, k=None, record_at=None)


def claims() -> dict[str, Any]:
    """One claim with each verdict, one with many comparisons, one that could not be tested."""

    def comparison(verdict: str, **changes: Any) -> dict[str, Any]:
        return {
            "task": "mr",
            "labels": "gold",
            "k": 16,
            "compared": "SimAOU, GD, trained: FT − FT_permuted_labels",
            "left": 0.3,
            "right": 0.1,
            "difference": 0.2,
            "ci_low": 0.15,
            "ci_high": 0.25,
            "p_value": 0.0001,
            "p_corrected": 0.0004,
            "p_equal": None,
            "p_equal_corrected": None,
            "effect_size": 1.53,
            "n": 3000,
            "n_missing": 0,
            "n_seeds": 5,
            "n_queries": 50,
            "margin": None,
            "matching": None,
            "one_rate_each": False,
            "verdict": verdict,
            "reason": "the difference is above 0 (corrected p = 0.0004)",
        } | changes

    def claim(name: str, *comparisons: dict[str, Any]) -> dict[str, Any]:
        return {
            "name": name,
            "claim": f"The claim of {name}",
            "source": "Dai 2023",
            "compare": "above",
            "needs": "trained and untrained weights",
            "comparisons": list(comparisons),
        }

    untested = {
        "difference": None,
        "ci_low": None,
        "ci_high": None,
        "p_corrected": None,
        "effect_size": None,
        "n": 0,
        "n_seeds": 1,
        "reason": "one demonstration seed",
    }
    return {
        "correction": "Holm, over all comparisons",
        "claims": [
            claim("one", comparison("supported")),
            claim(
                "two",
                comparison("contradicted", difference=-0.2, ci_low=-0.25, ci_high=-0.15),
                comparison("undecided", **untested),
            ),
            claim(
                "many",
                *(
                    comparison("undecided", k=k, margin=0.05, p_equal=0.05, p_equal_corrected=0.21, one_rate_each=k > 4)
                    for k in range(12)
                ),
            ),
            claim("none"),
        ],
    }
