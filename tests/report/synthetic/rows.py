"""Rows of a synthetic run by hand, and a whole run folder, as docs/run-folder.md says that a study leaves it."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tests.report.rows import row as language_model_row
from tests.report.rows import run_of, table

from demograd.files import write_json, write_table, write_yaml
from demograd.report import ReportedRun
from demograd.words import COLUMNS

SEQUENCES = 4096
WORLD = "isotropic"


def row(metric: str, value: float | None, *, around: float = 0.004, n_seeds: int = 5, **about: Any) -> dict[str, Any]:
    """A network's number over training seeds, with an interval of ± `around`; `about` replaces any column."""
    sure: dict[str, Any] = {}
    if value is not None:
        several = n_seeds > 1
        sure = {
            "ci_low": value - around,
            "ci_high": value + around,
            "std": around / 2 if n_seeds > 2 else None,
            "interval": "demonstrations" if several else "conditional",
        }
    return {
        **dict.fromkeys(COLUMNS),
        "task": WORLD,
        "k": 10,
        "dtype": "float32",
        "model": "linear, 1 layer",
        "weights": "trained",
        "setting": "TF",
        "metric": metric,
        "reading": "plain",
        "value": value,
        **sure,
        "n": SEQUENCES * n_seeds,
        "n_missing": 0,
        "n_seeds": n_seeds,
        "status": "ok" if value is not None else "missing",
        **about,
    }


def reference(metric: str, value: float | None, method: str, **about: Any) -> dict[str, Any]:
    """A reference's number: it has no network, no weights and no training seeds."""
    alone = {
        "model": None,
        "weights": None,
        "setting": "reference",
        "method": method,
        "interval": "conditional",
        "std": None,
        "n": SEQUENCES,
    }
    return row(metric, value, **{**alone, **about})


def synthetic_run(*rows: dict[str, Any], **facts: Any) -> ReportedRun:
    """A synthetic run of these rows that was never written to a folder."""
    from tests.study.synthetic.evidence import record_of

    study = {"kind": "synthetic", "context": 10, "worlds": {}}
    claimed = [row for row in rows if row["metric"] != "loss_ratio_by_position"]  # which asks for its world
    return run_of(*rows, study=study, **{"claims": record_of(claimed, 10, {}), **facts})


def write_synthetic_run(folder: Path, rows: Iterable[dict[str, Any]] | None = None, **study: Any) -> Path:
    """A run folder of these rows; without any, of everything that a synthetic run can measure."""
    from tests.study.synthetic.evidence import record_of

    folder.mkdir(parents=True, exist_ok=True)
    rows = list(everything() if rows is None else rows)
    write_table(folder / "results.parquet", table(rows))
    settings = {
        "kind": "synthetic",
        "name": "everything",
        "about": "all worlds and measures",
        "context": 10,
        "worlds": {
            WORLD: {"kind": "linear", "dimension": 10, "inputs": "uniform"},
            "exponential kernel": {"kind": "kernel", "dimension": 5, "kernel": "exponential"},
            "orthogonal system": {"kind": "system", "dimension": 3, "noise": 0.1},
        },
        "networks": {"linear, 1 layer": {"attention": "linear", "layers": 1}},
        "seeds": [0, 1, 2, 3, 4],
        "training": {"steps": 3000, "batch": 512, "learning_rate": 0.01},
        "test_sequences": SEQUENCES,
    }
    settings |= study
    write_yaml(folder / "study.yaml", settings)
    write_json(folder / "claims.json", record_of(rows, settings["context"], settings["worlds"]))
    write_json(folder / "provenance.json", {"demograd": "0.1.0", "seconds": 171.2, "notes": []})
    write_json(folder / "matrices.json", list(matrices()))
    return folder


def everything() -> Iterator[dict[str, Any]]:
    """Three worlds with all that there is to see in them, plausible but made up."""
    yield from _constructions()
    yield from _regression()
    yield from _kernel()
    yield from _system()
    yield from _beside()


def _constructions() -> Iterator[dict[str, Any]]:
    for name, error in (("one GD step", 4.4e-15), ("GD++", 3.1e-14), ("mesa-optimiser", 0.0)):
        about = {
            "task": None,
            "model": None,
            "weights": "constructed",
            "setting": "construction",
            "method": name,
            "dtype": "float64",
            "n": 100,
            "interval": None,
            "k": None,
        }
        yield row("construction_error", error, **about, ci_low=None, ci_high=None, n_seeds=1)


