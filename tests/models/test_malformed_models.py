"""Whatever a model folder holds, it is a model that can be observed, or one message; and nothing is written."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.cli.test_mistakes import call
from tests.searches import examples
from tests.study.conftest import small_model as small_model  # the fixture

from demograd import UserError, load_model, observe
from demograd.observe.self_check import random_prompts, way_to_observe
from demograd.study.plan.blueprint import blueprint_of
from demograd.words import ALLOW_PICKLE

QUICK = settings(
    max_examples=examples(15), suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


@contextmanager
def copied(model: Path) -> Iterator[Path]:
    """A copy to damage; what is in it at the end is what was put there."""
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "model"
        shutil.copytree(model, copy)
        yield copy


def is_model_or_message(folder: Path) -> bool:
    """Whether it can be planned with, loaded and observed; or else one message that a person can read."""
    before = sorted(path.name for path in folder.rglob("*"))
    try:
        assert blueprint_of(str(folder)).layers > 0
        model = load_model(str(folder), device="cpu")
        observe(model, random_prompts(model))
    except UserError as error:
        assert 0 < len(str(error)) < 3000 and str(error).encode()
        return False
    finally:
        assert sorted(path.name for path in folder.rglob("*")) == before
    return True


@QUICK
@given(name=st.sampled_from(FILES), content=st.binary(max_size=100))
def test_any_bytes_in_any_file(name: str, content: bytes, small_model: Path) -> None:
    with copied(small_model) as folder:
        (folder / name).write_bytes(content)
        is_model_or_message(folder)


@QUICK
@given(name=st.sampled_from(FILES), share=st.floats(0, 0.999))
@example(name="config.json", share=0.999)  # was cut behind its last brace: a whole file, less its line break
def test_a_truncated_file(name: str, share: float, small_model: Path) -> None:
    with copied(small_model) as folder:
        whole = (folder / name).read_bytes().rstrip(b"\n")
        (folder / name).write_bytes(whole[: int(share * len(whole))])
        assert not is_model_or_message(folder)


@QUICK
@given(at=st.floats(0, 1), byte=st.integers(0, 255))
def test_a_changed_byte_in_the_header_of_the_weights(at: float, byte: int, small_model: Path) -> None:
    with copied(small_model) as folder:
        content = bytearray((folder / "model.safetensors").read_bytes())
        header = 8 + int.from_bytes(content[:8], "little")
        content[int(at * (header - 1))] = byte
        (folder / "model.safetensors").write_bytes(content)
        is_model_or_message(folder)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 10_000),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@settings(QUICK, max_examples=examples(40))
@given(data=st.data(), value=VALUES)
def test_any_value_in_the_configuration(data: st.DataObject, value: Any, small_model: Path) -> None:
    with copied(small_model) as folder:
        config = json.loads((folder / "config.json").read_text())
        config[data.draw(st.sampled_from(sorted(config)))] = value
        (folder / "config.json").write_text(json.dumps(config))
        is_model_or_message(folder)


@pytest.mark.parametrize("missing", FILES[:3])
def test_a_missing_file(missing: str, small_model: Path) -> None:
    with copied(small_model) as folder:
        (folder / missing).unlink()
        if missing == "model.safetensors":  # a plan needs none
            assert blueprint_of(str(folder)).layers == 2
        with pytest.raises(UserError):
            load_model(str(folder))


@pytest.mark.parametrize(
    "change",
    [
        {"num_hidden_layers": 3},
        {"hidden_size": 64},
        {"num_attention_heads": 5},
        {"vocab_size": 7},
        {"head_dim": 3},
        {"num_hidden_layers": 0},
        {"model_type": "no such"},
        {"auto_map": {"AutoModelForCausalLM": "evil.Model"}},
    ],
)
@pytest.mark.parametrize("command", ["run", "check"])
def test_the_command_line_says_it_once_and_ends_with_2(
    change: dict[str, Any],
    command: str,
    small_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with copied(small_model) as folder:
        (folder / "evil.py").write_text("raise SystemExit('code of the model was run')")
        config = json.loads((folder / "config.json").read_text()) | change
        if "auto_map" in change:
            config["model_type"] = "no such"
        (folder / "config.json").write_text(json.dumps(config))
        arguments = ["check", str(folder)] if command == "check" else ["run", "--model", str(folder)]
        assert call(*arguments) == 2
    message = capsys.readouterr().err
    assert message.count("demograd:") == 1 and "Traceback" not in message and "was run" not in message
    assert list(Path().iterdir()) == []


def test_pickled_weights_need_a_flag_that_says_what_they_risk(
    small_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with copied(small_model) as folder:
        model = load_model(str(folder), device="cpu")
        (folder / "model.safetensors").unlink()
        torch.save(model.network.state_dict(), folder / "pytorch_model.bin")
        assert call("check", str(folder)) == 2 and "--allow-pickle" in capsys.readouterr().err
        monkeypatch.setenv(ALLOW_PICKLE, "0")  # so that the flag's trace is put back
        assert call("check", str(folder), "--allow-pickle") == 0
        assert load_model(str(folder), device="cpu").fingerprint == model.fingerprint


def test_a_path_that_no_system_takes() -> None:
    for name in ("m" * 5000, "a/" * 3000, "nul\0l", "~nobody-here/x", "./" + "m" * 300):
        with pytest.raises(UserError):
            load_model(name)


def test_weights_that_are_not_numbers_are_not_blamed_on_the_architecture(small_model: Path) -> None:
    model = load_model(str(small_model))
    model.anatomy.blocks[0].mlp.down_proj.weight.data[0, 0] = float("nan")
    with pytest.raises(UserError, match="computes values that are not finite"):
        way_to_observe(model)
