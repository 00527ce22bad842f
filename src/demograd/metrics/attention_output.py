"""SimAOU in all its forms: do ICL and FT change a layer's attention output in the same direction?

An update that is the same for every query (a shift towards the answer format, say) makes every query's score high
without any of them having been learned from. The forms with the mean removed subtract each update's mean over queries
first: does the *difference* between queries change in the same direction? There is no such form of SimAM: a query's
attention row has one component per token of that query, the token counts differ, and components of different queries
do not correspond, so a mean over queries is undefined.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from demograd.metrics.observations import attention_outputs, cosine, is_resolved, resolution
from demograd.metrics.registry import metric
from demograd.observe.observation import Observation


@metric(
    "SimAOU",
    source="Dai 2023 as corrected by Deutch 2024, §3.1",
    group="similarity",
    table="Attention outputs",
    has_ceiling=True,
)
def sim_aou(zsl: Observation, icl: Observation, ft: Observation) -> Float[Tensor, "queries layers"]:
    """cos(h_ICL − h_ZSL, h_FT − h_ZSL), h being a layer's attention output at the query's last token.

    NaN (missing) where either update is below resolution.

    **Raises:** ValueError for observations that do not match, or that are not finite.
    """
    h_zsl, h_icl, h_ft = attention_outputs(ZSL=zsl, ICL=icl, FT=ft)
    return cosine(h_icl - h_zsl, h_ft - h_zsl, h_zsl, h_zsl, resolution(zsl.dtype))


@metric(
    "SimAOU_norm",
    source="Dai 2023; Deutch 2024, §2.2 and §3.1",
    group="similarity",
    table="Attention outputs",
    has_ceiling=True,
)
def sim_aou_norm(zsl: Observation, icl: Observation, ft: Observation) -> Float[Tensor, "queries layers"]:
    """SimAOU after each h is divided by its norm; biased: unrelated updates score above zero.

    h_ZSL does not cancel, so that orthogonal updates of length √3 ‖h_ZSL‖, orthogonal to h_ZSL, score 1/4. NaN
    (missing) where an h is zero, or either normalised update is below resolution.

    **Raises:** as `sim_aou`.
    """
    h_zsl, h_icl, h_ft = map(_normalised, attention_outputs(ZSL=zsl, ICL=icl, FT=ft))
    return cosine(h_icl - h_zsl, h_ft - h_zsl, h_zsl, h_zsl, resolution(zsl.dtype))


@metric("random SimAOU", source="Dai 2023, as released", group="similarity", table="Random baselines")
def random_sim_aou(
    zsl: Observation, icl: Observation, ft: Observation | None = None, *, seed: int = 0
) -> Float[Tensor, "queries layers"]:
    """cos(h_ICL − h_ZSL, r), r uniform in [0, 1).

    What ICL's update scores against an update that no learning made: r is drawn anew for every query and layer. It is
    not centred, so an update with a mean scores. `ft` is not used; it is accepted (and checked) so that every
    similarity is called in the same way. NaN (missing) where ICL's update is below resolution.

    **Raises:** as `sim_aou`.
    """
    h_zsl, h_icl, r = _with_random(zsl, icl, ft, seed)
    return cosine(h_icl - h_zsl, r, h_zsl, r, resolution(zsl.dtype))


@metric("random SimAOU, centred", source="demograd", group="similarity", table="Random baselines")
def random_sim_aou_centred(
    zsl: Observation, icl: Observation, ft: Observation | None = None, *, seed: int = 0
) -> Float[Tensor, "queries layers"]:
    """cos(h_ICL − h_ZSL, r), r uniform in [−½, ½).

    Otherwise as `random_sim_aou`.
    """
    h_zsl, h_icl, r = _with_random(zsl, icl, ft, seed)
    return cosine(h_icl - h_zsl, r - 0.5, h_zsl, r - 0.5, resolution(zsl.dtype))


@metric("random SimAOU, r − h_ZSL", source="Dai 2023; Deutch 2024, §2.2", group="similarity", table="Random baselines")
def random_sim_aou_minus_zsl(
    zsl: Observation, icl: Observation, ft: Observation | None = None, *, seed: int = 0
) -> Float[Tensor, "queries layers"]:
    """cos(h_ICL − h_ZSL, r − h_ZSL), r uniform in [0, 1).

    As the paper's text says, which its released runs do not. Otherwise as `random_sim_aou`.
    """
    h_zsl, h_icl, r = _with_random(zsl, icl, ft, seed)
    return cosine(h_icl - h_zsl, r - h_zsl, h_zsl, r - h_zsl, resolution(zsl.dtype))


@metric("SimAOU, mean removed", source="demograd", group="similarity", table="Attention outputs", has_ceiling=True)
def sim_aou_mean_removed(zsl: Observation, icl: Observation, ft: Observation) -> Float[Tensor, "queries layers"]:
    """SimAOU after each update's mean over queries is subtracted.

    The mean is taken over the queries where both updates are above resolution. NaN (missing) at the other queries,
    where nothing above resolution is left of an update, and so everywhere with a single query.

    **Raises:** as `sim_aou`.
    """
    h_zsl, h_icl, h_ft = attention_outputs(ZSL=zsl, ICL=icl, FT=ft)
    return _mean_removed_cosine(h_icl - h_zsl, h_ft - h_zsl, h_zsl, h_zsl, resolution(zsl.dtype))


@metric("SimAOU_norm, mean removed", source="demograd", group="similarity", table="Attention outputs", has_ceiling=True)
def sim_aou_norm_mean_removed(zsl: Observation, icl: Observation, ft: Observation) -> Float[Tensor, "queries layers"]:
    """SimAOU_norm after each update's mean over queries is subtracted.

    The update is the difference of the normalised outputs. Otherwise as `sim_aou_mean_removed`.
    """
    h_zsl, h_icl, h_ft = map(_normalised, attention_outputs(ZSL=zsl, ICL=icl, FT=ft))
    return _mean_removed_cosine(h_icl - h_zsl, h_ft - h_zsl, h_zsl, h_zsl, resolution(zsl.dtype))


@metric("random SimAOU, mean removed", source="demograd", group="similarity", table="Random baselines")
def random_sim_aou_mean_removed(
    zsl: Observation, icl: Observation, ft: Observation | None = None, *, seed: int = 0
) -> Float[Tensor, "queries layers"]:
    """Random SimAOU after each update's mean over queries is subtracted.

    Missing as `sim_aou_mean_removed`, otherwise as `random_sim_aou`.
    """
    h_zsl, h_icl, r = _with_random(zsl, icl, ft, seed)
    return _mean_removed_cosine(h_icl - h_zsl, r, h_zsl, r, resolution(zsl.dtype))


@metric(
    "SimAOU, layer × layer′",
    source="Deutch 2024, footnote 1 and §7",
    group="similarity",
    measure="layer_by_layer",
    per="layer pair",
    table=None,
    after="alpha",
)
def layer_by_layer_sim_aou(
    zsl: Observation, icl: Observation, ft: Observation
) -> Float[Tensor, "queries icl_layers ft_layers"]:
    """cos(u_ICL(l), u_FT(l′)) for every pair of layers: the relaxed correspondence.

    u = h − h_ZSL; `sim_aou` is its diagonal. A low SimAOU leaves open that ICL descends a gradient at other layers than
    FT does: that would show off the diagonal. `scores.nanmean(dim=0)` is the map. NaN (missing) in the rows of layers
    where ICL's update is below resolution, and in the columns of those where FT's is.

    **Raises:** as `sim_aou`.
    """
    h_zsl, h_icl, h_ft = attention_outputs(ZSL=zsl, ICL=icl, FT=ft)
    bound = resolution(zsl.dtype)
    u_icl, u_ft = _direction(h_icl - h_zsl, h_zsl, bound), _direction(h_ft - h_zsl, h_zsl, bound)
    return (u_icl @ u_ft.mT).float()


def _with_random(
    zsl: Observation, icl: Observation, ft: Observation | None, seed: int
) -> tuple[
    Float[Tensor, "queries layers hidden"],
    Float[Tensor, "queries layers hidden"],
    Float[Tensor, "queries layers hidden"],
]:
    """h_ZSL, h_ICL, and r uniform in [0, 1)."""
    h_zsl, h_icl, *_ = attention_outputs(ZSL=zsl, ICL=icl, **({} if ft is None else {"FT": ft}))
    # NumPy's legacy generator, query by query: the released runs drew these very numbers, so a seed reproduces theirs.
    return h_zsl, h_icl, torch.from_numpy(np.random.RandomState(seed).random_sample(tuple(h_zsl.shape)))


def _normalised(h: Float[Tensor, "*rows hidden"]) -> Float[Tensor, "*rows hidden"]:
    """h / ‖h‖; NaN where h is zero."""
    return h / h.norm(dim=-1, keepdim=True)


def _mean_removed_cosine(
    u: Float[Tensor, "queries layers hidden"],
    v: Float[Tensor, "queries layers hidden"],
    scale_u: Float[Tensor, "queries layers hidden"],
    scale_v: Float[Tensor, "queries layers hidden"],
    bound: float,
) -> Float[Tensor, "queries layers"]:
    """cos(u − ū, v − v̄), with the mean taken over the queries where both updates are above resolution.

    NaN (missing) at the other queries, and where nothing above resolution is left of an update.
    """
    counts = is_resolved(u, scale_u, bound) & is_resolved(v, scale_v, bound)
    cos = cosine(_without_mean(u, counts), _without_mean(v, counts), scale_u, scale_v, bound)
    return torch.where(counts, cos, torch.nan)


def _without_mean(
    u: Float[Tensor, "queries layers hidden"], counts: Bool[Tensor, "queries layers"]
) -> Float[Tensor, "queries layers hidden"]:
    total = torch.where(counts[..., None], u, 0.0).sum(dim=0)
    return u - total / counts.sum(dim=0)[:, None]


def _direction(
    u: Float[Tensor, "queries layers hidden"], scale: Float[Tensor, "queries layers hidden"], bound: float
) -> Float[Tensor, "queries layers hidden"]:
    """u / ‖u‖; NaN where u is below the resolution of `scale`."""
    return torch.where(is_resolved(u, scale, bound)[..., None], u / u.norm(dim=-1, keepdim=True), torch.nan)