def _regression() -> Iterator[dict[str, Any]]:
    losses = {"linear, 1 layer": (1.934, "GD, 1 step", 1.931), "linear, 3 layers": (0.0412, "GD, 3 steps", 0.131)}
    for network, (loss, name, of_reference) in losses.items():
        yield row("loss", loss, model=network, around=0.01 * loss)
        about = {"model": network, "method": name}
        yield row("loss_ratio", loss / of_reference, **about)
        yield row("prediction_difference", 0.031, **about)
        yield row("sensitivity_cosine", 0.998 if "1" in network else 0.71, **about, around=0.001)
        yield row("sensitivity_distance", 0.022, **about)
        yield reference("loss", of_reference, name)
        for step in np.unique(np.geomspace(1, 3000, 30).round()):
            curve = loss + 8 * np.exp(-step / 200)
            yield row("training_loss", curve, model=network, step=step, around=0.03 * curve)
            for seed in range(5):
                yield row("training_loss", curve, model=network, step=step, seed=seed, n_seeds=1)
        for scale in (0.5, 1.0, 1.5, 2.0, 3.0):
            yield row("loss_at_scale", loss * scale**4, model=network, at=scale, around=0.05 * loss)
            yield reference("loss_at_scale", of_reference * scale**3, name, at=scale)
        for k in (4, 20, 40):
            yield row("loss", loss * 10 / k, model=network, k=k)
            yield reference("loss", of_reference * 10 / k, name, k=k)
        yield row("order_sensitivity_relative", 2.1e-7, model=network, around=1e-8)
        for at in (1e-3, 1e-2, 1e-1):
            for layer in (None, 0):
                yield row("sparsity_ratio", min(1.0, 5 * at), model=network, at=at, layer=layer)
                yield row("sparsity_ratio_products", 0.9, model=network, at=at, layer=layer, setting=None)
    yield reference("loss", 3e-12, "least squares", ci_low=2e-12, ci_high=4e-12)
    yield reference("loss", 0.02, "least squares", k=4)
    for mix in (0.0, 0.25, 0.5, 0.75, 1.0):
        yield row("loss_interpolated", 1.934 + 0.01 * mix, method="GD, 1 step", at=mix)
    for layers in (1, 2, 3, 4):
        yield row("loss_by_layers", 4.0 / 4**layers, model="linear attention", at=layers, around=0.005)
        yield reference("loss_by_layers", 4.0 / 2**layers, "GD", at=layers, around=0.005)
    yield row("preconditioner_distance", 0.021, method="closed form (Ahn 2023)")
    yield reference("order_sensitivity_relative", 1.3e-7, "GD, 1 step", around=1e-8)
    for name, spread in (("GD, 3 steps", 1.2e-7), ("GD, 3 steps, causal", 0.21)):
        yield reference("order_sensitivity_relative", spread, name, setting="construction", weights="constructed")
    yield row("loss", None, model="relu, 1 layer", status="diverged at step 120 (5 of 5 training seeds)")


def _kernel() -> Iterator[dict[str, Any]]:
    world = {"task": "exponential kernel"}
    for network, loss in (("exponential", 0.210), ("relu", 0.234), ("linear", 0.301)):
        yield row("loss", loss, model=network, **world)
        if network != "exponential":
            yield row("loss_margin", loss - 0.210, model=network, method="exponential", **world)


def _system() -> Iterator[dict[str, Any]]:
    world = {"task": "orthogonal system"}
    for t in range(1, 11):
        error = 0.1 + 2.0 * np.exp(-t / 2)
        yield row("loss_by_position", error * 1.03, model="linear, 3 layers", at=t, **world, around=0.01 * error)
        yield reference("loss_by_position", error, "regularised least squares", at=t, **world)
        yield row(
            "loss_ratio_by_position",
            1.3 if t < 4 else 1.03,
            model="linear, 3 layers",
            at=t,
            **world,
            method="regularised least squares",
        )


def _beside() -> Iterator[dict[str, Any]]:
    """The rows of a language model's study."""
    yield language_model_row("order_sensitivity", "ICL", 3.1e-6, ci_low=3e-6, ci_high=3.4e-6, std=None)
    for setting, accuracy in (("ZSL", 0.52), ("ICL", 0.71)):
        yield language_model_row("accuracy", setting, accuracy)
    for at in (1e-3, 1e-2, 1e-1):
        for layer in (None, 0, 1):
            yield language_model_row("sparsity_ratio", None, 3 * at, task=None, k=None, at=at, layer=layer)


def matrices() -> Iterator[dict[str, Any]]:
    """Of two seeds, one layer each."""
    random = np.random.default_rng(0)
    ideal = np.diag([1.0] * 10 + [0.0])
    for seed in (0, 1):
        for product in ("KᵀQ", "PV"):
            trained = (ideal + 0.03 * random.standard_normal((11, 11))).tolist()
            yield {
                "world": WORLD,
                "network": "linear, 1 layer",
                "seed": seed,
                "layer": 0,
                "what": product,
                "trained": trained,
                "theories": {"GD, 1 step": ideal.tolist()},
                "in_use": (np.arange(11) == 10)[:, None].repeat(11, 1).tolist()
                if product == "PV"
                else (np.arange(11) < 10)[None].repeat(11, 0).tolist(),
            }
