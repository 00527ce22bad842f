"""What several observations must share before they can be compared, and the numbers read out of them once they do."""

from jaxtyping import Float
from torch import Tensor

from demograd.observe.observation import Observation


def require_same_queries(**observations: Observation) -> None:
    """Refuse observations, each named by its setting, that did not see the same queries in the same precision.

    **Raises:** ValueError naming the two settings and what differs: the number of queries, their gold labels, their
    token counts, the shape of the model, or what it computed in.
    """
    (first_setting, first), *others = observations.items()
    for setting, other in others:
        for (what, of_first), (_, of_other) in zip(_properties(first), _properties(other), strict=False):
            if of_first != of_other:
                raise ValueError(f"{first_setting} and {setting} differ in {what}: {of_first} against {of_other}")


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
    found = []
    for setting, observation in observations.items():
        log_probs = observation.next_token_log_probs
        if log_probs is None:
            raise ValueError(
                f'{setting} holds no next-token distribution; observe it with extras=("next_token_log_probs",)'
            )
        if log_probs.isnan().any():
            raise ValueError(f"{setting}: next_token_log_probs hold NaN; did the model diverge?")
        found.append(log_probs.double())
    return found


def _properties(observation: Observation) -> list[tuple[str, object]]:
    """What must be equal, the most telling first: where the first of them differ, the rest may not be comparable."""
    of_queries = enumerate(zip(observation.gold.tolist(), observation.attention_logits, strict=True))
    return [
        ("the number of queries", len(observation.gold)),
        ("dtype", observation.dtype),
        ("the shape of attention_output", tuple(observation.attention_output.shape)),
        *[
            (f"the gold label and (layers, heads, tokens) of query {query}", (gold, tuple(row.shape)))
            for query, (gold, row) in of_queries
        ],
    ]
