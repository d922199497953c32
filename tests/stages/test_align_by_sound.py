"""Stage align on a recording without pulses whose file has a sound track."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from consilience.core import registry
from consilience.core.files import write_arrays, write_json
from consilience.schema.params.alignment import AlignmentParams
from consilience.stages import align

CLIPS = sorted((Path(__file__).parents[3] / "shared" / "data" / "grid").glob("*.mpg"))
LATE_S = 0.3


def recorded(modality: str, path: str, clock: str) -> align.Recording:
    """Write what ingesting would have left of a recording, without features or pulses."""
    folder = Path("data/signals") / modality
    folder.mkdir(parents=True)
    arrays = {"times_s": np.arange(0.02, 2.7, 0.04), "clean": np.full((67, 1), np.nan, np.float32)}
    nothing = {"pulses_s": np.empty(0), "anchors_s": np.empty((0, 2))}
    write_arrays(folder / f"s_{modality}.npz", {**arrays, **nothing})
    write_json(folder / "features.json", {"names": [align.TRACES[modality]]})
    name = f"s_{modality}"
    return align.Recording(name, "s", modality, path, None, clock, None, 25.0, 2.7)


@pytest.mark.real_data
@pytest.mark.skipif(not CLIPS, reason="no recordings in ../shared/data/grid")
def test_a_camera_without_flashes_is_aligned_by_its_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    audio = registry.get("modalities", "audio")
    (tmp_path / "camera.mpg").symlink_to(CLIPS[0])
    signal = audio.read(CLIPS[0], None, audio.Params())
    soundfile.write("recorder.wav", signal.values[round(LATE_S * 16000) :], 16000, "FLOAT")
    (tmp_path / "other.wav").write_bytes(b"no sound")
    means = align.Means(AlignmentParams(max_offset_s=1.0), tmp_path, audio.Params())
    session = [
        recorded("audio", "recorder.wav", "shared"),
        recorded("video", "camera.mpg", "anchors"),
    ]
    fit = align.align_session((session, np.empty(0)), means)["s_video"]
    assert (fit.status, fit.method) == ("aligned", "shared sound")
    assert fit.clock is not None
    found = fit.clock.to_session(1.0)
    assert found == pytest.approx(1.0 - LATE_S - float(signal.times_s[0]), abs=2e-3)
    lost = [session[0], align.replace(session[1], path="other.wav")]
    fit = align.align_session((lost, np.empty(0)), means)["s_video"]
    assert fit.status == "unaligned"
    assert "no synchronisation pulse" in (fit.reason or "")
