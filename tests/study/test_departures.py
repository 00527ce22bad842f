"""A study `as_released` lists its departures from the released runs, and only those that concern it."""

from pathlib import Path

import pytest

from demograd import read_study
from demograd.errors import UserError
from demograd.study import Study
from demograd.study.language_model.spec import make_study
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
    assert "of another random generator's state" in of_table1 and "drawn_as: fairseq" not in of_table1
    assert "weights are" not in of_table2, "it has none"


def test_the_figures_are_as_released_as_table_2_is() -> None:
    figures, table = (
        read_study(f"deutch2024-{name}", as_released=True, overrides=["source=hub"]) for name in ("figures", "table2")
    )
    assert isinstance(figures, Study) and isinstance(table, Study)
    own = {"name", "about", "measures", "controls"}
    assert figures.model_dump(exclude=own) == table.model_dump(exclude=own)
    assert set(figures.measures) == {"similarity", "alpha", "layer_by_layer"}
    assert any("gradient norms are of one step" in note for note in figures.notes)
    assert any("conversion" in note for note in figures.notes)


def test_a_section_is_shared_with_a_preset_that_has_one(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    for name in ("deutch2024-tabel2", "dai2023"):
        file.write_text(f"as_released: {name}\n", encoding="utf-8")
        for as_released in (False, True):
            with pytest.raises(UserError, match=f"preset in as_released '{name}'.* deutch2024-table2"):
                read_study(file, as_released=as_released)
    for name in ("deutch2024-table2", "deutch2024-figures"):  # whose own section is the former's
        file.write_text(f"as_released: {name}\n", encoding="utf-8")
        study = read_study(file, as_released=True, tasks=["mr"])
        assert isinstance(study, Study) and study.queries_of("mr") == 1066
    file.write_text("k: 4\n", encoding="utf-8")
    with pytest.raises(UserError, match="Leave it off"):
        read_study(file, as_released=True)


def test_what_can_be_as_released_is_offered_and_then_not_said() -> None:
    """The splits of the hub, and fairseq's initialisation, which belongs to the model of the released runs."""
    offered = notes("deutch2024-table1", model="smollm2-135m")
    assert "`source: hub` (--set source=hub)" in offered and "(--set drawn_as=fairseq)" in offered
    of_the_hub = read_study("deutch2024-table1", as_released=True, overrides=["source=hub"])
    assert isinstance(of_the_hub, Study) and (of_the_hub.source, of_the_hub.drawn_as) == ("hub", "fairseq")
    assert not any("source: hub" in note or "drawn_as" in note for note in of_the_hub.notes)
    assert any("names other examples" in note for note in of_the_hub.notes), "only the splits are the same"


def test_a_source_is_of_built_in_tasks() -> None:
    with pytest.raises(UserError, match="source is of built-in tasks"):
        make_study({"tasks": ["mine.csv"], "source": "hub"})


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"model": "smollm2-135m"}, "model, drawn_as, learning_rates"), ({"k": 4}, "k"), ({"k": 32}, "")],
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
