"""A synthetic study: worlds, small transformers to train in them, and what to hold them against.

Where a setting of a world, a network or its training has a default, it is that of the object which it becomes.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from demograd import synthetic
from demograd.numbers import Real
from demograd.study.spec.fields import (
    AtLeastOne,
    Count,
    Device,
    FolderName,
    Many,
    Natural,
    NotNegative,
    OneOrMany,
    Orders,
    Positive,
    Seed,
    Several,
)
from demograd.synthetic.settings import (
    Architecture,
    AttentionKind,
    FreeBlocks,
    Inputs,
    Kernel,
    KernelSettings,
    LayerKind,
    LinearSettings,
    SineSettings,
    SystemSettings,
    TrainingRecipe,
)
from demograd.words import listed

Reference = Literal[
    "GD",
    "GD, rate per step",
    "GD, centred",
    "preconditioned GD",
    "GD++",
    "preconditioned GD++",
    "functional GD",
    "functional GD, bandwidth",
    "SGD",
    "ridge",
    "least squares",
    "kernel regression",
    "Bayes",
    "mesa-optimiser",
    "regularised least squares",
]
OF_SYSTEMS = ("mesa-optimiser", "regularised least squares")


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class LinearWorld(_Settings):
    """y = ⟨w, x⟩ + ε, a new w for every sequence."""

    kind: Literal["linear"] = "linear"
    dimension: Count
    inputs: Inputs = LinearSettings.inputs
    spectrum: Annotated[list[Positive] | None, OneOrMany()] = None
    """Eigenvalues of the covariance Σ of normal inputs; without any, Σ = I."""
    rotation: Seed | None = LinearSettings.rotation
    """Turns Σ's axes; without one they are the coordinate axes."""
    task: Literal["identity", "inverse"] = LinearSettings.task
    """Covariance of w: I, or Σ⁻¹."""
    noise: NotNegative = LinearSettings.noise
    """Standard deviation of ε."""
    nonzero: Count | None = LinearSettings.nonzero
    """Components of w that are not zero; without a number, all."""
    half_width: Positive = LinearSettings.half_width
    """Half the width of uniform inputs: 1 is U(−1, 1), as in the text of von Oswald 2023a; 0.5 is U(−½, ½), as in its
    released code."""

    def world(self) -> "synthetic.LinearRegression":
        """The world itself."""
        return synthetic.LinearRegression(**self._settings())

    def _settings(self) -> dict[str, Any]:
        settings = self.model_dump(exclude={"kind"})
        return settings | {"spectrum": None if self.spectrum is None else tuple(self.spectrum)}

    @model_validator(mode="after")
    def _fits_together(self) -> "LinearWorld":
        LinearSettings(**self._settings())
        return self


class KernelWorld(_Settings):
    """y from a Gaussian process with this kernel, x of length 1."""

    kind: Literal["kernel"]
    dimension: Count
    kernel: Kernel
    noise: NotNegative = KernelSettings.noise

    def world(self) -> "synthetic.KernelRegression":
        """The world itself."""
        return synthetic.KernelRegression(**self.model_dump(exclude={"kind"}))


class SineWorld(_Settings):
    """y = a sin(x + φ) + ε."""

    kind: Literal["sine"]
    noise: NotNegative = SineSettings.noise
    smallest_amplitude: NotNegative = SineSettings.smallest_amplitude
    largest_amplitude: Positive = SineSettings.largest_amplitude
    """The largest amplitude a: 5 in Finn 2017 and in the text of von Oswald 2023a, 0.5 in its released code."""

    def world(self) -> "synthetic.SineRegression":
        """The world itself."""
        return synthetic.SineRegression(**self.model_dump(exclude={"kind"}))

    @model_validator(mode="after")
    def _fits_together(self) -> "SineWorld":
        SineSettings(**self.model_dump(exclude={"kind"}))
        return self


