"""The distillation on trusted targets."""

from collections.abc import Callable

import pytest

from consilience.methods.base import Method
from consilience.model.types import Batch
from tests.methods.label_trust import check_trusted_targets


@pytest.mark.parametrize("mode", ["on", "off", "auto"])
def test_trust_is_the_plain_method_on_trusted_targets(
    build: Callable[..., Method], batch: Batch, mode: str
) -> None:
    check_trusted_targets(build, batch, "kd_trust", "kd", mode)
