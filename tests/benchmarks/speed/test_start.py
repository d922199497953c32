import pytest

from benchmarks.speed.start import measure

LIGHT = ("code", "catalog", "align", "label", "window", "score demo", "report")


@pytest.mark.parametrize("stage", LIGHT)
def test_a_light_stage_starts_without_heavy_libraries(stage: str) -> None:
    assert not measure(stage, repeats=1).heavy


def test_the_cost_is_that_of_the_child_process() -> None:
    start = measure("label", repeats=1)
    assert 0.05 < start.processor_s < 60
    assert 20 < start.memory_mb < 2000


def test_a_stage_that_trains_imports_torch() -> None:
    assert "torch" in measure("train concat", repeats=1).heavy
