"""What was recorded on request."""

from torch import Tensor

from demograd.observe.observation import Observation


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
