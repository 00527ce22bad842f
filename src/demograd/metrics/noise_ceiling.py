"""How high a score can be at all, where ICL does not even agree with itself."""

from math import nan, sqrt


def noise_ceiling(r: float) -> float:
    """√r, about what the best conceivable FT scores, given the *reordering reference* r.

    r is the same score between two ICL observations with different orders of the same demonstrations, one of them in
    FT's place: `sim_aou(zsl, icl, icl_reordered)`, averaged. If an ICL update is what all orders share plus as much
    again that is particular to its order, r = ½; an FT update that is exactly what they share then scores √½ = 0.71.
    That holds of cosines of updates. Of Token Overlap or Rec2FTP, r itself is the thing to compare with.

    NaN (missing) where r is below zero: two orders have nothing in common.
    """
    return sqrt(r) if r >= 0 else nan
