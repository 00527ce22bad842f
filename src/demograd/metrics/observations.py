"""What metrics read of observations: numbers of the same queries in the same precision, and cosines of them.

A cosine of two rounding errors is a number like any other, so it has to be recognised before it is computed. An update
counts only if ‖Δ‖ ≥ bound · ‖ZSL‖; otherwise the score is NaN, which everywhere in `demograd.metrics` means *missing*:
it is counted, and never averaged in.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

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
    outputs = []
    for setting, observation in observations.items():
        output, is_finite = _attention_output(observation)
        if not is_finite:
            raise ValueError(f"{setting}: attention_output is not finite everywhere; did the model diverge?")
        outputs.append(output)
    return outputs


# A matrix asks for many metrics of the same three observations, one after the other.
@lru_cache(maxsize=4)
def _attention_output(observation: Observation) -> tuple[Float[Tensor, "queries layers hidden"], bool]:
    """In float64, and whether it is finite everywhere."""
    output = observation.attention_output
    return output.double(), bool(output.isfinite().all())


ROWS_AT_ONCE = 1 << 22
"""Numbers of a setting that are compared at once: 32 MB in float64."""


def attention_rows(
    **observations: Observation,
) -> Iterator[tuple[tuple[Float[Tensor, "queries layers heads tokens"], ...], Bool[Tensor, "queries 1 1 tokens"]]]:
    """m(l, head) of each setting, in the order given, in float64, of some queries after the others: a query's own
    tokens, and behind them zeros, which add nothing to a product; beside them, which tokens are a query's own.

    **Raises:** ValueError where the observations do not match, or hold a value that is not finite.
    """
    require_same_queries(**observations)
    for setting, observation in observations.items():
        if not _has_finite_rows(observation):
            raise ValueError(f"{setting}: attention_logits are not finite everywhere; did the model diverge?")
    first = next(iter(observations.values())).attention_logits
    lengths = [row.shape[-1] for row in first]
    for queries in _at_once(lengths, of_token=first[0][..., 0].numel()):
        tokens = torch.tensor(lengths[queries])
        own = torch.arange(int(tokens.max())) < tokens[:, None]
        whole = queries == slice(0, len(lengths))
        padded = _all_padded if whole else partial(_padded, queries=queries)
        yield tuple(padded(observation) for observation in observations.values()), own[:, None, None]


@lru_cache(maxsize=4)
def _has_finite_rows(observation: Observation) -> bool:
    return bool(torch.cat([row.flatten() for row in observation.attention_logits]).isfinite().all())


def _padded(observation: Observation, queries: slice) -> Float[Tensor, "queries layers heads tokens"]:
    rows = [row.movedim(-1, 0) for row in observation.attention_logits[queries]]
    return pad_sequence(rows, batch_first=True).movedim(1, -1).double()


@lru_cache(maxsize=4)
def _all_padded(observation: Observation) -> Float[Tensor, "queries layers heads tokens"]:
    """Of all queries, where they are few enough to be compared at once, and so to be remembered."""
    return _padded(observation, slice(None))


def _at_once(lengths: Sequence[int], of_token: int) -> Iterator[slice]:
    """Queries that follow each other, and have `ROWS_AT_ONCE` numbers together; `of_token`: numbers of a token."""
    first, longest = 0, 0
    for query, length in enumerate(lengths):
        longest = max(longest, length)
        if query > first and (query + 1 - first) * longest * of_token > ROWS_AT_ONCE:
            yield slice(first, query)
            first, longest = query, length
    yield slice(first, len(lengths))


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
    return _are_resolved(update.norm(dim=-1), scale.norm(dim=-1), bound)


def _are_resolved(
    sizes: Float[Tensor, "*rows"], sizes_of_scales: Float[Tensor, "*rows"], bound: float
) -> Bool[Tensor, "*rows"]:
    return (sizes >= bound * sizes_of_scales) & (sizes > 0)


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
    size_a, size_b, size_of_scale = a.norm(dim=-1), b.norm(dim=-1), scale_a.norm(dim=-1)
    cos = (a * b).sum(dim=-1) / (size_a * size_b)
    counts = _are_resolved(size_a, size_of_scale, bound) & _are_resolved(
        size_b, size_of_scale if scale_b is scale_a else scale_b.norm(dim=-1), bound
    )
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
