from __future__ import annotations

import pytest
from pydantic import ValidationError

from consilience.schema.params.gate import GateParams


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("accuracy_margin", -0.1),
        ("ece_margin", 1.0),
        ("confidence", 0.5),
        ("confidence", 1.0),
        ("resamples", 10),
        ("min_people", 1),
    ],
)
def test_values_out_of_range_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        GateParams(**{name: value})
