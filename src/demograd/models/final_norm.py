"""A defect of the released runs: their untrained networks had silently lost the final layer norm."""

from dataclasses import replace

from torch import nn

from demograd.models.anatomy import find_anatomy
from demograd.models.model import Model


def without_final_norm(model: Model) -> Model:
    """The same model whose last block goes into the unembedding as it is; its network is changed in place.

    A network without a final norm is returned as it is. **Source:** method.md's list of how the released runs of
    Deutch 2024 depart from the paper.
    """
    norm = model.anatomy.final_norm
    if norm is None:
        return model
    name = next(name for name, module in model.network.named_modules() if module is norm)
    model.network.set_submodule(name, nn.Identity())
    note = "The final norm was taken away, as in the released untrained runs."
    return replace(model, anatomy=find_anatomy(model.network), notes=(*model.notes, note))
