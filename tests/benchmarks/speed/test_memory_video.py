"""A video of any duration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.speed import memory_video
from consilience.modalities.params.video import VideoParams
from consilience.modalities.video import modality
from consilience.schema.params.synthesis import SynthesisParams
from consilience.synthesis.face import RATE_HZ


@pytest.fixture
def video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def short(**plan: float) -> SynthesisParams:
        return SynthesisParams(**{**plan, "trials": 1, "trial_s": 1.0})

    monkeypatch.setattr(memory_video, "SynthesisParams", short)
    memory_video.write_video(tmp_path / "face.mp4", 0.4)
    return tmp_path / "face.mp4"


def test_encoded_pictures_are_repeated_without_gaps(video: Path) -> None:
    times_s = modality.read(video, None, VideoParams()).times_s
    assert times_s[-1] >= 24 - 1 / RATE_HZ
    assert np.diff(times_s) == pytest.approx(1 / RATE_HZ, abs=1e-3)
    assert list(video.parent.iterdir()) == [video]
