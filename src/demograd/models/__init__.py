"""Loading language models, and knowing where any architecture keeps its parts."""

from typing import TYPE_CHECKING

from demograd.lazy import make_lazy

if TYPE_CHECKING:
    from demograd.models.anatomy import Anatomy, find_anatomy
    from demograd.models.architectures import ARCHITECTURES, PartNames
    from demograd.models.attention_overrides import eager_attention
    from demograd.models.intervention import Intervention, LogitChange, Patch
    from demograd.models.load import DTYPES, load_model, load_tokenizer
    from demograd.models.model import Model
    from demograd.models.names import check_device_name, check_dtype, check_name
    from demograd.models.packaged import BUILT_IN
    from demograd.models.parameters import ParameterSlice, Part
    from demograd.models.untrained import without_final_norm
    from demograd.words import Weights

__all__ = [
    "ARCHITECTURES",
    "BUILT_IN",
    "DTYPES",
    "Anatomy",
    "Intervention",
    "LogitChange",
    "Model",
    "ParameterSlice",
    "Part",
    "PartNames",
    "Patch",
    "Weights",
    "check_device_name",
    "check_dtype",
    "check_name",
    "eager_attention",
    "find_anatomy",
    "load_model",
    "load_tokenizer",
    "without_final_norm",
]

make_lazy(__name__)
