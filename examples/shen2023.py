"""Shen 2023: is ICL gradient descent? Three tests that need no look inside the model, and one that does.

Order: equal algorithms are equally sensitive to the order of the demonstrations (Theorem 1); full-batch GD is not
sensitive at all. Output: ICL and FT find other next tokens probable, beside ICL with the demonstrations in another
order. Weights: constructions of GD by hand need nearly all weights of an attention matrix to be zero.
"""

import argparse
from collections.abc import Sequence

from demograd import GradientDescent, Model, Observation, Task, fine_tuned, load_model, load_task, metrics, observe

Table = dict[str, float]
THRESHOLDS = (1e-4, 1e-3, 1e-2)
"""Magnitudes under which a weight counts as zero."""


def behaviour(model: Model, task: Task, k: int, n_queries: int, n_orders: int, learning_rate: float) -> Table:
    """Order sensitivity (Figure 4) and overlap of the output distributions (Figure 5)."""
    queries = task.queries(n_queries)
    orders = [task.demonstrations(k, permutation=number) for number in range(n_orders)]

    def in_context(demonstrations) -> Observation:
        prompts = task.prompts(model.tokenizer, queries, demonstrations)
        return observe(model, prompts, extras=["next_token_log_probs"])

    def after(demonstrations, step: str) -> Observation:
        sequences = task.training_sequences(model.tokenizer, demonstrations)
        with fine_tuned(model, sequences, GradientDescent(learning_rate=learning_rate, step=step)) as tuned:
            return observe(tuned, task.prompts(model.tokenizer, queries), extras=["next_token_log_probs"])

    icl = [in_context(order) for order in orders]
    sgd = [after(order, "demonstration") for order in orders]
    full_batch = [after(order, "batch") for order in orders]
    return {
        "order sensitivity: ICL": metrics.order_sensitivity(icl).mean().item(),
        "order sensitivity: SGD": metrics.order_sensitivity(sgd).mean().item(),
        "order sensitivity: full-batch GD": metrics.order_sensitivity(full_batch).mean().item(),
        "Token Overlap: ICL, ICL reordered": metrics.token_overlap(icl[0], icl[1]).mean().item(),
        "Token Overlap: ICL, SGD": metrics.token_overlap(icl[0], sgd[0]).mean().item(),
        "OCS: ICL, ICL reordered": metrics.overlap_cosine_similarity(icl[0], icl[1]).mean().item(),
        "OCS: ICL, SGD": metrics.overlap_cosine_similarity(icl[0], sgd[0]).mean().item(),
    }


def sparsity(model: Model, thresholds: Sequence[float] = THRESHOLDS) -> Table:
    """Share of small weights in the attention matrices, mean over layers (Figure 2); and what a construction has."""
    matrices = {
        layer: [weight for weight in attention.parameters() if weight.dim() == 2]
        for layer, attention in enumerate(model.anatomy.attentions)
    }
    means = metrics.sparsity_ratio(matrices, thresholds).mean(dim=0)
    table = {f"share of |w| < {threshold:g}": mean for threshold, mean in zip(thresholds, means.tolist(), strict=True)}
    return table | {"the same in a construction": construction_sparsity(model.anatomy.network.config.hidden_size)}


def construction_sparsity(width: int) -> float:
    """Share of zeros in the four matrices by which a linear attention head makes a GD step on tokens (x, y).

    W_K = W_Q = diag(I, 0), W_V = [[0, 0], [W₀, −1]], P = (η / N) I (von Oswald 2023a).
    """
    nonzero = 2 * (width - 1) + width + width
    return 1 - nonzero / (4 * width**2)


def main(arguments: list[str] | None = None) -> Table:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--task", default="agnews")
    parser.add_argument("--k", type=int, default=8, help="demonstrations")
    parser.add_argument("--queries", type=int, default=24)
    parser.add_argument("--orders", type=int, default=10)
    parser.add_argument("--learning-rate", type=float, default=0.003)
    options = parser.parse_args(arguments)

    model, task = load_model(options.model), load_task(options.task)
    table = behaviour(model, task, options.k, options.queries, options.orders, options.learning_rate) | sparsity(model)
    for name, value in table.items():
        print(f"{name:40}{value:12.3g}")
    return table


if __name__ == "__main__":
    main()
