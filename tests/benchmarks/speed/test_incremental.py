from pathlib import Path

import numpy as np
import pytest

from benchmarks.speed import incremental


@pytest.mark.slow
def test_one_more_recording_gives_the_bytes_of_a_complete_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (incremental.catalog, incremental.ingest):
        monkeypatch.setattr(module, "LIMIT_S", np.inf)
    project = incremental.make_study(tmp_path / "grown", 14, 8.0)
    incremental.run(project)
    incremental.record(project.dataset_root, 14, 8.0)
    cost = incremental.run(project)
    complete = incremental.make_study(tmp_path / "complete", 15, 8.0)
    incremental.run(complete)
    assert incremental._content(project) == incremental._content(complete)
    assert set(cost.stages_s) == {"catalog", "ingest", "align", "label", "window"}
    assert cost.read_bytes > 0
