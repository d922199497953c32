"""Clocks: a monotone map from a recording's own time to the session's, in pieces if need be."""

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
    """``session_s = (1 + 1e-6 * drift_ppm) * native_s + offset_s``."""

    offset_s: float = 0.0
    drift_ppm: float = 0.0

    @overload
    def to_session(self, native_s: float) -> float: ...
    @overload
    def to_session(self, native_s: Times) -> Times: ...
    def to_session(self, native_s: float | Times) -> float | Times:
        """Return session times of native times, in seconds."""
        return (1 + 1e-6 * self.drift_ppm) * native_s + self.offset_s

    @overload
    def to_native(self, session_s: float) -> float: ...
    @overload
    def to_native(self, session_s: Times) -> Times: ...
    def to_native(self, session_s: float | Times) -> float | Times:
        """Return native times of session times, in seconds."""
        return (session_s - self.offset_s) / (1 + 1e-6 * self.drift_ppm)


@dataclass(frozen=True)
class Piece:
    """A line, and between which native times it holds, both included."""

    line: Line
    from_native_s: float = -inf
    until_native_s: float = inf


@dataclass(frozen=True)
class Clock:
    """A monotone map from a recording's own time to the session's.

    A clock that was reset, or that lost samples, is one line before and another one after; at
    what moment it went over is known only to lie between the anchors on either side. There, as
    beyond the outermost pieces, times are not known: they are NaN.

    Attributes
    ----------
    pieces : tuple of Piece
        Increasing and disjoint, in native as in session time.
    """

    pieces: tuple[Piece, ...] = (Piece(Line()),)

    @classmethod
    def linear(cls, offset_s: float = 0.0, drift_ppm: float = 0.0) -> Clock:
        """Return the clock that is one line throughout."""
        return cls((Piece(Line(offset_s, drift_ppm)),))

    @classmethod
    def join(cls, pieces: list[Piece]) -> Clock:
        """Return the clock of pieces in native order, shortened where it would run backwards.

        Where a device's clock was set forward, its time stamps leap over a stretch; the piece
        after it begins no sooner than the session time at which the one before it ends.
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
        """The line of the piece that holds longest."""
        return max(self.pieces, key=lambda p: p.until_native_s - p.from_native_s).line

    @overload
    def to_session(self, native_s: float) -> float: ...
    @overload
    def to_session(self, native_s: Times) -> Times: ...
    def to_session(self, native_s: float | Times) -> float | Times:
        """Return session times of native times, in seconds; NaN where not known."""
        native = np.asarray(native_s, dtype=np.float64)
        session = np.full(native.shape, np.nan)
        for piece in self.pieces:
            holds = (native >= piece.from_native_s) & (native <= piece.until_native_s)
            session = np.where(holds, piece.line.to_session(native), session)
        return session if isinstance(native_s, np.ndarray) else float(session)

    @overload
    def to_native(self, session_s: float) -> float: ...
    @overload
    def to_native(self, session_s: Times) -> Times: ...
    def to_native(self, session_s: float | Times) -> float | Times:
        """Return native times of session times, in seconds; NaN where not known."""
        session = np.asarray(session_s, dtype=np.float64)
        native = np.full(session.shape, np.nan)
        for piece in self.pieces:
            # Compared on the session's side, so that both maps agree on what a piece holds.
            first = piece.line.to_session(piece.from_native_s)
            last = piece.line.to_session(piece.until_native_s)
            holds = (session >= first) & (session <= last)
            native = np.where(holds, piece.line.to_native(session), native)
        return native if isinstance(session_s, np.ndarray) else float(native)

    def shifted(self, late_s: float) -> Clock:
        """Return the clock under which everything seems to happen later."""
        return Clock(
            tuple(
                replace(piece, line=replace(piece.line, offset_s=piece.line.offset_s + late_s))
                for piece in self.pieces
            )
        )

    def session_span_s(self, from_native_s: float, until_native_s: float) -> tuple[float, float]:
        """Return the session times between which a stretch of native time is known."""
        first, last = self.pieces[0], self.pieces[-1]
        return (
            first.line.to_session(max(from_native_s, first.from_native_s)),
            last.line.to_session(min(until_native_s, last.until_native_s)),
        )


@dataclass(frozen=True)
class ClockFit:
    """A clock, how it was found, and whether to rely on it.

    Attributes
    ----------
    clock : Clock or None
        None if the recording could not be aligned.
    method : str
        The evidence: ``"shared clock"``, ``"clock offsets"``, ``"pulses"``, ``"shared sound"``,
        ``"content"``, ``"start times"``.
    anchors_s : ndarray of float64, shape (n_anchors, 2)
        Native and session times that the clock rests on.
    residual_ms : float or None
        Root of the mean squared residual over the anchors, corrected for the degrees of freedom.
    error_ms : float or None
        Standard error of the clock where it is least well known.
    confidence : float or None
        Probability that the clock is right within the tolerance at that moment.
    status : {"aligned", "coarse", "unaligned"}
        Coarse: a clock was found, but is not known within the tolerance.
    reason : str or None
        Why it is not aligned, or not throughout.
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
    """Return the outcome of a search that found no clock."""
    return ClockFit(None, method, np.empty((0, 2)), None, None, None, "unaligned", reason)


def clocks_from_pieces(pieces: pl.DataFrame) -> dict[str, Clock]:
    """Return the clock of every recording in table `Pieces`."""
    found: dict[str, list[Piece]] = {}
    for recording, start_s, end_s, offset_s, drift_ppm in pieces.select(
        "recording", "from_native_s", "until_native_s", "offset_s", "drift_ppm"
    ).iter_rows():
        found.setdefault(recording, []).append(Piece(Line(offset_s, drift_ppm), start_s, end_s))
    return {recording: Clock(tuple(own)) for recording, own in found.items()}
