"""Sparsity of trained and constructed small networks, beside that of a language model (Shen 2023, Figure 2)."""

import pandas as pd

from demograd.report.section import Section
from demograd.report.sparsity import METRIC, sparsity_section


def synthetic_sparsity_section(results: pd.DataFrame) -> Section | None:
    """As on a language model's page; of small networks over all their few layers, named by their worlds."""
    rows = results[(results["metric"] == METRIC) & results["seed"].isna()]
    is_small = rows["task"].notna()
    in_world = rows["model"] + " in " + rows["task"]
    names = in_world.where(rows["weights"] != "constructed", "for " + rows["task"])
    rows = rows.assign(model=names.where(is_small, rows["model"]))
    return sparsity_section(rows[~is_small | rows["layer"].isna()])
