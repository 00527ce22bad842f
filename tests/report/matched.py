"""A run that matches ICL with FT, with its verdicts: what the first screen is made of."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tests.report.conftest import Fake, verdicts, write_run
from tests.report.rows import row, write_results

from demograd.files import write_json, write_table
from demograd.statistics import Finding, Verdict

SETS = 8
ABOUT = {"model": "smollm2-135m", "weights": "trained", "task": "mr", "labels": "gold", "k": 16}


def comparison(method: str = "GD", own: float = 0.173, other: float = 0.174, **about: Any) -> dict[str, Any]:
    """One test of the leading claim as `claims.json` has it, with the bounds ± 0.002 and ± 1 %."""
    side = {"metric": "sim_aou", "method": method, "model": ABOUT["model"], "weights": "trained", "setting": "FT"}
    share = (own - other) / own
    return {
        **dict.fromkeys(("p_value", "p_corrected", "p_equal", "p_equal_corrected", "effect_size", "initialisation")),
        **{name: ABOUT[name] for name in ("task", "labels", "k")},
        "compared": f"SimAOU, {method}, trained: FT − FT_other_sets",
        "left_side": side,
        "right_side": side | {"setting": "FT_other_sets"},
        "place": "",
        "left": own,
        "right": other,
        "difference": own - other,
        "ci_low": own - other - 0.002,
        "ci_high": own - other + 0.002,
        "n": 1536,
        "n_missing": 0,
        "n_seeds": SETS,
        "n_queries": 24,
        "margin": 0.1,
        "matching": {
            "specific_share": share,
            "share_ci_low": share - 0.01,
            "share_ci_high": share + 0.01,
            "identified": 0.0,
        },
        "one_rate_each": False,
        "verdict": "not specific",
        "reason": "",
        **about,
    }


def finding(verdict: Verdict, method: str = "GD", task: str = "mr", reason: str = "", caveat: str = "") -> Finding:
    """A finding on the leading claim."""
    about = f"{method} on {task}"
    return Finding("specificity", about, verdict, reason, f"{verdict}: {about}, in the engine’s words.", caveat)


def claims_record(findings: Sequence[Finding], comparisons: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The content of `claims.json`."""
    claim = {
        "name": "specificity",
        "claim": "FT on a set is more like ICL with that set than with another",
        "source": "demograd",
        "compare": "specific",
        "needs": "",
        "comparisons": list(comparisons),
    }
    return verdicts(findings) | {"claims": [claim]}


def write_matched_run(folder: Path, **facts: Any) -> Path:
    """A run of GD and LCGD, of which only reordered ICL knows its sets: its map glows, theirs do not."""
    write_run(folder, Fake(layers=2, **facts))
    random = np.random.default_rng(2)
    matrices = []
    untuned = {"method": None, "learning_rate": None, "setting": "ICL_reordered"}
    for tuned in ({"method": "GD", "learning_rate": 0.001}, {"method": "LCGD", "learning_rate": 0.003}, untuned):
        for icl_seed in range(SETS):
            for ft_seed in range(SETS):
                value = 0.2 + 0.002 * random.standard_normal() + 0.03 * (tuned is untuned and icl_seed == ft_seed)
                pair = {"metric": "sim_aou", "icl_seed": icl_seed, "ft_seed": ft_seed, "value": value, "step": None}
                matrices.append({**ABOUT, "initialisation": 0, "setting": "FT", **tuned, **pair})
    write_table(folder / "matching.parquet", pd.DataFrame(matrices))
    specific = {"versus": "other_sets", "n_seeds": SETS, "method_options": '{"step": "demonstration", "of": "GD"}'}
    write_results(folder, [row("sim_aou", "FT", 0.001, method="GD", **specific, p_value=0.4)], keep=True)
    findings = [
        finding(Verdict.NOT_SPECIFIC),
        finding(Verdict.UNDECIDED, "LCGD", reason="fine-tuning learned nothing here"),
    ]
    write_json(folder / "claims.json", claims_record(findings, [comparison(), comparison("LCGD")]))
    return folder
