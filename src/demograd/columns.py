"""The words of the results table that those who write it and those who read it share (docs/run-folder.md)."""

COLUMNS = (
    *("model", "weights", "task", "dtype", "record_at", "seed", "permutation", "k", "k_used"),
    *("setting", "method", "method_options", "learning_rate", "metric", "layer", "head", "step", "at", "selection"),
    *("value", "std", "ci_low", "ci_high", "interval", "n", "n_missing", "n_seeds", "status"),
)
"""The columns of `results.parquet`."""

NOISE_CEILING = "_noise_ceiling"
"""What is appended to a metric's name for √ of its reordering reference."""

CONTROLS = {
    "FT_other_demonstrations": "other demonstrations",
    "FT_permuted_labels": "permuted labels",
    "FT_other_task": "another task",
}
"""Setting → what FT was on instead of ICL's own demonstrations with their labels."""
