"""What captions and the methods section both say of a run: its subject, its sample, and its correction."""

from typing import Any

from demograd.report.captions import ranges
from demograd.report.run import ReportedRun
from demograd.words import Setting, listed, task_label


def subject_of_run(run: ReportedRun) -> str:
    """`smollm2-135m on trec, abstract labels`, or the worlds of a synthetic run."""
    if run.is_synthetic:
        worlds = [str(world) for world in run.networks["task"].dropna().unique()]
        return listed(worlds) if worlds else "constructions"
    pairs = run.results[["task", "labels"]].dropna(subset=["task"]).drop_duplicates()
    tasks = [task_label(task, None if label != label else label) for task, label in pairs.itertuples(index=False)]
    return f"{listed(distinct(run, 'model'))} on {listed(tasks)}" if tasks else listed(distinct(run, "model"))


def counts(run: ReportedRun) -> str:
    """`8 demonstration sets (seeds 0–7), 24 queries, k = 24.`"""
    seeds = whole(run, "seed")
    if run.is_synthetic:
        sequences = run.study.get("test_sequences")
        words = [
            f"{len(seeds)} training seed{'s' * (len(seeds) != 1)} ({ranges(seeds)})" if seeds else "",
            f"{sequences:,} test sequences" if isinstance(sequences, int) else "",
            f"k = {run.study['context']} examples in context",
        ]
    else:
        queries = queries_in_words(run)
        words = [
            f"{len(seeds)} demonstration set{'s' * (len(seeds) != 1)} (seed{'s' * (len(seeds) != 1)} {ranges(seeds)})"
            if seeds
            else "",
            f"{queries} queries" if queries else "",
            f"k = {listed(map(str, whole(run, 'k')))}" if whole(run, "k") else "",
        ]
    return f"{', '.join(filter(None, words))}."


def queries_in_words(run: ReportedRun) -> str:
    """How many queries were asked: as the comparisons counted them, else as the study says."""
    counted: dict[str, int] = {}
    for claim in run.claims["claims"]:
        for comparison in claim["comparisons"]:  # of some, not all queries have a value
            counted[comparison["task"]] = max(counted.get(comparison["task"], 0), comparison.get("n_queries") or 0)
    if any(counted.values()):
        return " or ".join(map(str, sorted({*counted.values()} - {0})))
    planned = run.study.get("queries")
    if isinstance(planned, dict):
        return listed(f"{number} ({task})" for task, number in planned.items())
    return str(planned) if planned else ""


def correction(run: ReportedRun) -> str:
    """`p-values are corrected: Holm, over …`, where there are any."""
    tested = any(claim["comparisons"] for claim in run.claims["claims"])
    # the record is of both kinds of study
    words = run.claims["correction"].replace("demonstration sets or training seeds", _sample(run))
    return f"p-values are corrected: {words}." if tested and words else ""


def _sample(run: ReportedRun) -> str:
    """What the means of a run are over."""
    return "training seeds" if run.is_synthetic else "demonstration sets"


def distinct(run: ReportedRun, column: str) -> list[str]:
    """The values of a column of names, in the order of the results."""
    return [str(value) for value in run.results[column].dropna().unique()]


def whole(run: ReportedRun, column: str) -> list[int]:
    """The values of a column of whole numbers, sorted; of demonstrations and training seeds where a task was used."""
    rows = run.results[run.results["task"].notna()]
    return sorted({int(value) for value in rows[column].dropna()})


def has_setting(run: ReportedRun, setting: Setting) -> bool:
    """Whether anything was measured in this setting."""
    return bool((run.results["setting"] == setting).any())


def in_words(value: Any) -> str:
    """A setting of a study as text."""
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {in_words(item)}" for name, item in value.items())
    return listed(map(in_words, value)) if isinstance(value, list) and value else str(value)
