"""Clocks: piecewise linear, monotone maps from a recording's native time to session time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import overload

import numpy as np
import polars as pl
from numpy.typing import NDArray

Times = NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """Linear clock: ``session_s = (1 + 1e-6 * drift_ppm) * native_s + offset_s``."""

    offset_s: float = 0.0
    drift_ppm: float = 0.0

    @overload
    def to_session(self, native_s: float) -> float: ...
    @overload
    def to_session(self, native_s: Times) -> Times: ...
    def to_session(self, native_s: float | Times) -> float | Times:
        """Convert native times to session times, in seconds."""
        return (1 + 1e-6 * self.drift_ppm) * native_s + self.offset_s

    @overload
    def to_native(self, session_s: float) -> float: ...
    @overload
    def to_native(self, session_s: Times) -> Times: ...
    def to_native(self, session_s: float | Times) -> float | Times:
        """Convert session times to native times, in seconds."""
        return (session_s - self.offset_s) / (1 + 1e-6 * self.drift_ppm)


@dataclass(frozen=True)
class Piece:
    """A line with the range of native times, both ends included, in which it is valid."""

    line: Line
    from_native_s: float = -inf
    until_native_s: float = inf


@dataclass(frozen=True)
class Clock:
    """A monotone, piecewise linear map from a recording's native time to session time.

    A device clock that was reset, or that lost samples, follows one line before the reset and
    another one after it. The moment of the reset is only known to lie between the anchors on
    either side. Between pieces, and outside the first and the last one, the time is unknown and
    both conversions return NaN.

    Attributes
    ----------
    pieces : tuple of Piece
        Increasing and disjoint in native and in session time.
    """

    pieces: tuple[Piece, ...] = (Piece(Line()),)

    @classmethod
    def linear(cls, offset_s: float = 0.0, drift_ppm: float = 0.0) -> Clock:
        """Return the clock that follows a single line at all times."""
        return cls((Piece(Line(offset_s, drift_ppm)),))

    @classmethod
    def join(cls, pieces: list[Piece]) -> Clock:
        """Join pieces in native order and shorten those that overlap in session time.

        If a device clock was set forward, its time stamps skip a stretch. The following piece
        then starts at the session time at which the previous piece ends, so that the map stays
        monotone. Pieces that become empty are dropped.
        """
        kept: list[Piece] = []
        for piece in pieces:
            if kept:
                before = kept[-1]
                reached_s = before.line.to_session(before.until_native_s)
                start_s = max(piece.from_native_s, piece.line.to_native(reached_s))
                piece = replace(piece, from_native_s=start_s)
            if piece.from_native_s < piece.until_native_s:
                kept.append(piece)
        return cls(tuple(kept))

    @property
    def longest(self) -> Line:
        """Line of the piece that covers the most native time."""
        return max(self.pieces, key=lambda p: p.until_native_s - p.from_native_s).line

    @overload
    def to_session(self, native_s: float) -> float: ...
    @overload
    def to_session(self, native_s: Times) -> Times: ...
    def to_session(self, native_s: float | Times) -> float | Times:
        """Convert native times to session times, in seconds; NaN outside all pieces."""
        native = np.asarray(native_s, dtype=np.float64)
        session = np.full(native.shape, np.nan)
        for piece in self.pieces:
            inside = (native >= piece.from_native_s) & (native <= piece.until_native_s)
            session = np.where(inside, piece.line.to_session(native), session)
        return session if isinstance(native_s, np.ndarray) else float(session)

    @overload
    def to_native(self, session_s: float) -> float: ...
    @overload
    def to_native(self, session_s: Times) -> Times: ...
    def to_native(self, session_s: float | Times) -> float | Times:
        """Convert session times to native times, in seconds; NaN outside all pieces."""
        session = np.asarray(session_s, dtype=np.float64)
        native = np.full(session.shape, np.nan)
        for piece in self.pieces:
            # The borders are compared in session time. If they were converted to native time
            # first, rounding could assign a border to different pieces in the two directions.
            first = piece.line.to_session(piece.from_native_s)
            last = piece.line.to_session(piece.until_native_s)
            inside = (session >= first) & (session <= last)
            native = np.where(inside, piece.line.to_native(session), native)
        return native if isinstance(session_s, np.ndarray) else float(native)

    def shifted(self, delay_s: float) -> Clock:
        """Return the clock whose session times are all later by `delay_s` seconds."""
        return Clock(
            tuple(
                replace(piece, line=replace(piece.line, offset_s=piece.line.offset_s + delay_s))
                for piece in self.pieces
            )
        )

    def session_span_s(self, from_native_s: float, until_native_s: float) -> tuple[float, float]:
        """Return the first and last session time that a stretch of native time maps to."""
        first, last = self.pieces[0], self.pieces[-1]
        return (
            first.line.to_session(max(from_native_s, first.from_native_s)),
            last.line.to_session(min(until_native_s, last.until_native_s)),
        )


@dataclass(frozen=True)
class ClockFit:
    """An estimated clock with the evidence and the accuracy of the estimate.

    Attributes
    ----------
    clock : Clock or None
        None if the recording could not be aligned.
    method : str
        The evidence: ``"shared clock"``, ``"clock offsets"``, ``"pulses"``, ``"shared sound"``,
        ``"content"`` or ``"start times"``.
    anchors_s : ndarray of float64, shape (n_anchors, 2)
        Native and session times of the moments to which the clock is fitted.
    residual_ms : float or None
        Root mean squared residual of the anchors, corrected for the degrees of freedom.
    error_ms : float or None
        Standard error of the clock at the time at which it is largest.
    confidence : float or None
        Probability that the error at that time is within the tolerance, for a normal error.
    status : {"aligned", "coarse", "unaligned"}
        ``"coarse"``: a clock was estimated, but its accuracy does not meet the tolerance.
    reason : str or None
        Why the status is not ``"aligned"``, or which part of the recording was excluded.
    """

    clock: Clock | None
    method: str
    anchors_s: Times
    residual_ms: float | None
    error_ms: float | None
    confidence: float | None
    status: str
    reason: str | None = None


SHARED = ClockFit(Clock(), "shared clock", np.empty((0, 2)), None, 0.0, 1.0, "aligned")


def unaligned(method: str, reason: str) -> ClockFit:
    """Return the fit of a recording for which `method` gives no clock."""
    return ClockFit(None, method, np.empty((0, 2)), None, None, None, "unaligned", reason)


def clocks_from_pieces(pieces: pl.DataFrame) -> dict[str, Clock]:
    """Return the clock of every recording in table `Pieces`, by recording."""
    by_recording: dict[str, list[Piece]] = {}
    for recording, start_s, end_s, offset_s, drift_ppm in pieces.select(
        "recording", "from_native_s", "until_native_s", "offset_s", "drift_ppm"
    ).iter_rows():
        piece = Piece(Line(offset_s, drift_ppm), start_s, end_s)
        by_recording.setdefault(recording, []).append(piece)
    return {recording: Clock(tuple(pieces)) for recording, pieces in by_recording.items()}
