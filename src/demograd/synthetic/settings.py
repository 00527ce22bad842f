"""Settings of worlds, networks and their training. A study file says all of it, and is checked without torch."""

from dataclasses import dataclass
from typing import Literal

Kernel = Literal["linear", "relu", "exponential"]
AttentionKind = Literal["linear", "relu", "exponential", "softmax"]
LayerKind = Literal["linear", "relu", "exponential", "softmax", "mesa"]
"""A kind of attention, or the mesa-layer: regularised least squares of values on keys (von Oswald 2023b)."""
Inputs = Literal["normal", "uniform", "sphere", "exponential", "laplace"]
FreeBlocks = Literal["all", "A", "A and B"]


@dataclass(frozen=True)
class LinearSettings:
    """Settings of `LinearRegression`."""

    dimension: int
    inputs: Inputs = "normal"
    """`normal`: N(0, Σ). `uniform`: each component in (−h, h), h the half width. `sphere`: of length 1.
    `exponential`, `laplace`: each component of such a law with mean square 1, the first one with mean 1/√2."""
    spectrum: tuple[float, ...] | None = None
    """Eigenvalues of Σ; None: Σ = I."""
    rotation: int | None = None
    """Seed of the orthogonal matrix that turns Σ's axes; None: they are the coordinate axes."""
    task: Literal["identity", "inverse"] = "identity"
    """Covariance of w: I, or Σ⁻¹ (Ahn 2023)."""
    noise: float = 0.0
    """Standard deviation of ε."""
    nonzero: int | None = None
    """How many components of w are not zero; None: all."""
    half_width: float = 1.0
    """h of uniform inputs: U(−1, 1) in von Oswald 2023a's text; ½ in the code released with it, U(−½, ½)."""
    task_scale: float = 1.0
    """Factor of every w."""
    distractors: int = 0
    """Examples of each problem whose y is drawn from N(0, 1) and says nothing about w (von Oswald 2023a's code)."""

    def __post_init__(self) -> None:
        if self.spectrum is not None and len(self.spectrum) != self.dimension:
            raise ValueError(
                f"a spectrum of {len(self.spectrum)} eigenvalues for inputs of {self.dimension} components"
            )
        if self.inputs != "normal" and self.spectrum is not None:
            raise ValueError("a spectrum is that of normal inputs")
        if self.half_width <= 0:
            raise ValueError(f"a half width of {self.half_width:g}, and not above zero")
        if self.inputs != "uniform" and self.half_width != 1:
            raise ValueError("a half width is that of uniform inputs")
        if self.rotation is not None and self.spectrum is None:
            raise ValueError("a rotation turns the axes of a spectrum, and there is none")
        if self.nonzero is not None and not 1 <= self.nonzero <= self.dimension:
            raise ValueError(f"{self.nonzero} components that are not zero, of {self.dimension}")

    @property
    def root_mean_square(self) -> float:
        """√E xᵢ², over the components of an input."""
        match self.inputs:
            case "uniform":
                return self.half_width / 3**0.5
            case "sphere":
                return 1 / self.dimension**0.5
            case _:
                return 1.0 if self.spectrum is None else (sum(self.spectrum) / self.dimension) ** 0.5


@dataclass(frozen=True)
class KernelSettings:
    """Settings of `KernelRegression`."""

    dimension: int
    kernel: Kernel = "linear"
    noise: float = 0.0
    """Standard deviation σ."""


@dataclass(frozen=True)
class SineSettings:
    """Settings of `SineRegression`."""

    noise: float = 0.0
    dimension: int = 1
    smallest_amplitude: float = 0.1
    largest_amplitude: float = 5.0
    """Upper end of a: 5 in Finn 2017 and in the text of von Oswald 2023a, 0.5 in its released code."""

    def __post_init__(self) -> None:
        if not 0 <= self.smallest_amplitude <= self.largest_amplitude:
            raise ValueError(f"amplitudes from {self.smallest_amplitude:g} to {self.largest_amplitude:g}")


@dataclass(frozen=True)
class SystemSettings:
    """Settings of `LinearSystem`."""

    dimension: int
    noise: float = 0.1
    """Standard deviation of each component of ε."""
    start: Literal["normal", "sphere"] = "normal"
    """s_1 ~ N(0, I), or uniform on the sphere of radius √dimension: no sequence is far larger than another."""
    contraction: float = 1.0
    """c; with c² = 1 − noise², states neither grow nor shrink on average."""


