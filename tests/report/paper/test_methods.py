"""The methods section: it says what the run's files say, cites what it names, and nothing else."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.report.rows import METHODS, row, run_of, write_everything
from tests.report.synthetic.rows import write_synthetic_run

from demograd.errors import UserError
from demograd.files import read_json, read_yaml, write_json, write_yaml
from demograd.learn import ParameterSubset
from demograd.models.packaged import BUILT_IN
from demograd.report import read_run
from demograd.report.paper import analysis, experiment, fine_tuning, methods, synthetic_methods
from demograd.report.paper.bibliography import bibliography, entries
from demograd.report.paper.prose import SOURCES, Paragraph, as_latex, as_markdown, cite, keys_of, say
from demograd.report.run import Check
from demograd.tasks.sources.built_in import built_in_tasks

MakeRun = Callable[..., Path]
MODELS = ("smollm2", "gemma3")
"""Keys of the built-in models' sources."""
TASKS = {"sst2": ["sst"], "mr": ["mr"], "subj": ["subj"], "agnews": ["agnews"], "trec": ["trec"]}
"""Of tasks that come in a package."""


def _written(folder: Path) -> str:
    return as_markdown(methods.methods(read_run(folder)), "Methods")


def _fine_tuned(options: str) -> str:
    run = run_of(row("sim_aou", "FT", 0.2, method="GD", method_options=options))
    return as_markdown([Paragraph("Fine-tuning", tuple(fine_tuning.fine_tuning(run)))], "M")


def _judged(comparisons: list[dict[str, Any]], about: dict[str, Any], **claim: Any) -> str:
    """The paragraph on statistics of a run with one claim and one score."""
    claims = [{"claim": "A claim", "source": "Dai 2023", "compare": "above", "comparisons": comparisons, **claim}]
    run = run_of(
        row("sim_aou", "FT", 0.2, method="GD", **about), claims={"correction": "Holm, over all", "claims": claims}
    )
    return as_markdown([Paragraph("Tests", tuple(analysis.statistics(run)))], "M")


def test_it_says_the_settings_of_the_run(run: MakeRun) -> None:
    text = _written(write_everything(run(layers=2, tasks=("trec",))))
    for fact in (
        "We study smollm2-135m.",
        "The task is trec (StaICC).",
        "“Review: \\{text\\} Sentiment:”",
        "8 demonstration sets (seeds 0–7) of k = 4 and 16",
        "50 queries",
        "GD is gradient descent [@dai2023; @deutch2024]: SGD, one step per demonstration",
        "LCGD is layer-causal gradient descent [@deutch2024]",
        "learning rates are 0.001 and 0.004 (the shipped sweep: highest held-out label log-likelihood)",
        "SimAM\\_Δ: cos(m\\_ICL − m\\_ZSL, m\\_FT − m\\_ZSL) per head [@deutch2024]",
        "Satterthwaite’s degrees of freedom [@satterthwaite1946]",
        "Holm’s procedure [@holm1979]",
        "torch 2.13.0 [@pytorch]",
    ):
        assert fact in text
    assert "None" not in text and "nan" not in text


@pytest.mark.parametrize(
    ("method", "settings", "sentence"),
    [
        ("GD", {}, "[@dai2023; @deutch2024]: SGD, one step per demonstration, one pass over the demonstrations"),
        ("GD", {}, "trained are the key and value projections."),
        ("GD", {"parameters": {"which": "all"}}, "trained are all parameters [@shen2023]."),
        (
            "GD",
            {"parameters": {"which": "all", "fraction": 0.1, "seed": 3}},
            "all parameters, a random 10 % of the entries, drawn with seed 3 [@shen2023].",
        ),
        ("GD", {"parameters": {"layers": (2, 5)}}, "projections, layers 2 to 5 only [@shen2023]."),
        ("GD", {"parameters": {"layers": 3, "which": "all"}}, "all parameters of the blocks, layer 3 only"),
        ("GD", {"step": "batch"}, "one step on the mean over all demonstrations [@shen2023]"),
        ("GD", {"optimizer": "adam", "epochs": 2}, "Adam [@kingma2015; @shen2023], one step"),
        ("GD", {"optimizer": "adam", "epochs": 2}, "2 epochs"),
        ("GD", {"momentum": 0.9, "clip": 1.0, "linearised": True}, "momentum 0.9, clip 1.0, linearised"),
        ("LCGD", {"softmax_gradient": False}, "no softmax derivative"),
        ("LCGD", {"readout": "attention"}, "reads the attention output"),
        ("LCGD", {"parameters": {"which": "all"}}, "trained are all parameters of the blocks"),
    ],
)
def test_a_method_is_told_by_all_of_its_options(method: str, settings: dict[str, Any], sentence: str) -> None:
    subset = {"parameters": ParameterSubset(**settings["parameters"])} if "parameters" in settings else {}
    tuning = METHODS[method](learning_rate=1.0, **{**settings, **subset})
    assert sentence in _fine_tuned(json.dumps(tuning.options()))


