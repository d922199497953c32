"""Which stages a change concerns, and how the workers are shared."""

from __future__ import annotations

import pytest

from consilience.graph import affected, share

GRAPH: dict[str, list[str]] = {"a": [], "b": ["a"], "c": [], "d": ["b", "c"], "e": ["c"]}


def test_affected_stages_are_the_stale_ones_and_all_that_follow() -> None:
    assert affected(GRAPH, {"b"}) == {"b": [], "d": ["b"]}
    assert affected(GRAPH, {"c", "d"}) == {"c": [], "d": ["c"], "e": ["c"]}
    assert affected(GRAPH, ()) == {}


def test_stages_with_the_same_upstream_share_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSILIENCE_WORKERS", "5")
    assert {stage: share(stage, GRAPH) for stage in GRAPH} == {
        "a": 2,
        "b": 5,
        "c": 2,
        "d": 5,
        "e": 5,
    }
