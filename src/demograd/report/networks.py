"""The numbers of a synthetic run by subject (docs/run-folder.md, "A synthetic run"), and its metrics."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from demograd.statistics.number import Number, number_of, written
from demograd.words import Setting, Subject

if TYPE_CHECKING:
    from demograd.report.run import ReportedRun

SETTINGS = (Setting.TF, Setting.CONSTRUCTION, Setting.REFERENCE)
"""The settings of synthetic studies."""
KINDS = {
    "linear": "linear regression, y = w·x + ε",
    "kernel": "regression on functions drawn by a kernel",
    "sine": "regression on sines",
    "system": "linear systems, s(t+1) = W s(t) + ε",
}
"""Kind of a world → what is to be predicted there."""


def synthetic_rows(results: pd.DataFrame) -> pd.DataFrame:
    """The rows of synthetic settings over all training seeds and layers."""
    is_synthetic = results["setting"].isin(SETTINGS)
    return results[is_synthetic & results[["seed", "layer", "head"]].isna().all(axis=1)]


def of_context(rows: pd.DataFrame, context: int | None) -> pd.DataFrame:
    """The rows with as many examples as the networks were trained on, and those that have no number of examples."""
    return rows[rows["k"].isna() | (rows["k"] == context)]


def by_subject(rows: pd.DataFrame, metric: str, setting: str = Setting.TF) -> dict[Subject, Number]:
    """A metric of each subject that has it, in the order of the results; not its values at some `at` or step."""
    whole = rows[(rows["metric"] == metric) & (rows["setting"] == setting) & rows[["at", "step"]].isna().all(axis=1)]
    return {subject(row): number_of(row) for row in whole.to_dict("records")}


def by_seed(results: pd.DataFrame, metric: str) -> dict[Subject, list[float]]:
    """A metric of each network that has it, one number per training seed; missing numbers are left out."""
    values: dict[Subject, list[float]] = {}
    rows = results[(results["metric"] == metric) & (results["setting"] == Setting.TF) & results["seed"].notna()]
    for row in rows[rows[["at", "step"]].isna().all(axis=1) & rows["value"].notna()].to_dict("records"):
        values.setdefault(subject(row), []).append(float(row["value"]))
    return values


def subject(row: Mapping[Any, Any]) -> Subject:
    """The subject of a row of the results."""
    names = (row[column] for column in ("task", "model", "method"))
    return Subject(*("" if pd.isna(name) else str(name) for name in names))


def worlds_of(subjects: Iterable[Subject]) -> list[str]:
    """The worlds of subjects, in their order."""
    return list(dict.fromkeys(subject.world for subject in subjects))


def seeds(n: int) -> str:
    """`5 training seeds`."""
    return f"{n} training seed{'s' * (n != 1)}"


def network_table(run: "ReportedRun") -> pd.DataFrame:
    """What a terminal shows: formatted text, a row per network and reference that it is held against.

    Numbers to compute with are in `run.results`.
    """
    rows = run.networks_at_context
    losses, cosines = by_subject(rows, "loss"), by_subject(rows, "sensitivity_cosine")
    lines = []
    for subject, ratio in by_subject(rows, "loss_ratio").items():
        loss, cosine = losses.get(subject._replace(reference="")), cosines.get(subject)
        lines.append(
            {
                **subject._asdict(),
                "loss": loss.text if loss else "",
                "loss ratio": written(ratio),
                "sensitivity cosine": written(cosine) if cosine else "",
            }
        )
    return pd.DataFrame(lines)


@dataclass(frozen=True)
class Definition:
    """A metric as a page shows it."""

    title: str
    definition: str
    source: str


_FIGURE_2 = "von Oswald 2023a, Figure 2"
DEFINITIONS = {
    "loss": Definition("loss", "mean squared error of the query’s y, or of a linear system’s next states", _FIGURE_2),
    "loss_ratio": Definition(
        "loss ratio", "mean loss of the network over that of the reference, on the same test sequences", "demograd"
    ),
    "loss_margin": Definition(
        "loss margin", "loss minus that of the network whose attention is the world’s kernel, paired", "Cheng 2024"
    ),
    "prediction_difference": Definition("prediction difference", "mean of ‖ŷ_TF − ŷ_reference‖", _FIGURE_2),
    "sensitivity_cosine": Definition(
        "sensitivity cosine", "mean cosine of ∂ŷ_TF/∂x and ∂ŷ_reference/∂x, at the query’s x", _FIGURE_2
    ),
    "sensitivity_distance": Definition(
        "sensitivity distance", "mean of ‖∂ŷ_TF/∂x − ∂ŷ_reference/∂x‖, at the query’s x", _FIGURE_2
    ),
    "copying_sensitivity": Definition(
        "sensitivity of copied tokens",
        "norm of the derivative of an x’s token after the first layer by its contents, the next token’s, or others’",
        "von Oswald 2023a, §4",
    ),
    "squared_prediction_difference": Definition(
        "squared prediction difference", "SPD: mean of ‖ŷ_TF − ŷ_reference‖²", "Akyürek 2023"
    ),
    "implicit_weight_distance": Definition(
        "implicit weight distance",
        "ILWD: mean of ‖w_TF − w_reference‖², w being the linear rule nearest to the predictions at fresh queries",
        "Akyürek 2023",
    ),
    "linearity": Definition(
        "linearity", "R² of that linear rule: share of the squares of the network’s predictions", "Akyürek 2023"
    ),
    "preconditioner_distance": Definition(
        "distance of preconditioners", "‖A_TF − A‖ / ‖A‖, Frobenius norm, with A in closed form", "Ahn 2023, Theorem 1"
    ),
    "multiple_distance": Definition(
        "distance from multiples",
        "‖M − (tr M / d) I‖ / ‖M‖ with M = Σ^½ A Σ^½, and with M = B, where KᵀQ does A and PV does −B to x; mean over "
        "layers",
        "Ahn 2023, Figure 3",
    ),
    "training_loss": Definition("training loss", "mean loss on fresh sequences since the point before", "demograd"),
    "loss_at_scale": Definition(
        "loss at an input scale", "loss where every x was multiplied by a factor before its y was computed", _FIGURE_2
    ),
    "loss_at_task_scale": Definition(
        "loss at a task scale", "loss where every w was multiplied by a factor", "von Oswald 2023a"
    ),
    "loss_at_noise": Definition(
        "loss at a noise", "loss where noise of this standard deviation was added to every y", "von Oswald 2023a"
    ),
    "loss_with_distractors": Definition(
        "loss with distractors", "loss where the y of so many examples were drawn from N(0, 1)", "von Oswald 2023a"
    ),
    "loss_repeated": Definition(
        "loss of a repeated layer",
        "loss after one layer was applied so many times, each token’s y taking the share λ of its update",
        "von Oswald 2023a",
    ),
    "loss_ratio_repeated": Definition(
        "loss ratio of a repeated layer",
        "loss of the repeated layer over that of as many GD steps of λ times the best rate for one step",
        "demograd",
    ),
    "loss_by_layers": Definition(
        "loss by layers", "loss of so many layers, and of as many steps of a reference", "von Oswald 2023a; Ahn 2023"
    ),
    "loss_by_context": Definition(
        "loss by context",
        "loss with so many examples, of networks that were trained and references that were tuned with as many",
        "Ahn 2023; Cheng 2024",
    ),
    "loss_by_position": Definition(
        "loss by position", "mean squared error of the next state, after so many states", "von Oswald 2023b"
    ),
    "loss_ratio_by_position": Definition(
        "loss ratio by position", "loss by position over that of the reference, on the same test sequences", "demograd"
    ),
    "few_shot_loss": Definition(
        "few-shot loss",
        "mean squared error of y where the states are x, y, x, y, … of a regression problem, after so many pairs",
        "von Oswald 2023b",
    ),
    "probe_error": Definition(
        "error of a probe",
        "mean of ‖target − B token‖² over that of ‖target‖², with the best B of each time, on other trajectories",
        "von Oswald 2023b",
    ),
    "loss_interpolated": Definition(
        "loss of interpolated weights",
        "loss of (1 − mix) × trained + mix × constructed, in KᵀQ and PV, the trained ones rescaled to be comparable",
        _FIGURE_2,
    ),
    "clamped_share": Definition(
        "share of clamped tokens", "share of tokens, over layers, of which a component lies at the bound", "demograd"
    ),
    "construction_error": Definition(
        "construction error",
        "largest difference between a construction and what it should do, over random instances in float64",
        "demograd",
    ),
    "sparsity_ratio_products": Definition(
        "sparsity ratio of products",
        "share of the entries of KᵀQ and PV in use under the threshold × the largest entry of their matrix",
        "after Shen 2023, Figure 2",
    ),
    "order_sensitivity_relative": Definition(
        "relative order sensitivity",
        "standard deviation of the prediction over orders of the same examples, over the root mean square prediction",
        "after Shen 2023, Figure 4",
    ),
}
"""Metric → definition, in the order in which pages show them."""
