"""Do two settings predict the same next tokens? On the K most probable of each."""

from jaxtyping import Bool, Float, Int
from torch import Tensor

from demograd.metrics.comparable import next_token_log_probs
from demograd.observe.observation import Observation

TOP = 10
"""K of the paper."""


def token_overlap(a: Observation, b: Observation, top: int = TOP) -> Float[Tensor, " queries"]:
    """|O| / K, O being the tokens that are among the K most probable of both.

    Where tokens tie for the last places, those with the lowest ids get them. Of two ICL observations with different
    orders of the demonstrations it is the paper's reference: what ICL agrees with itself.

    **Source:** Shen 2023. **Raises:** ValueError for observations that do not match, that hold no next-token
    distribution, or one of fewer than K tokens.
    """
    is_common, _, _ = _common(a, b, top)
    return is_common.float().mean(dim=-1)


def overlap_cosine_similarity(a: Observation, b: Observation, top: int = TOP) -> Float[Tensor, " queries"]:
    """Σ p·q / √(Σp² · Σq² + (K − |O|)), sums over the tokens O that are among the K most probable of both.

    p and q are the probabilities in `a` and `b`. Zero where O is empty: nothing agrees. With |O| = K it is the cosine
    of p and q; every token that is not common adds one under the root, much more than any product of probabilities, so
    that the score is small unless all K are.

    **Source:** Shen 2023. **Raises:** as `token_overlap`.
    """
    is_common, p, q = _common(a, b, top)
    p, q = p * is_common, q * is_common
    not_common = (~is_common).sum(dim=-1)
    return ((p * q).sum(dim=-1) / (p.square().sum(dim=-1) * q.square().sum(dim=-1) + not_common).sqrt()).float()


def _common(
    a: Observation, b: Observation, top: int
) -> tuple[Bool[Tensor, "queries top"], Float[Tensor, "queries top"], Float[Tensor, "queries top"]]:
    """Of each of the top tokens of `a`: whether it is one of `b`, and its probability in `a` and in `b`."""
    log_p, log_q = next_token_log_probs(a=a, b=b)
    tokens = _ids(_is_top(log_p, top), top)
    return _is_top(log_q, top).gather(-1, tokens), log_p.gather(-1, tokens).exp(), log_q.gather(-1, tokens).exp()


def _is_top(log_probs: Float[Tensor, "queries vocabulary"], top: int) -> Bool[Tensor, "queries vocabulary"]:
    """True for the `top` most probable tokens of each query. `topk` alone leaves open which of tied tokens it takes."""
    if log_probs.shape[-1] < top:
        raise ValueError(f"the {top} most probable of {log_probs.shape[-1]} tokens were asked for")
    last = log_probs.topk(top, dim=-1).values[:, -1:]
    above, tied = log_probs > last, log_probs == last
    return above | (tied & (tied.cumsum(dim=-1) <= top - above.sum(dim=-1, keepdim=True)))


def _ids(is_top: Bool[Tensor, "queries vocabulary"], top: int) -> Int[Tensor, "queries top"]:
    return is_top.nonzero()[:, 1].reshape(-1, top)
