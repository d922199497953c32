from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from consilience.schema.params.synthesis import SynthesisParams
from consilience.synthesis import face
from consilience.synthesis.plan import sessions

Pulses = Callable[[str], NDArray[np.float64]]
CASCADES = Path(cv2.__file__).parent / "data"
PLAN = sessions(SynthesisParams(subjects=1, sessions=1, trials=2))[0]


def frames(path: Path) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        decoded = [(f.time, f.to_ndarray(format="gray")) for f in container.decode(video=0)]
    return np.array([time for time, _ in decoded]), np.stack([grey for _, grey in decoded])


def test_flash_begins_at_the_first_frame_after_the_pulse(
    corpus: tuple[Path, Path], expected_pulses_s: Pulses
) -> None:
    times_s, grey = frames(corpus[0] / "sub-01/ses-1/face.mp4")
    assert times_s[0] == 0
    assert grey.shape[1:] == (240, 320)
    corner = grey[:, :40, :40].mean(axis=(1, 2))
    onsets_s = times_s[1:][np.diff(corner) > 20]
    expected_s = expected_pulses_s("sub-01_ses-1_video")
    assert len(onsets_s) == len(expected_s)
    late_s = onsets_s - expected_s
    assert (late_s >= -1e-6).all()
    assert (late_s < 1 / 25 + 1e-6).all()


def test_a_face_detector_finds_the_face(corpus: tuple[Path, Path]) -> None:
    finder = cv2.CascadeClassifier(str(CASCADES / "haarcascade_frontalface_default.xml"))
    for subject in ("sub-01", "sub-02"):
        _, grey = frames(corpus[0] / subject / "ses-1/face.mp4")
        result = [len(finder.detectMultiScale(picture, 1.1, 4)) == 1 for picture in grey[::20]]
        assert np.mean(result) > 0.9


def test_lost_frames_leave_gaps_in_the_time_stamps(tmp_path: Path) -> None:
    faults = face.write_face(replace(PLAN, faulty="video"), tmp_path / "face.mp4")
    times_s, _ = frames(tmp_path / "face.mp4")
    gaps = np.round(np.diff(times_s) * face.RATE_HZ).astype(int)
    lost = int((gaps - 1).sum())
    assert faults == [f"dropped {lost} of {lost + len(times_s)} frames"]
    assert gaps.max() > face.RATE_HZ
    whole_s = np.ceil(PLAN.native_duration_s("video") * face.RATE_HZ) / face.RATE_HZ
    assert times_s[-1] == pytest.approx(whole_s - 1 / face.RATE_HZ)


def test_smile_and_open_mouth_follow_the_expression() -> None:
    person = face._person(PLAN.subject)
    native_s = np.arange(0, PLAN.native_duration_s("video"), 1 / face.RATE_HZ)
    motion = face._motion(PLAN, person, native_s)
    session_s = PLAN.clocks["video"].session_s(native_s)
    valence = PLAN.expressed("video", session_s)[0]
    assert np.corrcoef(motion.corner_up, valence)[0, 1] > 0.9
    assert (motion.mouth_open >= 0.4).all()


def test_a_subject_looks_the_same_in_every_session_and_unlike_others() -> None:
    first, again, other = (face._person(name) for name in ("sub-01", "sub-01", "sub-02"))
    np.testing.assert_array_equal(first.skin, again.skin)
    assert first.eye_x == again.eye_x != other.eye_x


def test_eyes_close_almost_completely_in_a_blink() -> None:
    opening = face._lids(PLAN, np.arange(0, 600, 1 / face.RATE_HZ))
    assert 0 < opening.min() < 0.15
    assert np.median(opening) > 0.99
