"""Loading language models, and knowing where any architecture keeps its parts."""

from demograd.models.anatomy import ARCHITECTURES, Anatomy, Architecture, find_anatomy
from demograd.models.eager import eager_attention
from demograd.models.final_norm import without_final_norm
from demograd.models.load import DTYPES, load_model, load_tokenizer
from demograd.models.model import Model, Weights
from demograd.models.packaged import BUILT_IN
from demograd.models.parameters import ParameterSlice, Part

__all__ = [
    "ARCHITECTURES", "BUILT_IN", "DTYPES", "Anatomy", "Architecture", "Model", "ParameterSlice", "Part", "Weights",
    "eager_attention", "find_anatomy", "load_model", "load_tokenizer", "without_final_norm",
]  # fmt: skip
