"""From trained networks and tuned references to the tidy table (docs/run-folder.md) and the matrices for heat maps."""

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from demograd.files import read_table, write_table
from demograd.study.results import as_table
from demograd.study.store.folder import RunFolder
from demograd.study.synthetic.constructed import construction_rows
from demograd.study.synthetic.matrices import matrices
from demograd.study.synthetic.named import of_reference
from demograd.study.synthetic.references import Tuned
from demograd.study.synthetic.regression import regression_rows
from demograd.study.synthetic.schema import BESIDE, SyntheticStudy
from demograd.study.synthetic.sparsity import sparsity_rows
from demograd.study.synthetic.system_rows import system_rows
from demograd.study.synthetic.trained import SyntheticCell, Trained
from demograd.study.synthetic.training_rows import training_rows
from demograd.synthetic import seeded
from demograd.words import COLUMNS, Row


def collect(
    study: SyntheticStudy,
    folder: RunFolder,
    references: dict[str, list[Tuned]],
    networks: dict[SyntheticCell, Trained],
) -> pd.DataFrame:
    """Write `results.parquet` and `matrices.json`, and return the table."""
    rows: list[Row] = [*construction_rows(study)]
    for world in study.worlds:
        here = {
            name: {cell.seed: one for cell, one in networks.items() if (cell.world, cell.network) == (world, name)}
            for name in study.networks
        }
        rows += (
            Row(task=world, k=study.context, dtype="float32") | row
            for row in _of_world(study, world, references[world], here)
        )
    table = as_table(rows)
    if study.language_model is not None:
        beside = read_table(folder.path / BESIDE / "results.parquet")
        table = pd.concat([table, beside[list(COLUMNS)].astype(table.dtypes)], ignore_index=True)
    write_table(folder.path / "results.parquet", table)
    folder.write_json("matrices.json", matrices(study, references, networks))
    return table


def _of_world(
    study: SyntheticStudy, name: str, references: list[Tuned], networks: dict[str, dict[int, Trained]]
) -> Iterator[Row]:
    yield from training_rows(networks)
    yield from (replace(of_reference(one), metric="loss", status=one.status) for one in references if not one.learner)
    references = [one for one in references if one.learner]
    if study.sparsity:
        yield from sparsity_rows(study, name, references, networks)
    generator = seeded("test", study.test_seed, study.device)
    rows = system_rows if study.worlds[name].kind == "system" else regression_rows
    yield from rows(study, name, references, networks, generator)