def test_gates_name_all_that_they_are_about() -> None:
    passed = Check("trained", "mr", "fine_tuning", "GD 0.001", True, "it learned: AUC", model="a", k=4, labels="gold")
    changes = [{"k": 16}, {"labels": "abstract"}, {"model": "b"}, {"weights": "norms_only", "initialisation": 1}]
    changes += [{"weights": "norms_only", "initialisation": 0}]
    checks = (passed, *(replace(passed, **change) for change in changes))  # type: ignore[arg-type]
    sentences = [str(piece) for (piece,) in analysis.validity(run_of(validity=checks))][1:]
    assert len(set(sentences)) == len(checks)
    assert "For a, trained, mr, k 4, GD 0.001: it learned." in sentences
    assert "For a, norms_only 1, mr, k 4, GD 0.001: it learned." in sentences


NO_TEST = {"task": "mr", "n_seeds": 2, "p_value": None, "p_corrected": None, "p_equal": None}


def test_a_run_of_two_sets_says_nothing_of_what_it_has_not() -> None:
    text = _judged([NO_TEST], {"std": None, "interval": "conditional"})
    for word in ("± sample standard deviation", "satterthwaite1946", "t tests", "Holm", "5 %;", "owen2007"):
        assert word not in text
    assert "conditional on these demonstrations" in text and "nothing to test it by, were: “A claim”" in text


def test_each_sentence_on_statistics_rests_on_a_number() -> None:
    text = _judged([NO_TEST | {"p_value": 0.01}], {})
    assert "± sample standard deviation" in text and "satterthwaite1946" in text and "t tests" in text
    assert "Holm" not in text and "conditional" not in text and "hedges1981" not in text
    assert "Holm" in _judged([NO_TEST | {"p_value": 0.01, "p_corrected": 0.02}], {})
    equal = [NO_TEST | {"p_equal": 0.01, "margin": 0.1}]
    assert "equivalence within a margin (margins 0.1)" in _judged(equal, {}, compare="equal")


def _matched(n_seeds: int, task: str = "mr") -> dict[str, Any]:
    return {"task": task, "n_seeds": n_seeds, "p_value": 0.01, "p_corrected": 0.02, "matching": {"p_one_sided": 0.005}}


@pytest.mark.parametrize(
    ("comparisons", "pairings"),
    [
        ([_matched(8)], "(all pairings)"),
        ([_matched(9)], "(20,000 random pairings and the true one)"),
        ([_matched(8, "mr and sst2")], "(20,000 random pairings and the true one)"),
        (
            [_matched(8), _matched(9)],
            "(all pairings of up to 8 sets of a task, 20,000 random pairings and the true one",
        ),
    ],
)
def test_pairings_are_those_that_each_test_went_through(comparisons: list[dict[str, Any]], pairings: str) -> None:
    assert pairings in _judged(comparisons, {"n_seeds": 8})


def test_options_that_no_method_here_has_are_named() -> None:
    assert "mine: dropout rate 0.5." in _fine_tuned('{"kind": "mine", "dropout_rate": 0.5}')
    assert "options of old" in _fine_tuned("options of old")


def test_no_sentence_is_about_what_was_not_done(run: MakeRun) -> None:
    text = _written(run(layers=2))
    for word in (
        "Mantel",
        "mantel1967",
        "tukey",
        "fieller",
        "holm1979",
        "kingma2015",
        "pan2023",
        "Random labels",
        "seeded order",
    ):
        assert word not in text


