"""A study `as_released` lists its departures from the released runs, and only those that concern it."""

import pytest

from demograd import read_study
from demograd.study import Study
from demograd.study.spec.files import departures_of
from demograd.study.store.keys import study_key


def notes(preset: str, **changes: object) -> str:
    study = read_study(preset, as_released=True, **changes)
    assert isinstance(study, Study)
    return " ".join(study.notes)


def test_what_the_released_runs_did_otherwise_is_said() -> None:
    of_table1, of_table2 = notes("deutch2024-table1"), notes("deutch2024-table2")
    for text in (of_table1, of_table2):
        assert all(word in text for word in ("splits", "phrases", "loss is not scaled", "conversion"))
        assert "but not in" not in text
    assert "fairseq, which the released runs" in of_table1
    assert "weights are drawn" not in of_table2, "it has none"


@pytest.mark.parametrize(
    ("changes", "name"), [({"model": "smollm2-135m"}, "model, learning_rates"), ({"k": 4}, "k"), ({"k": 32}, "")]
)
def test_what_the_user_set_otherwise_is_said(changes: dict[str, object], name: str) -> None:
    text = notes("deutch2024-table2", **changes)
    assert (f"as released, but not in {name}," in text) == bool(name)
    assert ("but not in" in text) == bool(name)


def test_an_override_is_otherwise_too() -> None:
    study = read_study("deutch2024-table2", as_released=True, overrides=["dtype=float32"])
    assert isinstance(study, Study)
    assert "but not in dtype," in study.notes[0]


def test_only_what_concerns_a_study_is_said_and_its_numbers_do_not_depend_on_it() -> None:
    settings = {"tasks": ["mr"], "weights": ["trained"], "model": "a/b", "selections": ["all"]}
    assert not any(
        "SST2" in sentence or "weights are drawn" in sentence or "conversion" in sentence
        for sentence in departures_of(settings)
    )
    plain = read_study("deutch2024-table2")
    assert isinstance(plain, Study) and plain.notes == []
    assert study_key(plain) == study_key(plain.model_copy(update={"notes": ["said"]}))
