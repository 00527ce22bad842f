"""Facts about `--set`: a path, and YAML whose commas make a list."""

import pytest

from demograd import UserError, read_study
from demograd.study import Study, SyntheticStudy


def changed(*overrides: str, preset: str = "quickstart") -> Study:
    study = read_study(preset, overrides=overrides)
    assert isinstance(study, Study)
    return study


def test_commas_make_a_list_and_one_value_is_itself() -> None:
    assert changed("k=8,16").k == [8, 16]
    assert changed("k=8").k == changed("k=8,").k == [8]
    assert changed("learning_rates.GD=1e-3,0.1").learning_rates["GD"] == [0.001, 0.1]
    assert changed("balanced=true").balanced is True
    assert changed("tasks=subj").tasks == ["subj"] and changed("seeds=3").seeds == [3]
    assert changed("checkpoints=@step1,@step2").checkpoints == ["@step1", "@step2"]


def test_tasks_that_a_user_names_are_not_optional() -> None:
    """The preset has optional tasks: those whose data a machine may not have."""
    by_path = read_study("deutch2024-table2", overrides=["tasks=sst2,subj"])
    by_name = read_study("deutch2024-table2", tasks=["sst2", "subj"])
    assert isinstance(by_name, Study)
    assert by_path == by_name and by_name.tasks == ["sst2", "subj"] and by_name.optional_tasks == []


def test_a_path_leads_into_a_list_of_names_and_keeps_the_others() -> None:
    methods = changed("methods.GD.epochs=2", "methods.GD.parameters={which: value, layers: [0, 3]}").methods
    assert methods["GD"] == {"kind": "GD", "epochs": 2, "parameters": {"which": "value", "layers": [0, 3]}}
    assert methods["LCGD"] == {"kind": "LCGD"}


def test_text_is_taken_as_it_is() -> None:
    assert changed("template=Review: {text}, good or bad:").template == "Review: {text}, good or bad:"
    assert changed("model=1").model == "1"


def test_rules_of_the_grid_can_be_set() -> None:
    study = changed("k=2,4", "exclude={k: 2, weights: no_training},{k: 4, weights: [trained]}")
    assert [rule.excluded for rule in study.exclude] == [
        {"weights": ["no_training"], "k": [2]},
        {"weights": ["trained"], "k": [4]},
    ]


def test_a_synthetic_study_is_changed_in_the_same_way() -> None:
    study = read_study("vonoswald2023", overrides=["training.steps=7", "seeds=1,2"])
    assert isinstance(study, SyntheticStudy)
    assert (study.training.steps, study.seeds) == (7, [1, 2])
    assert study.training.batch == read_study("vonoswald2023").training.batch  # type: ignore[union-attr]


def test_a_single_value_is_a_list_of_it_wherever_a_list_is_wanted() -> None:
    assert changed("learning_rates.GD=0.1").learning_rates["GD"] == [0.1]
    assert changed("learning_rates.GD.sst2=0.1").learning_rates["GD"] == {"sst2": [0.1]}
    assert changed("tasks=sst2", "seeds.sst2=3").seeds == {"sst2": [3]}
    assert changed("separator=eos").separator == "eos"


def test_null_is_nothing_where_nothing_is_allowed_and_a_text_elsewhere() -> None:
    assert changed("template=a {text}", "template=null").template is None
    assert changed("validation_path=b.csv", "validation_path=null").validation_path is None
    assert changed("about=null").about == "null"


def test_text_below_a_name_is_taken_as_it_is() -> None:
    """YAML would read No as false."""
    assert changed("label_words.neg=No", "label_words.pos=Yes").label_words == {"neg": "No", "pos": "Yes"}


def test_a_synthetic_study_is_changed_below_its_names_too() -> None:
    world, network = "worlds.linear regression", "networks.linear, 1 layer"
    study = read_study(
        "vonoswald2023",
        overrides=[
            f"{world}.dimension=1",
            f"{world}.spectrum=2",
            f"{world}.inputs=normal",
            f"{network}.attention=relu",
            f"{network}.training.steps=5",
            "references=GD",
        ],
    )
    assert isinstance(study, SyntheticStudy)
    assert study.worlds["linear regression"].spectrum == [2]  # type: ignore[union-attr]
    assert study.networks["linear, 1 layer"].attention == "relu"
    assert study.networks["linear, 1 layer"].training.steps == 5 and study.references == ["GD"]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("k", ["--set k", "PATH=VALUE"]),
        ("=3", ["--set =3", "PATH=VALUE"]),
        ("methdos.GD.epochs=2", ["'methdos'", "Did you mean methods"]),
        ("methods.DG.epochs=2", ["'DG'", "Did you mean GD"]),
        ("methods.GD.epoch=2", ["methods.GD", "'epoch'", "Did you mean epochs"]),
        ("k=[", ["--set k=[", "not YAML", "Expected: a value as a study file has it"]),
        ("k=many", ["k = 'many'", "integer"]),
        ("name=../../elsewhere", ["name", "'../../elsewhere'"]),
    ],
)
def test_a_wrong_override_is_named(override: str, words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        changed(override)
    assert all(word in str(error.value) for word in words), str(error.value)