@pytest.mark.parametrize(
    ("kind", "name", "source", "keys"),
    [
        *(
            ("models", name, model.description, [key])
            for (name, model), key in zip(BUILT_IN.items(), MODELS, strict=True)
        ),
        ("models", "mine", "google/gemma-3-1b-it, commit 1ab", ["gemma3"]),
        ("models", "gemma3-270m", "/home/me/gemma3-270m", ()),
        ("models", "google/gemma-3-1b-it", "the folder google/gemma-3-1b-it", ()),
        *(("tasks", name, f"StaICC 0.1.1 {built_in_tasks()[name].staicc}", keys) for name, keys in TASKS.items()),
        ("tasks", "cb", "hub data set aps/super_glue (cb) train", ["cb", "superglue"]),
        ("tasks", "mr", "file mr.csv", ()),
        ("tasks", "mr", "StaICC 0.1.1 trec", ()),
        ("tasks", "mine", "StaICC 0.1.1 trec", ()),
    ],
)
def test_only_what_comes_from_where_it_was_published_is_cited(
    kind: str, name: str, source: str, keys: Sequence[str]
) -> None:
    run = run_of(
        row("accuracy", "ZSL", 0.5, model=name, task=name), provenance={kind: {name: {"name": name, "source": source}}}
    )
    say_it = experiment.model if kind == "models" else experiment.task
    cited = keys_of([Paragraph("About", tuple(say_it(run)))])
    assert cited == [*keys]


def test_fine_tunings_start_alike_within_a_state_of_the_weights(run: MakeRun) -> None:
    assert "starts from the same weights in each state of the weights." in _written(run(layers=1))
    assert "Every fine-tuning starts from the same weights." in _fine_tuned("{}")


def test_a_folder_with_a_study_and_results_alone_still_says_what_they_say(run: MakeRun) -> None:
    folder = run(layers=2)
    for name in ("provenance.json", "validity.json", "claims.json"):
        (folder / name).unlink()
    text = _written(folder)
    assert "8 demonstration sets" in text and "None" not in text


def test_a_synthetic_run_has_worlds_networks_and_references(tmp_path: Path) -> None:
    paragraphs = synthetic_methods.methods(read_run(write_synthetic_run(tmp_path / "synthetic")))
    text = as_markdown(paragraphs, "Methods")
    assert "5 training seeds" in text and "4,096 test sequences" in text and "“isotropic”" in text
    assert {"kingma2015", "satterthwaite1946", "vonoswald2023a"} <= {*keys_of(paragraphs)}


def test_names_from_files_are_no_commands(run: MakeRun) -> None:
    folder = run(layers=2)
    provenance = read_json(folder / "provenance.json")
    provenance["tasks"]["mr"]["template"] = r"\input{/etc/passwd} 100 % {text}"
    write_json(folder / "provenance.json", provenance)
    text = as_latex(methods.methods(read_run(folder)), "Methods")
    assert r"\input" not in text and r"\textbackslash{}input\{/etc/passwd\} 100 \%" in text
    assert not re.search(r"(?<!\\)%", text)


def test_the_bibliography_has_the_cited_entries_alone() -> None:
    text = bibliography(["holm1979", "dai2023"])
    assert re.findall(r"^@\w+\{(\w+),", text, re.MULTILINE) == ["dai2023", "holm1979"]
    with pytest.raises(UserError, match="Unknown sources nobody1900"):
        bibliography(["nobody1900"])


def test_every_source_that_code_names_is_in_the_bibliography(run: MakeRun) -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in Path(methods.__file__).parent.glob("*.py"))
    cited = {key for keys in re.findall(r'cite\(((?:"\w+"(?:, )?)+)\)', source) for key in re.findall(r'"(\w+)"', keys)}
    assert cited and cited | {*SOURCES.values()} <= {*entries()}
    for key, entry in entries().items():
        assert re.search(r"^  title\s*= \{", entry, re.MULTILINE) and re.search(r"year\s*= \{\d{4}\}", entry), key
        assert entry.isascii() and entry.count("{") == entry.count("}")


def test_latex_and_markdown_cite_in_their_own_way() -> None:
    paragraphs = [Paragraph("Tests", (say("p_ICL by Holm", cite("holm1979", "tukey1949"), "."),))]
    assert "p\\_ICL by Holm [@holm1979; @tukey1949]." in as_markdown(paragraphs, "M")
    assert r"by Holm~\cite{holm1979,tukey1949}." in as_latex(paragraphs, "M")


def test_defects_of_released_runs_are_not_said_to_be_absent(run: MakeRun) -> None:
    folder = run(layers=2)
    assert "ICL and FT use the same ones" in _written(folder)
    write_yaml(folder / "study.yaml", read_yaml(folder / "study.yaml") | {"fine_tuned_on": "all"})
    assert "ICL and FT use the same ones" not in _written(folder)
