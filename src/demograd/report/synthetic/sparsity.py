"""Sparsity of trained and constructed small networks, beside that of a language model (Shen 2023, Figure 2)."""

import pandas as pd

from demograd.report.section import Section
from demograd.report.sparsity import METRIC, sparsity_section


def synthetic_sparsity_section(results: pd.DataFrame) -> Section | None:
    """As on a language model's page, with each network named by its world where there are several."""
    rows = results[(results["metric"] == METRIC) & results["seed"].isna()]
    if rows["task"].nunique() > 1:
        rows = rows.assign(model=(rows["model"] + " in " + rows["task"]).where(rows["task"].notna(), rows["model"]))
    return sparsity_section(rows)
