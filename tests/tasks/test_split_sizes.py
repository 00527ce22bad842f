"""Rows of splits and lengths of texts, as Deutch 2024 counted them in Table 3."""

from collections.abc import Callable
from typing import Any

import pytest

from demograd.errors import UserError
from demograd.tasks import split_sizes
from demograd.tasks.split_sizes import COUNTED

HubFolder = Callable[..., None]


def test_the_splits_train_and_test_of_the_hub_are_counted(hub_folder: HubFolder, tokenizer: Any) -> None:
    """SST2's validation split, from which queries come, is no part of the published table."""
    hub_folder("stanfordnlp/sst2", ["negative", "positive"], ["sentence"], splits=("train", "validation", "test"))
    sizes = split_sizes("sst2", tokenizer)
    assert (sizes.training, sizes.validation, sizes.no_hub) == (30, 30, "")
    ids = [tokenizer.encode(f"train sentence {i}", add_special_tokens=False) for i in range(30)]
    assert sizes.mean_tokens == sum(map(len, ids)) / 30
    assert sizes.mean_characters == sum(len(" ".join(map(str, text))) for text in ids) / 30


def test_of_two_texts_the_first_is_counted(hub_folder: HubFolder, tokenizer: Any) -> None:
    labels = ["entailment", "contradiction", "neutral"]
    hub_folder("aps/super_glue", labels, ["premise", "hypothesis"], config="cb", splits=("train", "test"))
    ids = tokenizer.encode("train premise 7", add_special_tokens=False)
    assert split_sizes("cb", tokenizer).mean_tokens == pytest.approx(len(ids), abs=0.7)


def test_without_a_hub_the_package_is_counted_and_why_is_said(hub_folder: HubFolder, tokenizer: Any) -> None:
    sizes = split_sizes("subj", tokenizer)
    assert sizes.source.startswith("StaICC") and sizes.validation is None and sizes.training > COUNTED
    assert "is not on this machine" in sizes.no_hub
    assert (sizes.training, round(sizes.mean_characters)) == (8000, 132), "published: 8,000 and 129.23"
    with pytest.raises(UserError, match="aps/super_glue"):
        split_sizes("cb", tokenizer)