class SystemWorld(_Settings):
    """s_{t+1} = c W s_t + ε with W orthogonal, a new one for every sequence."""

    kind: Literal["system"]
    dimension: Count
    noise: NotNegative = SystemSettings.noise
    start: Literal["normal", "sphere"] = SystemSettings.start
    """s_1 ~ N(0, I), or uniform on the sphere of radius √dimension."""
    contraction: Positive = SystemSettings.contraction
    """c."""

    def world(self) -> "synthetic.LinearSystem":
        """The world itself."""
        return synthetic.LinearSystem(**self.model_dump(exclude={"kind"}))


AnyWorld = Annotated[LinearWorld | KernelWorld | SineWorld | SystemWorld, Field(discriminator="kind")]


class TrainingSettings(_Settings):
    """Adam on fresh sequences, its rate warmed up and then let down to zero."""

    steps: Count = TrainingRecipe.steps
    batch: Count = TrainingRecipe.batch
    learning_rate: Positive = TrainingRecipe.learning_rate
    warmup: Natural = TrainingRecipe.warmup
    clip: Positive = TrainingRecipe.clip
    checkpoint_every: Count = TrainingRecipe.checkpoint_every
    starts: Count = TrainingRecipe.starts
    """Initial weights that are tried; training goes on from those with the lowest training loss after their trial."""
    trial: Count = TrainingRecipe.trial
    """Steps of each trial, where there are several."""


class OwnTraining(_Settings):
    """What of the study's training a network replaces; null: nothing."""

    steps: Count | None = None
    batch: Count | None = None
    learning_rate: Positive | None = None
    warmup: Natural | None = None
    clip: Positive | None = None
    starts: Count | None = None
    trial: Count | None = None


class Network(_Settings):
    """A small transformer, all of whose matrices are full and trained; with `by_inputs`, those columns of K and Q that
    would read y are not used."""

    attention: LayerKind = Architecture.attention
    """A kind of attention; or mesa, layers that fit values to keys by least squares with a penalty that is learned."""
    layers: Count = Architecture.layers
    heads: Count = Architecture.heads
    shared: bool = Architecture.shared
    """Whether all layers are the same weights."""
    mlp: Natural = Architecture.mlp
    """Hidden units of an MLP after each attention layer; 0: none."""
    initial_scale: Positive = Architecture.initial_scale
    """Standard deviation of the initial weights, times the square root of the token's width."""
    by_inputs: bool = Architecture.by_inputs
    """Whether keys and queries see x alone (Cheng 2024)."""
    extra: Natural = Architecture.extra
    """Components of a token besides (x, y), zero where they go in."""
    free: FreeBlocks = Architecture.free
    """Blocks that are trained the others being those of a descent (Ahn 2023): A, or A and B; all: whole matrices."""
    bound: Positive | None = Architecture.bound
    """Between ± which all components of tokens are kept after each layer; null: no bound."""
    positions: Natural = Architecture.positions
    """Components of positions, with which tokens are a plain sequence x_1, y_1, x_2, y_2, …; 0: they are (x_i, y_i)."""
    first: AttentionKind | None = Architecture.first
    """Attention of the first layer; null: that of all."""
    features: Natural = Architecture.features
    """Deep features that an MLP makes of an x of one component, for attention to work on; 0: it works on x."""
    descent: bool = Architecture.descent
    """Whether attention is the construction of a GD step, of which the rate alone is trained, with the features."""
    training: OwnTraining = OwnTraining()
    """Where it is trained otherwise than the study's other networks."""

    def architecture(self) -> Architecture:
        """The same as what the small transformer takes."""
        return Architecture(**self.model_dump(exclude={"training"}))

    @property
    def is_linear(self) -> bool:
        """Whether it is linear attention on tokens (x, y), maybe bounded, and nothing else."""
        other = self.first not in (None, "linear") or self.mlp or self.positions or self.features or self.extra
        return self.attention == "linear" and not other

    @property
    def steps(self) -> int:
        """Steps of a descent that it is held against: one for each layer, but for one that makes tokens (x_i, y_i)."""
        return self.layers - bool(self.positions)

    @model_validator(mode="after")
    def _fits_together(self) -> "Network":
        if self.positions % 2:
            raise ValueError("positions are an even number: a sine and a cosine for each frequency")
        self.architecture()
        return self


