"""Worlds of in-context learning problems, each problem with a rule of its own.

A world is a value; `draw` takes all randomness from the generator it is given, and works on that generator's device.
"""

from dataclasses import dataclass
from math import pi

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from demograd.synthetic.attention import gram
from demograd.synthetic.sequences import Sequences, Trajectories
from demograd.synthetic.settings import KernelSettings, LinearSettings, SineSettings, SystemSettings


@dataclass(frozen=True)
class LinearRegression(LinearSettings):
    """y = ⟨w, x⟩ + ε, a new w for every sequence; y has one component."""

    def covariance(self) -> Float[Tensor, "inputs inputs"]:
        """Σ of normal inputs, in float64."""
        eigenvalues = torch.tensor(self.spectrum or (1.0,) * self.dimension, dtype=torch.float64)
        axes = self._axes()
        return axes @ eigenvalues.diag() @ axes.T

    def draw(
        self,
        sequences: int,
        context: int,
        generator: Generator,
        *,
        scale: float = 1.0,
        dtype: torch.dtype = torch.float32,
    ) -> Sequences:
        """So many problems of `context` examples and a query; `scale` multiplies every x before y is computed."""
        x = scale * self._inputs((sequences, context + 1, self.dimension), generator, dtype)
        w = self.task_scale * self._task(sequences, generator, dtype)
        y = torch.einsum("sni,si->sn", x, w)[..., None]
        if self.distractors:
            y = self._distracted(y, generator)
        return _problems(x, y, self.noise, generator)

    def _inputs(self, shape: tuple[int, int, int], generator: Generator, dtype: torch.dtype) -> Tensor:
        if self.inputs == "uniform":
            unit = torch.rand(shape, generator=generator, device=generator.device, dtype=dtype)
            return self.half_width * (2 * unit - 1)
        if self.inputs in ("exponential", "laplace"):
            size = torch.empty(shape, device=generator.device, dtype=dtype).exponential_(generator=generator) / 2**0.5
            if self.inputs == "exponential":
                return size
            return torch.where(torch.rand(shape, generator=generator, device=generator.device) < 0.5, size, -size)
        z = torch.randn(shape, generator=generator, device=generator.device, dtype=dtype)
        if self.inputs == "sphere":
            return z / z.norm(dim=-1, keepdim=True)
        return z if self.spectrum is None else z @ self._root(0.5).to(z)

    def _task(self, sequences: int, generator: Generator, dtype: torch.dtype) -> Tensor:
        w = torch.randn(sequences, self.dimension, generator=generator, device=generator.device, dtype=dtype)
        if self.task == "inverse" and self.spectrum is not None:
            w = w @ self._root(-0.5).to(w)
        if self.nonzero is not None:
            chosen = torch.rand(w.shape, generator=generator, device=generator.device).argsort(dim=1) < self.nonzero
            w = w * chosen
        return w

    def _distracted(self, y: Float[Tensor, "sequences points 1"], generator: Generator) -> Tensor:
        """Other y for so many examples of each problem, chosen at random among all points but the last, the query."""
        places = torch.rand(y.shape[0], y.shape[1] - 1, generator=generator, device=generator.device)
        chosen = torch.zeros_like(y, dtype=torch.bool)
        chosen[:, :-1, 0] = places.argsort(dim=1).argsort(dim=1) < self.distractors
        others = torch.randn(y.shape, generator=generator, device=generator.device, dtype=y.dtype)
        return torch.where(chosen, others, y)

    def _axes(self) -> Tensor:
        if self.rotation is None:
            return torch.eye(self.dimension, dtype=torch.float64)
        draw = torch.randn(
            self.dimension, self.dimension, generator=Generator().manual_seed(self.rotation), dtype=torch.float64
        )
        return torch.linalg.qr(draw).Q

    def _root(self, power: float) -> Tensor:
        """Σ to a power; symmetric."""
        axes = self._axes()
        return axes @ torch.tensor(self.spectrum, dtype=torch.float64).pow(power).diag() @ axes.T


