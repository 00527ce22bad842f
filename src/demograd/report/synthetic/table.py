"""The leading numbers of a synthetic run, for a terminal or a notebook."""

import pandas as pd

from demograd.report.run import Run
from demograd.report.synthetic.numbers import cells, of_context, synthetic_rows, written


def network_table(run: Run) -> pd.DataFrame:
    """What a terminal shows: formatted text, a row per network and reference that it is held against.

    Numbers to compute with are in `run.results`.
    """
    rows = of_context(synthetic_rows(run.results), run.study["context"])
    losses, cosines = cells(rows, "loss"), cells(rows, "sensitivity_cosine")
    lines = []
    for of, ratio in cells(rows, "loss_ratio").items():
        loss, cosine = losses.get(of._replace(reference="")), cosines.get(of)
        lines.append(
            {
                "world": of.world,
                "network": of.network,
                "reference": of.reference,
                "loss": loss.text if loss else "",
                "loss ratio": written(ratio),
                "sensitivity cosine": written(cosine) if cosine else "",
            }
        )
    return pd.DataFrame(lines)
