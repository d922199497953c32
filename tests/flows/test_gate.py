"""The flow registers an accepted model, and passes nothing on of a blocked one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from prefect.artifacts import Artifact
from prefect.states import State

from consilience.core.errors import ConsilienceError
from consilience.flows import gate
from consilience.flows.pipeline import pipeline
from tests.flows.test_pipeline import initialise

EVALUATE = """
stages:
  evaluate:
    cmd: echo 1 > evaluation.txt
    outs: [evaluation.txt]
"""


class Row(NamedTuple):
    figure: str
    difference: float


@dataclass
class Decided:
    accepted: bool
    reasons: tuple[str, ...] = ("all sensors: -.10, margin .02",)
    rows: tuple[Row, ...] = (Row("all sensors", -0.1),)


@dataclass
class Registry:
    """Stands for the registry: decides as set, and keeps what was accepted."""

    decided: Decided
    accepted: list[object] = field(default_factory=list)

    def compare(self, _project: object) -> Decided:
        return self.decided

    def accept(self, _project: object, decision: object, _emit: object) -> None:
        self.accepted.append(decision)


@pytest.mark.skipif(find_spec(gate.REGISTRY) is not None, reason="the gate is installed")
def test_without_a_gate_in_this_version_a_run_that_requests_it_is_refused() -> None:
    with pytest.raises(ConsilienceError, match="has no metric gate"):
        gate.check_available()


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("accepted", [True, False])
def test_the_decision_of_the_gate_is_that_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accepted: bool
) -> None:
    registry = Registry(Decided(accepted))
    monkeypatch.setattr(gate, "check_available", lambda: None)
    monkeypatch.setattr(gate, "compare", registry.compare)
    monkeypatch.setattr(gate, "accept", registry.accept)
    initialise(tmp_path, EVALUATE)
    call = pipeline(tmp_path, gate=True, return_state=True)
    state: State[Any] = asyncio.run(call)  # type: ignore[arg-type]
    assert state.is_completed() == accepted
    assert registry.accepted == ([registry.decided] if accepted else [])
    if not accepted:
        assert state.message == "gate: blocked: all sensors: -.10, margin .02"
    artifact = Artifact.get("gate")
    assert artifact is not None
    assert artifact.description == f"Model {'accepted' if accepted else 'blocked'}"