@dataclass(frozen=True)
class KernelRegression(KernelSettings):
    """y ~ N(0, K + σ² I) over all points of a sequence: a Gaussian process (Cheng 2024).

    The ReLU kernel max(⟨u, v⟩, 0) is not positive semidefinite: K over the n + 1 points of a problem has its negative
    eigenvalues set to zero, which is the nearest matrix that is. So that world is no process: how y is distributed at
    some points depends on the problem's other points, and its
    mean variance grows: for x of 5 components, from 1.00 at n = 4 to 1.08 at n = 40.
    """

    def draw(
        self,
        sequences: int,
        context: int,
        generator: Generator,
        *,
        scale: float = 1.0,
        dtype: torch.dtype = torch.float32,
    ) -> Sequences:
        """So many problems of `context` examples and a query; x is of length `scale`."""
        shape = (sequences, context + 1, self.dimension)
        x = torch.randn(shape, generator=generator, device=generator.device, dtype=dtype)
        x = scale * x / x.norm(dim=-1, keepdim=True)
        return self.at(x, generator)

    def at(self, x: Float[Tensor, "sequences points inputs"], generator: Generator) -> Sequences:
        """Problems with these points, the last of each its query."""
        z = torch.randn(x.shape[:2], generator=generator, device=generator.device, dtype=x.dtype)
        eigenvalues, axes = torch.linalg.eigh(gram(self.kernel, x, x))
        y = torch.einsum("sij,sj->si", axes, eigenvalues.clamp(min=0).sqrt() * z)[..., None]
        return _problems(x, y, self.noise, generator)


@dataclass(frozen=True)
class SineRegression(SineSettings):
    """y = a sin(x + φ) + ε with x in (−5, 5), a in (0.1, 5) and φ in (0, π) (Finn 2017; von Oswald 2023a, A.7).

    The code released with von Oswald 2023a takes a in (0.1, 0.5).
    """

    def draw(
        self,
        sequences: int,
        context: int,
        generator: Generator,
        *,
        scale: float = 1.0,
        dtype: torch.dtype = torch.float32,
    ) -> Sequences:
        """So many problems of `context` examples and a query; `scale` multiplies every x before y is computed."""

        def uniform(low: float, high: float, *shape: int) -> Tensor:
            unit = torch.rand(sequences, *shape, 1, generator=generator, device=generator.device, dtype=dtype)
            return low + (high - low) * unit

        x = scale * uniform(-5.0, 5.0, context + 1)
        y = uniform(self.smallest_amplitude, self.largest_amplitude, 1) * torch.sin(x + uniform(0.0, pi, 1))
        return _problems(x, y, self.noise, generator)


@dataclass(frozen=True)
class LinearSystem(SystemSettings):
    """s_{t+1} = c W s_t + ε with W orthogonal, a new one for every sequence (von Oswald 2023b, with c = 1)."""

    def draw(
        self,
        sequences: int,
        times: int,
        generator: Generator,
        *,
        scale: float = 1.0,
        dtype: torch.dtype = torch.float32,
    ) -> Trajectories:
        """So many trajectories of `times` states; `scale` multiplies the first state and the noise."""
        w = self._matrices(sequences, generator, dtype)
        noise = torch.randn(sequences, times, self.dimension, generator=generator, device=generator.device, dtype=dtype)
        states = [self._start(noise[:, 0])]
        for t in range(1, times):
            states.append(self.contraction * torch.einsum("sij,sj->si", w, states[-1]) + self.noise * noise[:, t])
        return Trajectories(scale * torch.stack(states, dim=1))

    def draw_few_shot(
        self, sequences: int, pairs: int, generator: Generator, *, dtype: torch.dtype = torch.float32
    ) -> Trajectories:
        """Regression as a trajectory: x_1, y_1, x_2, y_2, … with y_i = c W x_i + ε and every x_i like a first state.

        Half of the transitions, y_i to x_{i+1}, teach nothing (von Oswald 2023b, in-context few-shot regression).
        """
        w = self._matrices(sequences, generator, dtype)
        shape = (2, sequences, pairs, self.dimension)
        x, noise = torch.randn(shape, generator=generator, device=generator.device, dtype=dtype)
        x = self._start(x)
        y = self.contraction * torch.einsum("sij,spj->spi", w, x) + self.noise * noise
        return Trajectories(torch.stack([x, y], dim=2).flatten(1, 2))

    def _matrices(self, sequences: int, generator: Generator, dtype: torch.dtype) -> Tensor:
        """W of each sequence, uniform over the orthogonal group."""
        shape = (sequences, self.dimension, self.dimension)
        w, r = torch.linalg.qr(torch.randn(shape, generator=generator, device=generator.device, dtype=dtype))
        return w * r.diagonal(dim1=1, dim2=2).sign()[:, None]  # else not uniform (Mezzadri 2007)

    def _start(self, z: Tensor) -> Tensor:
        """First states, of z ~ N(0, I)."""
        return self.dimension**0.5 * z / z.norm(dim=-1, keepdim=True) if self.start == "sphere" else z


def _problems(x: Tensor, y: Tensor, noise: float, generator: Generator) -> Sequences:
    """The last point is the query; noise, where there is any, is added to all y, drawn after all else."""
    if noise:
        y = y + noise * torch.randn(y.shape, generator=generator, device=generator.device, dtype=y.dtype)
    return Sequences(x[:, :-1], y[:, :-1], x[:, -1], y[:, -1])


World = LinearRegression | KernelRegression | SineRegression
"""Worlds of regression problems."""
