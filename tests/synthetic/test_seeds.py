"""Streams of random numbers do not repeat one another."""

from itertools import product

import torch

from demograd.synthetic import LinearRegression, seeded


def test_every_purpose_and_seed_draws_problems_of_its_own() -> None:
    streams = list(product(("weights", "training", "tuning", "test"), (0, 1, 2, 2**32, 2**33)))
    samples = [LinearRegression(2).draw(3, 4, seeded(purpose, seed)).x for purpose, seed in streams]
    assert all((sample != other).all() for n, sample in enumerate(samples) for other in samples[:n])


def test_the_same_purpose_and_seed_draw_the_same() -> None:
    first, same = (torch.randn(5, generator=seeded("test", 7)) for _ in range(2))
    assert torch.equal(first, same)
