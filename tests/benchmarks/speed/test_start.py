from pathlib import Path

import pytest

from benchmarks.speed.start import heavy_imports, measure, write_params

LIGHT = ("code", "catalog", "align", "label", "window", "score demo", "report")


@pytest.mark.parametrize("stage", LIGHT)
def test_a_light_stage_starts_without_heavy_libraries(stage: str, tmp_path: Path) -> None:
    write_params(tmp_path)
    assert not heavy_imports(stage, tmp_path)


def test_the_cost_is_that_of_the_child_process() -> None:
    start = measure("label", repeats=1)
    assert 0.05 < start.processor_s < 60
    assert 20 < start.memory_mb < 2000


def test_a_stage_that_trains_imports_torch(tmp_path: Path) -> None:
    write_params(tmp_path)
    assert "torch" in heavy_imports("train concat", tmp_path)
