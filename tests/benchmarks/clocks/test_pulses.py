"""Clocks fitted to simulated pulses meet their accuracy targets."""

import pytest

from benchmarks.clocks.pulses import DENSE_S, PARAMS, STRICT, USUAL_S, measure
from consilience.schema.params.alignment import AlignmentParams

N = 12  # sessions of the short run
MANY = 30  # the published figures are of 200


def check(figures: dict[str, float]) -> None:
    assert figures["eeg_audio_median_ms"] <= 1
    assert figures["eeg_audio_p95_ms"] <= 3
    assert figures["video_median_ms"] <= 8
    assert figures["wrongly_aligned"] == 0
    assert figures["aligned_fraction"] >= 0.98
    assert figures["valid_fraction"] >= 0.95


def test_a_few_sessions_are_aligned_to_the_millisecond() -> None:
    check(measure(N, USUAL_S, PARAMS))


@pytest.mark.slow
@pytest.mark.parametrize(("between_s", "params"), [(DENSE_S, STRICT), (USUAL_S, PARAMS)])
def test_many_sessions_meet_the_targets(
    between_s: tuple[float, float], params: AlignmentParams
) -> None:
    figures = measure(MANY, between_s, params)
    check(figures)
    assert figures["resets_within_1_s"] >= figures["ideal_within_1_s"]
    assert figures["reset_median_s"] <= 0.5
    if between_s == DENSE_S:  # dense pulses locate every reset
        assert figures["resets_within_1_s"] == 1