@dataclass(frozen=True)
class Architecture:
    """What a small transformer is."""

    attention: LayerKind = "linear"
    layers: int = 1
    heads: int = 1
    shared: bool = False
    """Whether all layers are the same weights."""
    mlp: int = 0
    """Hidden units of the MLP after each attention layer; 0: there is none."""
    initial_scale: float = 0.5
    """Standard deviation of the initial weights, times the square root of the token's width."""
    by_inputs: bool = False
    """Whether keys and queries see x alone (Cheng 2024): else an exponential can take y, which has no bound."""
    extra: int = 0
    """Components of a token besides (x, y), zero where they go in: room to work in."""
    free: FreeBlocks = "all"
    """What is trained: whole matrices; or, where the others are those of a descent, KᵀQ = diag(A, 0) and
    PV = −diag(B, 1), A alone with B = 0 (Ahn 2023, Theorem 3), or A and B (its Theorem 4)."""
    bound: float | None = None
    """Between ± which all components of tokens are kept after each layer; None: layers of linear attention are
    polynomials, of a degree that triples with each, and a rare large sequence can outweigh all others."""
    positions: int = 0
    """Components of a token's position, sines and cosines; with any, tokens are a plain sequence x_1, y_1, x_2, y_2, …
    (von Oswald 2023a, §4); 0: they are (x_i, y_i), without positions."""
    first: AttentionKind | None = None
    """Attention of the first layer; None: that of all."""
    features: int = 0
    """Deep features that an MLP makes of an x of one component, for attention to work on (von Oswald 2023a, §3); 0: it
    works on x."""
    descent: bool = False
    """Whether attention is the construction of a GD step, of which the rate alone is trained, with the features."""

    def attention_of(self, layer: int) -> AttentionKind:
        """Attention of a layer, counted from 0; a mesa-layer's matrices are as those of linear attention."""
        if self.first is not None and not layer:
            return self.first
        return "linear" if self.attention == "mesa" else self.attention

    def __post_init__(self) -> None:
        if self.positions and (self.layers == 1 or self.shared):
            raise ValueError("a plain sequence, as positions make it, needs two layers that are not shared")
        if self.features and self.positions:
            raise ValueError("features are of tokens (x_i, y_i), and positions of plain sequences")
        if self.descent and (not self.features or self.attention != "linear" or self.heads > 1 or self.by_inputs):
            raise ValueError("descent is one head of linear attention on features, all of whose matrices are its own")
        if self.descent and self.first not in (None, "linear"):
            raise ValueError(f"descent is linear attention in every layer, and the first of these is {self.first}")
        if self.free != "all" and self.extra:
            raise ValueError(f"where {self.free} alone is free, tokens have no room for {self.extra} extra components")
        if self.free != "all" and self.by_inputs:
            raise ValueError(f"by_inputs is said of whole matrices, and here {self.free} alone is free")
        if self.free != "all" and (self.features or self.positions):
            raise ValueError(f"where {self.free} alone is free, tokens are (x, y), without positions and features")
        if self.extra and (self.features or self.positions):
            raise ValueError("extra components are of tokens (x, y), without positions and features")
        if self.attention == "mesa" and self.first is not None:
            raise ValueError("all layers of a network of mesa-layers are mesa-layers")
        if self.free != "all" and self.attention == "mesa":
            raise ValueError(f"a mesa-layer is no descent, and has no {self.free} to be free alone")


@dataclass(frozen=True)
class TrainingRecipe:
    """How a small transformer is trained: Adam, with the rate warmed up and then let down to zero as a cosine."""

    steps: int = 3000
    batch: int = 512
    """Fresh sequences per step."""
    learning_rate: float = 0.01
    warmup: int = 100
    clip: float = 1.0
    """Gradients of a larger norm are scaled down to it."""
    checkpoint_every: int = 500
    starts: int = 1
    """Initial weights that are tried; training goes on from those with the lowest training loss after their trial."""
    trial: int = 300
    """Steps of each trial, where there are several; its rate goes up and down as that of the whole training does."""