class SyntheticStudy(_Settings):
    """Worlds × networks × seeds."""

    kind: Literal["synthetic"]
    """What makes a study file one of small transformers in made worlds."""
    name: FolderName = "synthetic"
    """Part of the run folder's name, unless `--out` gives another."""
    about: str = ""
    """One line for lists and the report's heading."""
    notes: Many[str] = []
    """What a reader of the page must know, such as where the study departs from its paper."""
    worlds: dict[str, AnyWorld] = Field(min_length=1)
    """Name → the world: its `kind` is linear, kernel, sine or system."""
    context: Count = 10
    """Examples before the query; states, in a linear system."""
    networks: dict[str, Network] = Field(min_length=1)
    """Name → the small transformer that is trained in every world from every seed."""
    training: TrainingSettings = TrainingSettings()
    """How all networks are trained that say nothing else."""
    seeds: AtLeastOne[Seed] = [0, 1, 2, 3, 4]
    """Seeds of initial weights and training data."""
    references: Many[Reference] = ["GD"]
    """What networks are held against; descents take as many steps as a network has layers."""
    tuning_sequences: Several = 65536
    """On which the references are tuned, neither trained on nor tested on; their loss is held against that on as many
    others."""
    test_sequences: Several = 65536
    """On which everything is tested; sensitivities, which cost more, on the first 1024. Squared errors of deep linear
    layers have such tails that 4096 cannot decide 2 %."""
    test_seed: Seed = 1
    """Draws the test sequences."""
    scales: Many[Positive] = []
    """Factors of the inputs at which networks are tested besides 1, on which they were trained."""
    contexts: Many[Count] = []
    """Context lengths at which networks are tested besides."""
    task_scales: Many[Positive] = []
    """Factors of every w at which networks are tested besides 1."""
    noises: Many[Positive] = []
    """Standard deviations of noise on every y, the query's too, at which networks are tested besides the world's."""
    distractors: Many[Count] = []
    """Numbers of examples whose y says nothing about w, with which networks are tested besides none."""
    laws: Many[Inputs] = []
    """Laws of the inputs on which networks are tested besides their world's, at each of the scales: at 1 the inputs are
    as large, in root mean square, as those of training."""
    repeats: Count | None = None
    """How many times each network of one linear layer is applied to its own tokens; without a number it is once."""
    dampening: Positive = 1.0
    """The share that a token's y takes of its update where a layer is applied again: 0.75 in von Oswald 2023a."""
    trained_contexts: Many[Count] = []
    """Context lengths for which all networks are trained and all references tuned anew, besides the study's own; of
    them losses alone are measured."""
    mixes: Many[Real] = []
    """Shares of the construction in weights between a trained one-layer linear network and GD's construction."""
    instances: Count = 100
    """Random instances on which each construction is checked."""
    orders: Orders | None = None
    """Orders of the examples over which order sensitivity is taken; without a number it is not."""
    probes: bool = False
    """Whether to probe the tokens of networks in linear systems, layer by layer, for past states and preconditioned
    inputs."""
    few_shot: bool = False
    """Whether networks trained on linear systems are tested on regression, with x_1, y_1, x_2, y_2, … as states."""
    agreement: bool = False
    """Whether to measure how far networks and references agree, in predictions and in the linear rule that is nearest
    to them, and to probe networks for w and for XᵀY (Akyürek 2023)."""
    sparsity: bool = False
    """Whether to measure how many weights are nearly zero."""
    device: Device = "cpu"
    """`cpu`, `cuda`, `cuda:1`, …"""

    @model_validator(mode="before")
    @classmethod
    def _without_language_model(cls, settings: Any) -> Any:
        """Run folders of older versions say `language_model: null`, a setting that studies had, and so go on."""
        if isinstance(settings, dict) and settings.get("language_model", "") is None:
            return {name: value for name, value in settings.items() if name != "language_model"}
        return settings

    @field_validator("worlds", mode="before")
    @classmethod
    def _linear_unless_said(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            name: {"kind": "linear", **world} if isinstance(world, dict) else world for name, world in value.items()
        }

    @model_validator(mode="after")
    def _fits_together(self) -> "SyntheticStudy":
        systems = [name for name, world in self.worlds.items() if world.kind == "system"]
        if systems and (self.scales or self.contexts or self.trained_contexts or self.mixes or self.orders):
            raise ValueError(
                f"{', '.join(systems)} is a linear system: its times are no examples, so scales, "
                "contexts, trained_contexts, mixes and orders have no meaning there"
            )
        for name, world in self.worlds.items():
            for reference in self.references:
                if (world.kind == "system") != (reference in OF_SYSTEMS) or not _has(world, reference):
                    raise ValueError(f"there is no {reference} for {name}, a {world.kind} world")
        if systems and any(
            network.by_inputs or network.positions or network.free != "all" for network in self.networks.values()
        ):
            raise ValueError(
                f"{', '.join(systems)} is a linear system: its tokens are no (x, y), so by_inputs, positions and free "
                "have no meaning there"
            )
        beyond = ("task_scales", "noises", "distractors", "laws")
        other = [name for name, world in self.worlds.items() if world.kind != "linear"]
        if other and any(getattr(self, name) for name in beyond):
            raise ValueError(f"{listed(beyond)} are of linear regression, which {listed(other)} is not")
        turned = [name for name, world in self.worlds.items() if getattr(world, "task", "identity") != "identity"]
        if self.laws and turned:
            raise ValueError(f"w of {listed(turned)} is as its inputs ask for, so these cannot be of another law")
        if self.distractors and max(self.distractors) > self.context:
            raise ValueError(f"{max(self.distractors)} distractors among {self.context} examples")
        featured = [name for name, network in self.networks.items() if network.features]
        if featured and any(world.kind != "sine" for world in self.worlds.values()):
            raise ValueError(f"{listed(featured)} makes features of an x of one component, as sine worlds have")
        if (self.probes or self.few_shot) and not systems:
            raise ValueError("probes and few_shot are of linear systems, and this study has none")
        if systems and (self.agreement or any(network.extra for network in self.networks.values())):
            raise ValueError(f"{', '.join(systems)} is a linear system: agreement and extra are of regression problems")
        if self.sparsity and any(network.extra for network in self.networks.values()):
            raise ValueError("sparsity is of tokens (x, y), and networks here have extra components")
        if self.sparsity and any(network.attention == "mesa" for network in self.networks.values()):
            raise ValueError("sparsity is that of QᵀK and PV, and a mesa-layer depends on more than these")
        if self.mixes and "GD" not in self.references:
            raise ValueError("mixes are between a network and GD: name GD among the references")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds has one twice: each value once")
        return self

    def training_of(self, network: str) -> TrainingRecipe:
        """How a network is trained."""
        own = self.networks[network].training.model_dump(exclude_none=True)
        return TrainingRecipe(**{**self.training.model_dump(), **own})

    def at_each_context(self) -> "list[SyntheticStudy]":
        """This study, then the same at each other context that networks are trained for."""
        others = dict.fromkeys(context for context in self.trained_contexts if context != self.context)
        return [self, *(self.model_copy(update={"context": other, "trained_contexts": []}) for other in others)]

    def world(self, name: str) -> "synthetic.World | synthetic.LinearSystem":
        """A world of this study."""
        return self.worlds[name].world()


def _has(world: AnyWorld, reference: Reference) -> bool:
    """Whether a reference is known in closed form for a world of its family."""
    if reference == "kernel regression":
        return world.kind == "kernel"
    if reference == "Bayes":
        return world.kind == "kernel" or (world.kind == "linear" and world.nonzero is None)
    return True
