"""Loading language models, and knowing where any architecture keeps its parts."""

from demograd.models.anatomy import ARCHITECTURES, Anatomy, Architecture, find_anatomy
from demograd.models.load import BUILT_IN, DTYPES, load_model, load_tokenizer
from demograd.models.model import Model, Weights
from demograd.models.parameters import ParameterSlice, Part

__all__ = [
    "ARCHITECTURES", "BUILT_IN", "DTYPES", "Anatomy", "Architecture", "Model", "ParameterSlice", "Part", "Weights",
    "find_anatomy", "load_model", "load_tokenizer",
]  # fmt: skip
