"""Stage align on a recording without pulses whose file has a sound track."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from consilience.alignment import session
from consilience.core import registry
from consilience.core.files import write_arrays, write_json
from consilience.schema.params.alignment import AlignmentParams
from tests.real_data import NO_REAL_DATA, REAL_DATA

CLIPS = sorted((REAL_DATA / "grid").glob("*.mpg"))
LATE_S = 0.3


def recorded(modality: str, path: Path, clock: str) -> session.Recording:
    """Write what ingesting would have left of a recording, without features or pulses."""
    folder = path.parent / "data/signals" / f"{modality}.frames"
    folder.mkdir(parents=True)
    arrays = {"times_s": np.arange(0.02, 2.7, 0.04), "clean": np.full((67, 1), np.nan, np.float32)}
    nothing = {"pulses_s": np.empty(0), "anchors_s": np.empty((0, 2))}
    write_arrays(folder / f"s_{modality}.npz", {**arrays, **nothing})
    write_json(
        folder / "features.json", {"names": [registry.get("modalities", modality).activity_feature]}
    )
    name, times_s = f"s_{modality}", (0.02, 2.66, 2.7)
    return session.Recording(name, "s", modality, folder, path, None, clock, None, 25.0, *times_s)


@pytest.mark.real_data
@pytest.mark.skipif(not CLIPS, reason=NO_REAL_DATA)
def test_a_camera_without_flashes_is_aligned_by_its_sound(tmp_path: Path) -> None:
    audio = registry.get("modalities", "audio")
    (tmp_path / "camera.mpg").symlink_to(CLIPS[0])
    signal = audio.read(CLIPS[0], None, audio.Params())
    soundfile.write(
        tmp_path / "recorder.wav", signal.values[round(LATE_S * 16000) :], 16000, "FLOAT"
    )
    (tmp_path / "other.wav").write_bytes(b"no sound")
    context = session.AlignmentContext(AlignmentParams(max_offset_s=1.0))
    recordings = [
        recorded("audio", tmp_path / "recorder.wav", "shared"),
        recorded("video", tmp_path / "camera.mpg", "anchors"),
    ]
    fit = session.align_session((recordings, np.empty(0)), context)["s_video"]
    assert (fit.status, fit.method) == ("aligned", "shared sound")
    assert fit.clock is not None
    result = fit.clock.to_session(1.0)
    assert result == pytest.approx(1.0 - LATE_S - float(signal.times_s[0]), abs=2e-3)
    lost = [recordings[0], replace(recordings[1], path=tmp_path / "other.wav")]
    fit = session.align_session((lost, np.empty(0)), context)["s_video"]
    assert fit.status == "unaligned"
    assert "no synchronisation pulse" in (fit.reason or "")
