"""Clocks from evidence shared with another recording of the session whose clock is known."""

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
START_ERROR_S = 1.0  # headers give whole seconds of clocks that are set by hand


def fit_sound(
    track: SoundTrack,
    reference_track: SoundTrack,
    reference: ClockFit,
    params: AlignmentParams,
    span_s: tuple[float, float],
    rate_hz: float | None = None,
) -> ClockFit:
    """Fit a clock to the sound that a recording shares with a recording of known clock.

    Parameters
    ----------
    track, reference_track : SoundTrack
        Sound of the recording to align and of the reference recording.
    reference : ClockFit
        Clock of the reference recording; its error is added to the error of the result.
    params : AlignmentParams
    span_s : tuple of 2 floats
        Native times of the recording's first and last sample.
    rate_hz : float or None
        Sampling rate of the recording to align.

    Returns
    -------
    ClockFit
    """
    assert reference.clock is not None
    # Each of the two clocks may deviate by the largest offset and drift, in opposite directions.
    both = params.model_copy(update={"max_drift_ppm": 2 * params.max_drift_ppm})
    anchors = shared_sound_anchors(track, reference_track, 2 * params.max_offset_s, both)
    if len(anchors):
        anchors[:, 1] = reference.clock.to_session(anchors[:, 1])
        # The reference clock is undefined at its resets.
        anchors = anchors[np.isfinite(anchors[:, 1])]
    if len(anchors) < params.min_anchors:
        return unaligned(sound.METHOD, "no sound is shared with a recording whose clock is known")
    tolerance_ms = params.sample_tolerance_ms(rate_hz)
    segments = fit_segments(anchors[:, 0], anchors[:, 1], sound.FLOOR_S, params)
    fit = clock_from_segments(sound.METHOD, segments, span_s, sound.FLOOR_S, tolerance_ms, params)
    return _with_reference_error(fit, reference, tolerance_ms, params)


def _with_reference_error(
    fit: ClockFit, reference: ClockFit, tolerance_ms: float, params: AlignmentParams
) -> ClockFit:
    """Add the standard error of the reference clock to that of a fit, and grade it again."""
    # Independent errors: the variances add up.
    error_ms = sqrt((fit.error_ms or 0.0) ** 2 + (reference.error_ms or 0.0) ** 2)
    confidence = erf(tolerance_ms / (sqrt(2) * error_ms))
    fit = replace(fit, error_ms=error_ms, confidence=confidence)
    if fit.status == "aligned" and confidence < params.min_confidence:
        reason = f"with the reference clock's error, the standard error is {error_ms:.1f} ms"
        return replace(fit, status="coarse", reason=reason)
    return fit


def fit_content(
    times_s: Times,
    trace: Times,
    reference_s: Times,
    reference_trace: Times,
    params: AlignmentParams,
) -> ClockFit:
    """Estimate a clock's offset from the motion of a mouth and the loudness of its voice.

    Parameters
    ----------
    times_s, trace : ndarray of float64, shape (n,)
        Native times of the recording's frames, and its trace.
    reference_s, reference_trace : ndarray of float64, shape (m,)
        Session times of the reference recording's frames, and its trace.
    params : AlignmentParams

    Returns
    -------
    ClockFit
    """
    max_offset_s = params.max_offset_s
    offset_s = content.estimate_delay_s(times_s, trace, reference_s, reference_trace, max_offset_s)
    if offset_s is None:
        return unaligned(content.METHOD, "the delay between mouth motion and voice is ambiguous")
    middle = (times_s[0] + times_s[-1]) / 2
    anchors = np.array([[middle, middle + offset_s]])
    return _offset_only(offset_s, content.METHOD, content.ERROR_S, anchors, params)


def fit_start_times(
    start: str | None, reference_start: str | None, reference: ClockFit, params: AlignmentParams
) -> ClockFit:
    """Estimate a clock's offset from the start times in two headers.

    Parameters
    ----------
    start, reference_start : str or None
        ISO 8601 time stamps of the first samples; time zones are ignored.
    reference : ClockFit
        Clock of the reference recording.
    params : AlignmentParams

    Returns
    -------
    ClockFit
    """
    assert reference.clock is not None
    started, reference_started = _parsed(start), _parsed(reference_start)
    if started is None or reference_started is None:
        return unaligned(START_TIMES, "the headers have no valid start times")
    first_s, _ = reference.clock.session_span_s(0.0, 0.0)
    offset_s = (started - reference_started).total_seconds() + first_s
    if abs(offset_s) > params.max_offset_s:
        reason = f"the header's start time is {offset_s:.0f} s into the session"
        return unaligned(START_TIMES, reason)
    anchors = np.array([[0.0, offset_s]])
    return _offset_only(offset_s, START_TIMES, START_ERROR_S, anchors, params)


def _parsed(text: str | None) -> datetime | None:
    try:
        # Devices write local time with or without a zone, so that zones cannot be compared.
        return datetime.fromisoformat(text or "").replace(tzinfo=None)
    except ValueError:
        return None


def _offset_only(
    offset_s: float, method: str, error_s: float, anchors_s: Times, params: AlignmentParams
) -> ClockFit:
    """Return the fit of a clock without drift whose offset has a standard error of `error_s`."""
    confidence = erf(1e-3 * params.tolerance_ms / (sqrt(2) * error_s))
    status = "aligned" if confidence >= params.min_confidence else "coarse"
    reason = None if status == "aligned" else f"accurate to about {1e3 * error_s:.0f} ms only"
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
