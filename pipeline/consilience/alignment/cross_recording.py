"""A recording's clock from another one of its session, whose clock is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from math import erf, sqrt

import numpy as np

from consilience.alignment import content, sound
from consilience.alignment.clock import Clock, ClockFit, Times, unaligned
from consilience.alignment.piecewise_fit import clock_from_segments, fit_segments
from consilience.alignment.sound import SoundTrack, shared_sound_anchors
from consilience.schema.params.alignment import AlignmentParams

START_TIMES = "start times"
START_ERROR_S = 1.0  # headers tell whole seconds, of clocks that are set by hand


def fit_sound(
    own: SoundTrack,
    other: SoundTrack,
    reference: ClockFit,
    params: AlignmentParams,
    span_s: tuple[float, float],
    rate_hz: float | None = None,
) -> ClockFit:
    """Fit a clock to the sound that a recording shares with one whose clock is known.

    Parameters
    ----------
    own, other : SoundTrack
        The recording's sound track, and that of the one whose clock is known.
    reference : ClockFit
        The other's clock; its error is part of the result's.
    params : AlignmentParams
    span_s : tuple of 2 floats
        Native times of the recording's first and last sample.
    rate_hz : float or None
        Sampling rate of the recording to align.
    """
    assert reference.clock is not None
    # Either clock may be off by the largest offset and the largest drift.
    both = params.model_copy(update={"max_drift_ppm": 2 * params.max_drift_ppm})
    anchors = shared_sound_anchors(own, other, 2 * params.max_offset_s, both)
    if len(anchors):
        anchors[:, 1] = reference.clock.to_session(anchors[:, 1])
        anchors = anchors[np.isfinite(anchors[:, 1])]
    if len(anchors) < params.min_anchors:
        return unaligned(sound.METHOD, "no sound is shared with a recording whose clock is known")
    tolerance_ms = params.sample_tolerance_ms(rate_hz)
    parts = fit_segments(anchors[:, 0], anchors[:, 1], sound.FLOOR_S, params)
    fit = clock_from_segments(sound.METHOD, parts, span_s, sound.FLOOR_S, tolerance_ms, params)
    return _resting_on(fit, reference, tolerance_ms, params)


def _resting_on(
    fit: ClockFit, reference: ClockFit, tolerance_ms: float, params: AlignmentParams
) -> ClockFit:
    """Add the error of the clock that a fit rests on to its own."""
    error_ms = sqrt((fit.error_ms or 0.0) ** 2 + (reference.error_ms or 0.0) ** 2)
    confidence = erf(tolerance_ms / (sqrt(2) * error_ms))
    fit = replace(fit, error_ms=error_ms, confidence=confidence)
    if fit.status == "aligned" and confidence < params.min_confidence:
        reason = f"with the clock it rests on, its standard error is {error_ms:.1f} ms"
        return replace(fit, status="coarse", reason=reason)
    return fit


def fit_content(
    own_s: Times,
    own: Times,
    other_s: Times,
    other: Times,
    params: AlignmentParams,
) -> ClockFit:
    """Find a clock's offset from what is seen of a mouth and heard of its voice.

    Parameters
    ----------
    own_s, own : ndarray, shape (n,)
        Native times of the recording's frames, and the trace compared.
    other_s, other : ndarray, shape (m,)
        Session times of the other's frames, and its trace.
    params : AlignmentParams
    """
    offset_s = content.find_delay_s(own_s, own, other_s, other, params.max_offset_s)
    if offset_s is None:
        return unaligned(content.METHOD, "mouth and voice do not tell their delay")
    middle = (own_s[0] + own_s[-1]) / 2
    anchors = np.array([[middle, middle + offset_s]])
    return _roughly(offset_s, content.METHOD, content.ERROR_S, anchors, params)


def fit_start_times(
    own: str | None, other: str | None, reference: ClockFit, params: AlignmentParams
) -> ClockFit:
    """Find a clock's offset from when two headers say that their recordings began.

    Parameters
    ----------
    own, other : str or None
        ISO 8601 time stamps of the first samples.
    reference : ClockFit
        The other's clock.
    params : AlignmentParams
    """
    assert reference.clock is not None
    begun = [_parsed(text) for text in (own, other)]
    if begun[0] is None or begun[1] is None:
        return unaligned(START_TIMES, "the headers do not say when the recordings began")
    first_s, _ = reference.clock.session_span_s(0.0, 0.0)
    offset_s = (begun[0] - begun[1]).total_seconds() + first_s
    if abs(offset_s) > params.max_offset_s:
        return unaligned(START_TIMES, f"by its header it began {offset_s:.0f} s into the session")
    anchors = np.array([[0.0, offset_s]])
    return _roughly(offset_s, START_TIMES, START_ERROR_S, anchors, params)


def _parsed(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text or "").replace(tzinfo=None)
    except ValueError:
        return None


def _roughly(
    offset_s: float, method: str, error_s: float, anchors_s: Times, params: AlignmentParams
) -> ClockFit:
    confidence = erf(1e-3 * params.tolerance_ms / (sqrt(2) * error_s))
    status = "aligned" if confidence >= params.min_confidence else "coarse"
    reason = None if status == "aligned" else f"known to about {1e3 * error_s:.0f} ms only"
    return ClockFit(
        Clock.linear(offset_s),
        method,
        anchors_s,
        None,
        1e3 * error_s,
        confidence,
        status,
        reason,
    )
