from __future__ import annotations

import pytest
from pydantic import ValidationError

from consilience.schema.params.query import QueryParams


@pytest.mark.parametrize(
    ("name", "value"),
    [("strategy", "oracle"), ("budget", 0), ("max_per_recording", 0), ("diversity", 1.5)],
)
def test_values_out_of_range_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        QueryParams(**{name: value})
