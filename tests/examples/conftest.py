"""The small model that studies are tested on."""

from tests.study.conftest import small_model as small_model
