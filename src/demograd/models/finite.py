"""Weights that are no numbers: one of them makes every score of a network one."""

from typing import Any

from torch import Tensor

from demograd.errors import UserError


def check_finite(network: Any, name: str, dtype: str) -> None:
    """Pass once over a network's parameters; `name`, `dtype`: what the user gave, for the message.

    Raises:
        UserError: some are NaN or infinite.
    """
    wrong = [key for key, parameter in network.named_parameters() if not _is_finite(parameter)]
    if not wrong:
        return
    parameter = network.get_parameter(wrong[0])
    number = int((~parameter.isfinite()).sum())
    others = f", and {len(wrong) - 1} other parameters hold some too" if wrong[1:] else ""
    raise UserError(
        f"Weights of {name} are not finite in {dtype}: {number} of the {parameter.numel()} values of "
        f"{wrong[0]} are NaN or infinite{others}",
        "numbers",
        "Download or convert it again"
        + (", or try --dtype bfloat16 or float32: float16 ends at 65504" if dtype == "float16" else ""),
    )


def _is_finite(values: Tensor) -> bool:
    """The least and the greatest say it without a mask as large as the weights."""
    if not values.numel():
        return True
    least, greatest = values.aminmax()
    return bool(least.isfinite() and greatest.isfinite())
