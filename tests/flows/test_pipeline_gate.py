"""The flow registers an accepted model, and passes nothing on of a blocked one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from prefect.artifacts import Artifact
from prefect.states import State

from consilience.flows.pipeline import pipeline
from consilience.model_registry import registry as models
from tests.flows.test_pipeline import initialise
from tests.model_registry.small import retrain, trained_project

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


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("accepted", [True, False])
def test_the_decision_of_the_gate_is_that_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accepted: bool
) -> None:
    registry = Registry(Decided(accepted))
    monkeypatch.setattr("consilience.model_registry.gate.compare", registry.compare)
    monkeypatch.setattr("consilience.model_registry.registry.accept", registry.accept)
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


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_a_run_registers_the_first_model_and_blocks_a_worse_one(tmp_path: Path) -> None:
    project = trained_project(tmp_path / "study")
    (project.root / "recordings").mkdir()
    initialise(project.root, EVALUATE)

    def run() -> State[Any]:
        call = pipeline(project.root, gate=True, return_state=True)
        state: State[Any] = asyncio.run(call)  # type: ignore[arg-type]
        return state

    assert run().is_completed()
    first = models.current(project)
    assert first is not None
    assert (project.root / "data/registry.dvc").is_file()
    retrain(project, 3, epochs=1, learning_rate=1e-7)
    state = run()
    assert state.is_failed()
    assert str(state.message).startswith("gate: blocked: ")
    assert models.current(project) == first
