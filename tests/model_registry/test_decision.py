from __future__ import annotations

import json

from consilience.model_registry.comparison import Row
from consilience.model_registry.decision import Decision


def test_a_decision_is_json_with_rows_by_name() -> None:
    row = Row("all sensors", 0.8, 0.9, -0.1, -0.2, -0.05, 0.02, "worse")
    decision = Decision(False, "hybrid", "0" * 64, "v0001", ("one", "two"), (row,), 8, 99, 1)
    content = json.loads(json.dumps(decision.as_json()))
    assert content["rows"] == [row._asdict()]
    assert content["reasons"] == ["one", "two"]
    assert (content["accepted"], content["against"]) == (False, "v0001")
