from typing import Any

import numpy as np
import pytest

from consilience.alignment.clock import Clock, Line
from consilience.alignment.clock_score import ClockPair, between_ms, score_clocks, summarise

TRUE = Line(1.0, 100.0)


def pair(modality: str, session: str = "s", offset_s: float = 0.0, ppm: float = 0.0) -> ClockPair:
    estimated = Clock.linear(TRUE.offset_s + offset_s, TRUE.drift_ppm + ppm)
    return ClockPair(session, modality, estimated, TRUE, 100.0)


def test_error_is_evaluated_over_the_whole_recording() -> None:
    error = pair("eeg", offset_s=0.002, ppm=100).error_ms()
    assert error[0] == pytest.approx(2)
    assert error[-1] == pytest.approx(12)
    assert summarise(error)["median"] == pytest.approx(7)


def test_equal_errors_leave_modalities_aligned_with_each_other() -> None:
    pairs = [pair("eeg", offset_s=0.01), pair("audio", offset_s=0.01)]
    np.testing.assert_allclose(between_ms(pairs, "eeg", "audio"), 0, atol=1e-9)
    pairs[1] = pair("audio", offset_s=-0.01)
    np.testing.assert_allclose(between_ms(pairs, "eeg", "audio"), -20, rtol=1e-3)


def test_summary_has_every_pair_and_errors_in_samples() -> None:
    pairs = [pair("eeg", offset_s=0.004), pair("video"), pair("video", "other", offset_s=0.02)]
    scores: dict[str, Any] = score_clocks(pairs, {"video": 25.0})
    assert list(scores["between_ms"]) == ["eeg-video"]
    assert scores["between_ms"]["eeg-video"]["median"] == pytest.approx(4, rel=1e-3)
    assert scores["error_samples"] == {"video": {"median": 0.25, "p95": 0.5, "max": 0.5}}


def test_modalities_without_a_common_session_have_no_difference() -> None:
    scores = score_clocks([pair("eeg"), pair("audio", "other")], {})
    assert scores["between_ms"] == {"eeg-audio": {"median": None, "p95": None, "max": None}}
