"""Deutch 2024: how much of the similarity between ICL and fine-tuning is learning?

First the paper's argument against normalising (§3.1): updates that share nothing score 1/4. Then trained and untrained
weights under GD and layer-causal GD (§3.3, §4): without normalisation, with it, and the specificity, which is what is
left when the score of in-context learning with one set of demonstrations and fine-tuning on *another* is subtracted.
"""

import argparse

import torch
from torch import Tensor

from demograd import (
    GradientDescent,
    LayerCausalGradientDescent,
    Model,
    Observation,
    Task,
    fine_tuned,
    load_model,
    load_task,
    metrics,
    observe,
    statistics,
)

Method = GradientDescent | LayerCausalGradientDescent
Scores = dict[str, float]
WEIGHTS = ("trained", "norms_only", "no_training")
"""`norms_only` is what the paper's row "No Training" is in nine of ten cells: all norms were kept."""

SETS = 3
"""Demonstration sets that are matched: enough to show how, too few to decide anything (that takes seven)."""


def unrelated_updates() -> Scores:
    """Updates of ICL and FT that are orthogonal to each other and to h_ZSL = z, with ‖r‖² = ‖r′‖² = 3‖z‖²."""
    z, r, r_ = torch.eye(3)
    zsl, icl, ft = (_outputs(h) for h in (z, z + 3**0.5 * r, z + 3**0.5 * r_))
    return {"SimAOU": metrics.sim_aou(zsl, icl, ft).item(), "SimAOU_norm": metrics.sim_aou_norm(zsl, icl, ft).item()}


def _outputs(h: Tensor) -> Observation:
    """An observation of one query of a network with one layer; nothing but its attention output matters here."""
    return Observation(h[None, None], [torch.zeros(1, 1, 1)], torch.zeros(1, 2), torch.tensor([0]))


def similarities(model: Model, task: Task, k: int, n_queries: int, method: Method) -> Scores:
    """Scores of ICL against FT on the same demonstrations, and their specificity, by matching.

    Every set's ICL is scored against every set's FT. If FT on a set does what ICL does with that set, the pairs of one
    set with itself score higher than those of two sets.
    """
    queries = task.queries(n_queries)
    zero_shot = task.prompts(model.tokenizer, queries)
    zsl = observe(model, zero_shot)
    icl, ft = [], []
    for demonstrations in task.demonstration_sets(k, seeds=range(SETS)):
        icl.append(observe(model, task.prompts(model.tokenizer, queries, demonstrations)))
        with fine_tuned(model, task.training_sequences(model.tokenizer, demonstrations), method) as tuned:
            ft.append(observe(tuned, zero_shot))

    scores = {}
    for title, metric in (("SimAOU", metrics.sim_aou), ("SimAM_Δ", metrics.sim_am_delta)):
        matrix = torch.tensor([[statistics.aggregate(metric(zsl, of_i, of_j)).value for of_j in ft] for of_i in icl])
        matched = matrix.diagonal().mean().item()
        mismatched = matrix[~torch.eye(SETS, dtype=torch.bool)].mean().item()
        scores[title] = matched
        scores[f"{title} specificity"] = matched - mismatched
    for title, metric in (("SimAOU_norm", metrics.sim_aou_norm), ("SimAM", metrics.sim_am)):
        of_pairs = [statistics.aggregate(metric(zsl, of_i, of_j)).value for of_i, of_j in zip(icl, ft, strict=True)]
        scores[title] = sum(of_pairs) / SETS
    return scores


def main(arguments: list[str] | None = None) -> dict[tuple[str, str], Scores]:
    """Print the table: weights and method down, scores across."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--task", default="sst2")
    parser.add_argument("--k", type=int, default=16, help="demonstrations")
    parser.add_argument("--queries", type=int, default=32)
    parser.add_argument("--gd-rate", type=float, default=0.003)
    parser.add_argument("--lcgd-rate", type=float, default=0.001)
    options = parser.parse_args(arguments)

    methods = {
        "GD": GradientDescent(learning_rate=options.gd_rate),
        "LCGD": LayerCausalGradientDescent(learning_rate=options.lcgd_rate),
    }
    task = load_task(options.task)
    table = {("unrelated updates", "–"): unrelated_updates()}
    for weights in WEIGHTS:
        model = load_model(options.model, weights=weights)
        for name, method in methods.items():
            table[weights, name] = similarities(model, task, options.k, options.queries, method)

    titles = list(table["trained", "GD"])
    print(f"{'':26}" + "".join(f"{title:>20}" for title in titles))
    for (weights, name), scores in table.items():
        numbers = (f"{scores[title]:20.3f}" if title in scores else f"{'':20}" for title in titles)
        print(f"{weights:20}{name:6}" + "".join(numbers))
    return table


if __name__ == "__main__":
    main()
