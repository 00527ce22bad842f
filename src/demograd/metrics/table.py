"""The metrics by name: what `demograd list metrics` shows and a study may ask for."""

from math import inf

from demograd.metrics.metric import Metric
from demograd.words import Extra

_DAI, _DEUTCH, _SHEN, _OURS = "Dai 2023", "Deutch 2024", "Shen 2023", "demograd"
_COSINE, _SHARE, _SIZE, _LOG_PROBABILITY = (-1.0, 1.0), (0.0, 1.0), (0.0, inf), (-inf, 0.0)
_NEXT_TOKEN: frozenset[Extra] = frozenset({"next_token_log_probs"})
_ATTENTION: frozenset[Extra] = frozenset({"context_logits", "query_vectors"})
_ONE, _TWO = ("observation",), ("a", "b")


def _attention_to_demonstrations() -> dict[str, Metric]:
    """How alike ICL and FT weigh the demonstrations, in four ways, and what chance gives."""
    rows = {}
    ranks, tops = "Kendall's τ between ICL's and FT's weights", "share of FT's 100 tokens (5 demonstrations) in ICL's"
    kinds = (("kendall", "Kendall's τ", ranks, _COSINE), ("recall", "top recall", tops, _SHARE))
    for statistic, what, definition, bounds in kinds:
        for unit in ("token", "demonstration"):
            name, title = f"attention_{statistic}_by_{unit}", f"{what} of attention to demonstrations, by {unit}"
            rows[name] = Metric(
                "attention_to_demonstrations", title, f"{definition}, by {unit}", _DAI,
                "attention", bounds, ("icl", "ft", "spans", "training_queries"), needs=_ATTENTION,
            )  # fmt: skip
            rows[f"random_{name}"] = Metric(
                "random_attention_to_demonstrations", f"{title}, random", f"{title}: ICL's against random weights",
                _DAI, "attention", bounds, ("icl", "spans"), needs=frozenset({"context_logits"}),
            )  # fmt: skip
    return rows


