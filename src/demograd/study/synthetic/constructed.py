"""What is measured of constructions themselves: that they hold."""

from collections.abc import Iterator

import torch

from demograd.study.rows import number
from demograd.study.synthetic.spec import SyntheticStudy
from demograd.synthetic import CONSTRUCTIONS
from demograd.words import Row, Setting


def construction_rows(study: SyntheticStudy) -> Iterator[Row]:
    """The largest error of each construction over random instances of random sizes, in float64."""
    for name, construction in CONSTRUCTIONS.items():
        worst = float(torch.tensor([construction.error(seed) for seed in range(study.instances)]).max())
        yield Row(
            setting=Setting.CONSTRUCTION,
            weights="constructed",
            method=name,
            metric="construction_error",
            dtype="float64",
            value=number(worst),
            n=study.instances,
            n_missing=0,
        )
