"""Any study file gives a study or one message, never a traceback, and nothing is written."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.cli.test_mistakes import call
from tests.searches import examples

from demograd import UserError
from demograd.errors import LONGEST_MESSAGE
from demograd.study import Study, SyntheticStudy, cells, preset_names, read_study
from demograd.study.spec.files import PRESETS

QUICK = settings(max_examples=examples(150), suppress_health_check=[HealthCheck.too_slow])
WHOLE = {name: yaml.safe_load((PRESETS / f"{name}.yaml").read_text(encoding="utf-8")) for name in preset_names()}
FIELDS = sorted({*Study.model_fields, *SyntheticStudy.model_fields, "as_released", "kindd", "x"})

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.dates(),
    st.sampled_from(
        ["GD", "LCGD", "sst2", "trained", "synthetic", "a" * 10_000, "../../etc", "/", "\0", "=1+1", "1e400"]
    ),
)
KEYS = st.one_of(
    st.sampled_from([*FIELDS, "kind", "GD", "parameters", "task", "mr"]), st.text(max_size=5), st.integers()
)
VALUES = st.recursive(
    LEAVES, lambda below: st.lists(below, max_size=4) | st.dictionaries(KEYS, below, max_size=4), max_leaves=12
)


@contextmanager
def study_file(content: bytes) -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "mine.yaml"
        file.write_bytes(content)
        yield file
        assert [file.name for file in Path(folder).iterdir()] == ["mine.yaml"]


def is_study_or_message(content: bytes) -> bool:
    """Whether the file is a study that can be dumped and counted; otherwise its message must be readable."""
    with study_file(content) as file:
        try:
            study = read_study(str(file))
        except UserError as error:
            message = str(error)
            assert 0 < len(message) <= LONGEST_MESSAGE and message.encode() and "\0" not in message
            return False
    dumped = yaml.safe_dump(study.model_dump(mode="json"), allow_unicode=True).encode()
    assert yaml.safe_load(dumped) == study.model_dump(mode="json")
    assert Path(study.name).name == study.name and study.name not in (".", "..")
    if isinstance(study, Study) and set(study.methods) <= set(study.learning_rates):
        assert all(cell.learning_rate > 0 for cell in islice(cells(study), 100))
    return True


@QUICK
@given(st.binary(max_size=300))
def test_any_bytes(content: bytes) -> None:
    is_study_or_message(content)


@QUICK
@given(st.text(alphabet=list("ab:-{}[]&*!|>'\"#%@,\n\t ?1.~\\"), max_size=60))
def test_any_text_of_yamls_own_signs(text: str) -> None:
    is_study_or_message(text.encode())


@QUICK
@given(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=5))
def test_any_value_in_any_field(content: dict[str, Any]) -> None:
    is_study_or_message(yaml.safe_dump(content).encode())


@QUICK
@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_a_preset_with_one_value_replaced_anywhere(name: str, data: st.DataObject) -> None:
    content = yaml.safe_load(yaml.safe_dump(WHOLE[name]))
    place: Any = content
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(VALUES)
    is_study_or_message(yaml.safe_dump(content).encode())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("k: 4\nk: 8\n", ["k is there twice", "line 2"]),
        ("methods:\n  GD: {}\n  GD: {epochs: 2}\n", ["GD is there twice"]),
        ("a: &a [x]\nb: *a\n", ["no references"]),
        ("a: &a {b: *a}\n", ["no references"]),
        ("<<: {k: 1}\n", ["not YAML"]),
        ("k:\t- 4\n\t- 8\n", ["tabs"]),
        ("k: 4\x00", ["not YAML"]),
        ("k: !!python/object/apply:os.system [true]", ["not YAML", "python"]),
        ("k: !!binary x", ["not YAML"]),
        ("[" * 5000, ["not YAML"]),
        ("no: 3\n", ["not text", "quotes"]),
        ("1: 3\n", ["not text", "quotes"]),
        ("label_words: [no, yes]\n", ["label_words = False", "Put it in quotes"]),
        ("k: " + "9" * 5000, ["mine.yaml"]),
        ("name: ../outside", ["name = '../outside'"]),
        ("name: C:\\x", ["name"]),
        ('about: "\\ud800"', ["about", "control characters"]),
        ('about: "a\\x07b"', ["about", "control characters"]),
        ("as_released: 3\nk: [0]", ["k = 0", "greater than 0"]),
        ("model: " + "m" * 9000, ["model", "long"]),
        ("tasks: [" + "m" * 9000 + "]", ["tasks", "long"]),
    ],
)
def test_a_trap_is_named(text: str, words: list[str]) -> None:
    with study_file(text.encode()) as file, pytest.raises(UserError) as error:
        read_study(str(file))
    assert all(word in str(error.value) for word in words), str(error.value)
    assert len(str(error.value)) < 3000


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "utf-32"])
def test_another_encoding_is_named(encoding: str) -> None:
    with study_file("about: größer\n".encode(encoding)) as file, pytest.raises(UserError, match="UTF-8"):
        read_study(str(file))


def test_a_byte_order_mark_is_no_mistake() -> None:
    with study_file("k: 4\n".encode("utf-8-sig")) as file:
        assert read_study(str(file)).k == [4]  # type: ignore[union-attr]


def test_a_file_of_many_megabytes_is_not_read() -> None:
    with study_file(b"k: [" + b"1," * 2_000_000 + b"1]") as file, pytest.raises(UserError, match="at most 1,000,000"):
        read_study(str(file))


def test_a_folder_is_no_study_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").mkdir()
    with pytest.raises(UserError, match=r"There is no file .*mine\.yaml"):
        read_study(str(tmp_path / "mine.yaml"))


@settings(max_examples=examples(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=3), command=st.sampled_from(["run", "plan"]))
def test_the_command_line_says_it_once_and_ends_with_2(
    content: dict[str, Any], command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with study_file(yaml.safe_dump({**content, "no such setting": 1}).encode()) as file:
        monkeypatch.chdir(file.parent)
        assert call(command, "mine.yaml") == 2
        message = capsys.readouterr().err
        assert message.count("demograd:") == 1 and "Traceback" not in message
        monkeypatch.undo()
