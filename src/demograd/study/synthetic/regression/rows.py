"""All rows of one world of regression problems, question by question."""

from collections.abc import Iterator

from torch import Generator

from demograd.study.synthetic.clamped import clamped_rows
from demograd.study.synthetic.named import failed_row
from demograd.study.synthetic.references import Tuned
from demograd.study.synthetic.regression.against import against_rows
from demograd.study.synthetic.regression.by_layers import by_layers_rows
from demograd.study.synthetic.regression.elsewhere import elsewhere_rows
from demograd.study.synthetic.regression.interpolation import interpolation_rows
from demograd.study.synthetic.regression.losses import loss_rows
from demograd.study.synthetic.regression.margins import margin_rows
from demograd.study.synthetic.regression.order import order_rows
from demograd.study.synthetic.regression.over_training import over_training_rows
from demograd.study.synthetic.regression.preconditioners import preconditioner_rows
from demograd.study.synthetic.regression.tested import Problems, tested
from demograd.study.synthetic.spec import SyntheticStudy
from demograd.study.synthetic.units import Trained
from demograd.words import Row


def regression_rows(
    study: SyntheticStudy,
    name: str,
    references: list[Tuned],
    networks: dict[str, dict[int, Trained]],
    generator: Generator,
) -> Iterator[Row]:
    """Rows of the world of this name. A network that diverged has one, and is in no other."""
    yield from filter(None, (failed_row(network, by_seed) for network, by_seed in networks.items()))
    problems = Problems(study, name, generator)
    here = tested(study, name, references, networks, problems())
    yield from loss_rows(here)
    yield from clamped_rows(here.networks, here.problems)
    yield from against_rows(here)
    yield from over_training_rows(here, networks)
    yield from margin_rows(here)
    yield from by_layers_rows(here)
    yield from elsewhere_rows(here, problems)
    yield from preconditioner_rows(here)
    yield from interpolation_rows(here)
    yield from order_rows(here)