METRICS: dict[str, Metric] = {
    "sim_aou": Metric(
        "sim_aou",
        "SimAOU",
        "cos(h_ICL − h_ZSL, h_FT − h_ZSL), h being a layer's attention output at the query's last token",
        f"{_DAI} as corrected by {_DEUTCH}, §3.1",
        "similarity",
        _COSINE,
    ),
    "sim_aou_norm": Metric(
        "sim_aou_norm",
        "SimAOU_norm",
        "SimAOU after each h is divided by its norm; biased: unrelated updates score above zero",
        f"{_DAI}; {_DEUTCH}, §2.2 and §3.1",
        "similarity",
        _COSINE,
    ),
    "random_sim_aou": Metric(
        "random_sim_aou",
        "random SimAOU",
        "cos(h_ICL − h_ZSL, r), r uniform in [0, 1)",
        f"{_DAI}, as released",
        "similarity",
        _COSINE,
        ("zsl", "icl"),
    ),
    "random_sim_aou_centred": Metric(
        "random_sim_aou",
        "random SimAOU, centred",
        "cos(h_ICL − h_ZSL, r), r uniform in [−½, ½)",
        _OURS,
        "similarity",
        _COSINE,
        ("zsl", "icl"),
        options={"kind": "centred"},
    ),
    "random_sim_aou_minus_zsl": Metric(
        "random_sim_aou",
        "random SimAOU, r − h_ZSL",
        "cos(h_ICL − h_ZSL, r − h_ZSL), r uniform in [0, 1)",
        f"{_DAI}; {_DEUTCH}, §2.2",
        "similarity",
        _COSINE,
        ("zsl", "icl"),
        options={"kind": "minus_zsl"},
    ),
    "sim_aou_mean_removed": Metric(
        "sim_aou_mean_removed",
        "SimAOU, mean removed",
        "SimAOU after each update's mean over queries is subtracted",
        _OURS,
        "similarity",
        _COSINE,
    ),
    "sim_aou_norm_mean_removed": Metric(
        "sim_aou_norm_mean_removed",
        "SimAOU_norm, mean removed",
        "SimAOU_norm after each update's mean over queries is subtracted",
        _OURS,
        "similarity",
        _COSINE,
    ),
    "random_sim_aou_mean_removed": Metric(
        "random_sim_aou_mean_removed",
        "random SimAOU, mean removed",
        "random SimAOU after each update's mean over queries is subtracted",
        _OURS,
        "similarity",
        _COSINE,
        ("zsl", "icl"),
    ),
    "sim_am": Metric(
        "sim_am",
        "SimAM",
        "cos(m_ICL, m_FT) per head, m being the last token's attention logits over the query",
        f"{_DAI}; {_DEUTCH}, §2.3",
        "similarity",
        _COSINE,
        per="head",
    ),
    "sim_am_delta": Metric(
        "sim_am_delta",
        "SimAM_Δ",
        "cos(m_ICL − m_ZSL, m_FT − m_ZSL) per head",
        f"{_DEUTCH}, §3.2",
        "similarity",
        _COSINE,
        per="head",
    ),
    "sim_am_centred": Metric(
        "sim_am_centred",
        "SimAM_centred",
        "SimAM after each row's mean over tokens is subtracted: softmax ignores a constant",
        _OURS,
        "similarity",
        _COSINE,
        per="head",
    ),
    "sim_am_delta_centred": Metric(
        "sim_am_delta_centred",
        "SimAM_Δ_centred",
        "SimAM_Δ after each row's mean over tokens is subtracted",
        _OURS,
        "similarity",
        _COSINE,
        per="head",
    ),
    "alpha": Metric(
        "alpha",
        "α",
        "cos(m_LCGD − m_ZSL, m_GD − m_ZSL) per head: SimAM_Δ of two ways of fine-tuning",
        f"{_DEUTCH}, §B.1",
        "similarity",
        _COSINE,
        ("zsl", "gd", "lcgd"),
        "head",
    ),
    "layer_by_layer_sim_aou": Metric(
        "layer_by_layer_sim_aou",
        "SimAOU, layer × layer′",
        "cos(u_ICL(l), u_FT(l′)) for every pair of layers: the relaxed correspondence",
        f"{_DEUTCH}, footnote 1 and §7",
        "similarity",
        _COSINE,
        per="layer_pair",
    ),
    **_attention_to_demonstrations(),
    "implicit_update": Metric(
        "implicit_update",
        "implicit update",
        "cos(Σ_demonstrations v kᵀ, Σ_query (v′k′ᵀ − v kᵀ)) per key head, ′ after fine-tuning",
        f"from {_DAI}'s derivation",
        "dual form",
        _COSINE,
        per="head",
    ),
    "implicit_update_weighted": Metric(
        "implicit_update_weighted",
        "implicit update, weighted",
        "the same with every term weighted by the attention that the last token pays it",
        f"from {_DAI}'s derivation",
        "dual form",
        _COSINE,
        per="head",
    ),
    "implicit_update_validity": Metric(
        "implicit_update_validity",
        "implicit update, validity",
        "cos(ΔW_ICL q, true change of the head's output): below one half the linear dual form is not valid here",
        _OURS,
        "dual form",
        _COSINE,
        per="head",
    ),
    "relative_update_size": Metric(
        "relative_update_size",
        "update size",
        "‖h − h_ZSL‖ / ‖h_ZSL‖ of ICL or FT",
        _OURS,
        "size",
        _SIZE,
        ("zsl", "other"),
    ),
    "update_size_ratio": Metric(
        "update_size_ratio",
        "update size ratio",
        "‖h_FT − h_ZSL‖ / ‖h_ICL − h_ZSL‖",
        _OURS,
        "size",
        _SIZE,
    ),
    "accuracy": Metric(
        "accuracy",
        "accuracy",
        "share of queries predicted right",
        "all",
        "performance",
        _SHARE,
        _ONE,
        "setting",
    ),
    "macro_f1": Metric(
        "macro_f1",
        "macro-F1",
        "F1 averaged over classes, gold or predicted",
        "all",
        "performance",
        _SHARE,
        _ONE,
        "setting",
    ),
    "auc": Metric(
        "auc",
        "AUC",
        "how often a query of a class scores above one that is not; one against the rest",
        "all",
        "performance",
        _SHARE,
        _ONE,
        "setting",
    ),
    "calibrated_accuracy": Metric(
        "calibrated_accuracy",
        "calibrated accuracy",
        "accuracy with the threshold at the median score; two classes only",
        "all",
        "performance",
        _SHARE,
        _ONE,
        "setting",
    ),
    "label_log_likelihood": Metric(
        "label_log_likelihood",
        "label log-likelihood",
        "mean log-probability of the gold label's tokens",
        "all",
        "performance",
        _LOG_PROBABILITY,
        _ONE,
        "query",
    ),
    "normalised_label_log_likelihood": Metric(
        "normalised_label_log_likelihood",
        "normalised label log-likelihood",
        "log-probability of the gold label among the label words",
        "all",
        "performance",
        _LOG_PROBABILITY,
        _ONE,
        "query",
    ),
    "format": Metric(
        "format_log_likelihood",
        "format",
        "log-probability of any label word at all, among all words; counts as no learning of a task",
        _OURS,
        "performance",
        (-inf, inf),
        _ONE,
        "query",
    ),
    "rec2ftp": Metric(
        "rec2ftp",
        "Rec2FTP",
        "of the queries wrong in ZSL and right in FT, the share right in ICL",
        _DAI,
        "performance",
        _SHARE,
        per="query",
    ),
    "rec2ftp_base_rate": Metric(
        "rec2ftp_base_rate",
        "Rec2FTP's base rate",
        "of the queries wrong in ZSL, the share right in ICL: what Rec2FTP is where FT does not matter",
        _OURS,
        "performance",
        _SHARE,
        ("zsl", "icl"),
        "query",
    ),
    "token_overlap": Metric(
        "token_overlap",
        "Token Overlap",
        "share of common tokens among the 10 most probable next tokens of two settings",
        _SHEN,
        "distribution",
        _SHARE,
        _TWO,
        "query",
        _NEXT_TOKEN,
    ),
    "overlap_cosine_similarity": Metric(
        "overlap_cosine_similarity",
        "Overlap Cosine Similarity",
        "Σ p·q / √(Σp² · Σq² + (10 − |O|)), over the common tokens O of the two sets of 10",
        _SHEN,
        "distribution",
        _SHARE,
        _TWO,
        "query",
        _NEXT_TOKEN,
    ),
    "order_sensitivity": Metric(
        "order_sensitivity",
        "order sensitivity",
        "standard deviation of next-token probabilities over orders of the demonstrations, mean over the vocabulary",
        f"{_SHEN}, Figure 4",
        "distribution",
        _SIZE,
        ("orders",),
        "query",
        _NEXT_TOKEN,
    ),
    "sparsity_ratio": Metric(
        "sparsity_ratio",
        "sparsity ratio",
        "share of a layer's attention weights with magnitude under a threshold",
        f"{_SHEN}, Figure 2",
        "weights",
        _SHARE,
        ("matrices", "thresholds"),
        "model",
    ),
    "parameter_distance": Metric(
        "parameter_distance",
        "parameter distance",
        "‖θ_a − θ_b‖ / ‖θ_b‖ between two states of one model",
        f"{_SHEN}, Figure 3",
        "weights",
        _SIZE,
        _TWO,
        "model",
    ),
}
"""Name → metric, in the order in which they are listed.

Whoever changes what a metric computes raises its row's `version` here (`version=2`): names and versions are in the keys
of cells, so that none which holds the old numbers answers. What is worked out of label scores and kept scores when the
table is written (performance, Rec2FTP, the noise ceiling, validity) is worked out anew by every run, and needs none.
"""
