"""What metrics read of observations: numbers of the same queries in the same precision, and cosines of them.

A cosine of two rounding errors is a number like any other, so it has to be recognised before it is computed. An update
counts only if ‖Δ‖ ≥ bound · ‖ZSL‖; otherwise the score is NaN, which everywhere in `demograd.metrics` means *missing*:
it is counted, and never averaged in.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from demograd.observe.observation import Observation

BOUNDS = {
    "float64": 1e-5,  # an Observation stores float32, whatever the model computed in
    "float32": 1e-5,  # 84 machine epsilons
    # 84 epsilons of a 16-bit type would be 8 % or 66 % of the vector. Four are the least that is safe: the recorded
    # value, the attention weights, the values and the normalised input are each rounded once to within one epsilon.
    "bfloat16": 4 * 2**-7,  # 3.1 %
    "float16": 4 * 2**-10,  # 0.39 %
}
"""The smallest ‖Δ‖ / ‖ZSL‖ that counts, by the dtype that the model computed in."""


def require_same_queries(**observations: Observation) -> None:
    """Refuse observations, each named by its setting, that did not see the same queries in the same precision.

    **Raises:** ValueError naming the two settings and what differs: the number of queries, their gold labels, their
    token counts, the shape of the model, or what it computed in.
    """
    (first_setting, first), *others = observations.items()
    for setting, other in others:
        for (name, expected), (_, actual) in zip(_properties(first), _properties(other), strict=False):
            if expected != actual:
                raise ValueError(f"{first_setting} and {setting} differ in {name}: {expected} against {actual}")


def attention_outputs(**observations: Observation) -> list[Float[Tensor, "queries layers hidden"]]:
    """h(l) of each setting, in the order given, in float64: a difference of two nearly equal float32 vectors then
    loses nothing more.

    **Raises:** ValueError where the observations do not match, or hold a value that is not finite.
    """
    require_same_queries(**observations)
    for setting, observation in observations.items():
        if not observation.attention_output.isfinite().all():
            raise ValueError(f"{setting}: attention_output is not finite everywhere; did the model diverge?")
    return [observation.attention_output.double() for observation in observations.values()]


def attention_rows(**observations: Observation) -> list[tuple[Float[Tensor, "layers heads _tokens"], ...]]:
    """m(l, head) of each setting, in the order given, for each query, in float64; token counts differ between queries.

    **Raises:** ValueError where the observations do not match, or hold a value that is not finite.
    """
    require_same_queries(**observations)
    for setting, observation in observations.items():
        if not all(row.isfinite().all() for row in observation.attention_logits):
            raise ValueError(f"{setting}: attention_logits are not finite everywhere; did the model diverge?")
    per_query = zip(*(observation.attention_logits for observation in observations.values()), strict=True)
    return [tuple(row.double() for row in rows) for rows in per_query]


def next_token_log_probs(**observations: Observation) -> list[Float[Tensor, "queries vocabulary"]]:
    """The next-token log-probabilities of each setting, in the order given, in float64.

    **Raises:** ValueError where the observations do not match, do not hold them, or hold NaN.
    """
    require_same_queries(**observations)
    log_probs_by_setting = []
    for setting, observation in observations.items():
        log_probs = observation.next_token_log_probs
        if log_probs is None:
            raise ValueError(
                f'{setting} holds no next-token distribution; observe it with extras=("next_token_log_probs",)'
            )
        if log_probs.isnan().any():
            raise ValueError(f"{setting}: next_token_log_probs hold NaN; did the model diverge?")
        log_probs_by_setting.append(log_probs.double())
    return log_probs_by_setting


def extra(observation: Observation, setting: str, name: str) -> Tensor:
    """A field of the observation that is there only if asked for, in float64.

    **Raises:** ValueError, naming the setting, where it was not recorded or is not finite.
    """
    value: Tensor | None = getattr(observation, name)
    if value is None:
        raise ValueError(f"{setting} was observed without {name}; observe it with extras=[{name!r}]")
    if not value.isfinite().all():
        raise ValueError(f"{setting}: {name} are not finite everywhere; did the model diverge?")
    return value.double()


def resolution(dtype: str) -> float:
    """The bound for `Observation.dtype`.

    **Raises:** ValueError for a dtype without one.
    """
    if dtype not in BOUNDS:
        raise ValueError(f"no resolution bound is known for dtype {dtype!r}; known: {', '.join(BOUNDS)}")
    return BOUNDS[dtype]


def is_resolved(
    update: Float[Tensor, "*rows components"], scale: Float[Tensor, "*rows components"], bound: float
) -> Bool[Tensor, "*rows"]:
    """‖update‖ ≥ bound · ‖scale‖, and the update is not zero. False where either is NaN."""
    size = update.norm(dim=-1)
    return (size >= bound * scale.norm(dim=-1)) & (size > 0)


def cosine(
    a: Float[Tensor, "*rows components"],
    b: Float[Tensor, "*rows components"],
    scale_a: Float[Tensor, "*rows components"],
    scale_b: Float[Tensor, "*rows components"],
    bound: float,
) -> Float[Tensor, "*rows"]:
    """cos(a, b) in float32; NaN (missing) where a is below the resolution of `scale_a`, or b of `scale_b`.

    The scale is what the vector was computed from, so that rounding errors are `bound` times its norm at most: the
    zero-shot vector for an update, the whole row for a row whose mean was subtracted.
    """
    cos = (a * b).sum(dim=-1) / (a.norm(dim=-1) * b.norm(dim=-1))
    counts = is_resolved(a, scale_a, bound) & is_resolved(b, scale_b, bound)
    return torch.where(counts, cos, torch.nan).float()


def _properties(observation: Observation) -> list[tuple[str, object]]:
    """What must be equal, the most telling first: where the first of them differ, the rest may not be comparable."""
    queries = enumerate(zip(observation.gold.tolist(), observation.attention_logits, strict=True))
    return [
        ("the number of queries", len(observation.gold)),
        ("dtype", observation.dtype),
        ("the shape of attention_output", tuple(observation.attention_output.shape)),
        *[
            (f"the gold label and (layers, heads, tokens) of query {query}", (gold, tuple(row.shape)))
            for query, (gold, row) in queries
        ],
    ]
