"""Dai 2023: do ICL and fine-tuning on the same demonstrations predict, represent and attend alike?

Scores over all queries, and over the *corrected* ones, as in the paper: wrong zero-shot, right in ICL and in FT. Beside
each stands what chance gives. One demonstration set decides nothing: `demograd run dai2023` takes five, and asks
whether other demonstrations would have scored the same.
"""

import argparse
from math import nan

from demograd import GradientDescent, Model, Task, fine_tuned, load_model, load_task, metrics, observe, statistics

Table = dict[str, tuple[float, float, float]]
"""Score → over all queries, over corrected queries, by chance; NaN is missing."""


def compare(model: Model, task: Task, k: int, n_queries: int, learning_rate: float) -> Table:
    """The paper's metrics, on one demonstration set."""
    demonstrations, queries = task.demonstrations(k), task.queries(n_queries)
    zero_shot = task.prompts(model.tokenizer, queries)
    in_context = task.prompts(model.tokenizer, queries, demonstrations)
    sequences = task.training_sequences(model.tokenizer, demonstrations)

    zsl = observe(model, zero_shot)
    icl = observe(model, in_context, extras=["context_logits"])
    method = GradientDescent(learning_rate=learning_rate)
    with fine_tuned(model, sequences, method, record_training_queries=True) as tuned:
        ft = observe(tuned, zero_shot, extras=["query_vectors"])

    spans, training_queries = in_context.demonstration_spans, tuned.training_queries
    attention = metrics.attention_to_demonstrations(icl, ft, spans, training_queries)
    by_chance = metrics.random_attention_to_demonstrations(icl, spans)
    corrected = metrics.selected(zsl, icl, ft, "corrected")

    def row(scores, chance=None):
        """Means over heads, queries and layers; a score without a baseline has none."""
        by_chance = nan if chance is None else statistics.aggregate(chance).value
        return statistics.aggregate(scores).value, statistics.aggregate(scores[corrected]).value, by_chance

    return {
        "Rec2FTP": row(metrics.rec2ftp(zsl, icl, ft)[:, None], metrics.rec2ftp_base_rate(zsl, icl)[:, None]),
        "SimAOU": row(metrics.sim_aou(zsl, icl, ft), metrics.random_sim_aou_centred(zsl, icl)),
        "SimAM": row(metrics.sim_am(zsl, icl, ft)),
        "attention to demonstrations, Kendall τ": row(attention.kendall_by_token, by_chance.kendall_by_token),
        "attention to demonstrations, recall": row(attention.recall_by_token, by_chance.recall_by_token),
        "share of queries": (1.0, corrected.float().mean().item(), nan),
    }


def main(arguments: list[str] | None = None) -> Table:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--task", default="agnews")
    parser.add_argument("--k", type=int, default=16, help="demonstrations")
    parser.add_argument("--queries", type=int, default=48)
    parser.add_argument("--learning-rate", type=float, default=0.003)
    options = parser.parse_args(arguments)

    table = compare(
        load_model(options.model), load_task(options.task), options.k, options.queries, options.learning_rate
    )
    print(f"{'':40}{'all':>10}{'corrected':>12}{'chance':>10}")
    for name, (over_all, over_corrected, chance) in table.items():
        print(f"{name:40}{over_all:10.3f}{over_corrected:12.3f}{chance:10.3f}")
    return table


if __name__ == "__main__":
    main()
