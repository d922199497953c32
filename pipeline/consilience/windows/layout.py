"""Windows on the session clock: their layout, and the feature frames in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilience.alignment.clock import Clock
from consilience.schema.params.plugins import ModalityParams
from consilience.schema.params.windows import WindowParams
from consilience.signals.frame_period import frame_period_s

WHOLE_SESSION = "whole"
MAX_GAP_PERIODS = 1.5  # frames further apart are not interpolated between
# Share of its length that the last window of a session without trials may lack. A recording's last
# frame begins, or is centred, before its end, and recorders stop some frames early.
MAX_LACK = 0.05
ROUNDING_S = 1e-9  # so that rounding errors of sums neither add nor drop a window or frame
# Periods from the nearest frame beyond which a frame is missing: half a period, and the error of a
# clock, because frames of a recording that begins with the session lie half a period from those of
# its windows.
MAX_PERIODS = 0.55

Stretch = tuple[str, str, float, float]  # session, trial, start_s, end_s


@dataclass(frozen=True)
class Window:
    """A stretch of a session that belongs to one trial, in seconds of session time."""

    session: str
    trial: str
    start_s: float
    end_s: float

    @property
    def name(self) -> str:
        """Identifier, unique over all sessions."""
        return f"{self.session}_{self.trial}_{round(1e3 * self.start_s):07d}"


def recording_names(index: pl.DataFrame) -> NDArray[np.str_]:
    """Return the recording (N,) that each window belongs to.

    Its session; the clips of a subject, sessions of a single window, are one recording together and
    have the name of the subject.

    Parameters
    ----------
    index : polars.DataFrame
        With ``session`` and ``subject``.
    """
    is_clip = pl.len().over("session") == 1
    sessions = index.filter(~is_clip)["session"].unique().to_list()
    subject = pl.col("subject")
    # A person and a session may have the same name.
    distinct = pl.when(subject.is_in(sessions)).then("subject/" + subject).otherwise(subject)
    name = pl.when(is_clip).then(distinct).otherwise("session")
    return index.select(name.alias("recording"))["recording"].to_numpy().astype(str)


def lay_windows(
    trials: pl.DataFrame, recorded_s: dict[str, float], params: WindowParams
) -> list[Window]:
    """Lay windows over the trials of all sessions.

    With ``length_s`` None every trial is one window of at most ``max_length_s``. Otherwise
    windows start every ``hop_s`` from the trial's start, and a trial shorter than ``length_s`` has
    none. With ``cross_trials`` a session is one stretch from the start of its first trial to the
    end of its last one, and a window belongs to the trial that contains its middle.

    Parameters
    ----------
    trials : polars.DataFrame
        Table `Trials`.
    recorded_s : dict of str to float
        Session time at which each session's longest aligned recording ends. A session without
        trials is treated as one trial from 0 to this time; it is one window if the time is
        infinite, which means that its recordings have no time axis. Its last window may extend
        beyond it by `MAX_LACK` of the window's length.
    params : WindowParams

    Returns
    -------
    list of Window
        Sorted by session, start and trial.
    """
    stretches = list(trials.select("session", "trial", "start_s", "end_s").iter_rows())
    with_trials = set(trials["session"])
    lack_s = MAX_LACK * (params.length_s or 0)
    stretches += [
        (session, WHOLE_SESSION, 0.0, end + lack_s)
        for session, end in recorded_s.items()
        if session not in with_trials
    ]
    if params.cross_trials and params.length_s is not None:
        windows = [
            window for parts in _by_session(stretches) for window in _across_trials(parts, params)
        ]
    else:
        windows = [
            Window(session, trial, start, end)
            for session, trial, trial_start, trial_end in stretches
            for start, end in _spans_s(trial_start, trial_end, params)
        ]
    return sorted(windows, key=lambda window: (window.session, window.start_s, window.trial))


def _by_session(stretches: list[Stretch]) -> list[list[Stretch]]:
    sessions: dict[str, list[Stretch]] = {}
    for stretch in stretches:
        sessions.setdefault(stretch[0], []).append(stretch)
    return list(sessions.values())


def _across_trials(stretches: list[Stretch], params: WindowParams) -> list[Window]:
    """Lay windows over a session from its first trial's start to its last trial's end."""
    session = stretches[0][0]
    first = min(start for _, _, start, _ in stretches)
    last = max(end for _, _, _, end in stretches)
    windows = []
    for start, end in _spans_s(first, last, params):
        middle = (start + end) / 2
        inside = [trial for _, trial, begin, until in stretches if begin <= middle < until]
        windows.append(Window(session, inside[0] if inside else WHOLE_SESSION, start, end))
    return windows


def _spans_s(start_s: float, end_s: float, params: WindowParams) -> list[tuple[float, float]]:
    """Return start and end of the windows in a stretch."""
    if params.length_s is None:
        return [(start_s, min(end_s, start_s + params.max_length_s))] if end_s > start_s else []
    if np.isinf(end_s):  # without a time axis: one window stands for the whole session
        end_s = start_s + params.length_s
    room = end_s - start_s - params.length_s
    n_windows = int(np.floor(room / params.hop_s + ROUNDING_S)) + 1 if room > -ROUNDING_S else 0
    starts = [start_s + step * params.hop_s for step in range(n_windows)]
    return [(start, start + params.length_s) for start in starts]


def grid_of(params: ModalityParams, windows: WindowParams) -> Grid:
    """Return the frames of a modality in a window."""
    n_frames = frames_per_window(params.frame_rate_hz, windows)
    return Grid(params.frame_rate_hz, n_frames, params.lookahead_s)


def frames_per_window(rate_hz: float | None, params: WindowParams) -> int:
    """Return the number of frames of a window; 1 for a modality without a time axis.

    Parameters
    ----------
    rate_hz : float or None
        Frame rate, or None without a time axis.
    params : WindowParams
        If trials are windows, the longest window determines the length, and shorter ones are
        padded.
    """
    if rate_hz is None:
        return 1
    length_s = params.max_length_s if params.length_s is None else params.length_s
    return int(np.ceil(length_s * rate_hz - ROUNDING_S))


@dataclass(frozen=True)
class Grid:
    """Frame times of a modality within a window.

    Attributes
    ----------
    rate_hz : float or None
        Frames per second, or None for a modality without a time axis, whose single frame is
        used in every window of the session.
    n_frames : int
        Frames per window.
    lookahead_s : float or None
        Windows contain frames up to this time before their end; see `ModalityParams.lookahead_s`.
        With None, frames at the end may be interpolated from one after it.
    """

    rate_hz: float | None
    n_frames: int
    lookahead_s: float | None = None

    def times_s(self, window: Window) -> NDArray[np.float64]:
        """Return the session times of the frames' centres.

        Parameters
        ----------
        window : Window

        Returns
        -------
        ndarray of float64, shape (n_frames,)
            NaN for frames after the window's end, and those that depend on samples after it.
        """
        if self.rate_hz is None:
            return np.array([window.start_s])
        times = np.arange(self.n_frames, dtype=np.float64)
        times = window.start_s + (times + 0.5) / self.rate_hz
        # The nearest frame of the recording may lie half a period before.
        last_s = min(self.last_s(window) + 0.5 / self.rate_hz, window.end_s)
        times[times > last_s + ROUNDING_S] = np.nan
        return times

    def last_s(self, window: Window) -> float:
        """Return the session time after which a recording's frames are not used in a window."""
        return np.inf if self.lookahead_s is None else window.end_s - self.lookahead_s


def cut(
    values: NDArray[np.float32],
    times_s: NDArray[np.float64],
    clock: Clock,
    windows: list[Window],
    grid: Grid,
) -> NDArray[np.float32]:
    """Resample a recording's feature frames to the frame times of windows.

    A window's frame is interpolated linearly between the two valid frames around it if they are
    at most `MAX_GAP_PERIODS` frame periods apart. Otherwise it is the nearest valid frame if that
    is within `MAX_PERIODS`, and missing if not. Values are extrapolated by at most as much before
    the first and after the last valid frame.

    Parameters
    ----------
    values : ndarray of float32, shape (n, n_features)
        Feature frames; a row with a non-finite value is not valid.
    times_s : ndarray of float64, shape (n,)
        Their centres, increasing, in native time.
    clock : Clock
        Maps native time to session time.
    windows : list of Window
        Of the recording's session.
    grid : Grid
        The modality's frames in a window.

    Returns
    -------
    ndarray of float32, shape (n_windows, n_frames, n_features)
        Rows of missing frames are NaN.
    """
    shape = (len(windows), grid.n_frames, values.shape[1])
    valid = np.isfinite(values).all(axis=1)
    if not windows or not valid.any():
        return np.full(shape, np.nan, dtype=np.float32)
    if grid.rate_hz is None:
        return np.broadcast_to(values[valid][0], shape).copy()
    # Signals keep their native rate and are resampled only once, here.
    wanted = clock.to_native(np.stack([grid.times_s(window) for window in windows]).ravel())
    period = 1 / grid.rate_hz
    if len(times_s) > 1:
        period = frame_period_s(times_s, period)
    last = np.array([grid.last_s(window) for window in windows])
    limited = np.isfinite(last)
    last[limited] = clock.to_native(last[limited])
    until = np.repeat(last + ROUNDING_S, grid.n_frames)
    return _sample(values[valid], times_s[valid], wanted, until, period).reshape(shape)


def _sample(
    values: NDArray[np.float32],
    times_s: NDArray[np.float64],
    at_s: NDArray[np.float64],
    until_s: NDArray[np.float64],
    period_s: float,
) -> NDArray[np.float32]:
    """Sample valid frames at native times `at_s` (n,), shape (n, n_features).

    Each is sampled from frames up to its `until_s` (n,).
    """
    last = np.searchsorted(times_s, until_s, "right") - 1
    none, last = last < 0, np.maximum(last, 0)
    right = np.clip(np.searchsorted(times_s, at_s), np.minimum(1, last), last)
    left = np.maximum(right - 1, 0)
    gap = times_s[right] - times_s[left]
    since = at_s - times_s[left]
    inside = (since >= 0) & (since <= gap) & (gap <= MAX_GAP_PERIODS * period_s + ROUNDING_S)
    # Position between the two frames, 0 to 1; rounded to the nearer one across a gap. A NaN in
    # `at_s` makes every comparison false, so that its frame is missing.
    share = np.clip(np.divide(since, gap, out=np.zeros_like(since), where=gap > 0), 0, 1)
    share = np.where(inside, share, np.round(np.nan_to_num(share)))
    nearest = np.minimum(np.abs(since), np.abs(at_s - times_s[right]))
    sampled = values[left] + share[:, None].astype(np.float32) * (values[right] - values[left])
    # Exactly, where the sum would round to the size of a much larger neighbour.
    sampled[share == 1] = values[right[share == 1]]
    sampled[none | ~(inside | (nearest <= MAX_PERIODS * period_s))] = np.nan
    return sampled


def coverage(
    cut_values: NDArray[np.float32], windows: list[Window], grid: Grid
) -> NDArray[np.float64]:
    """Return the fraction of each window's frames that are present.

    Parameters
    ----------
    cut_values : ndarray of float32, shape (n_windows, n_frames, n_features)
        As returned by `cut`.
    windows : list of Window
        The windows of `cut_values`; frames after a window's end are not counted.
    grid : Grid
        The modality's frames in a window.

    Returns
    -------
    ndarray of float64, shape (n_windows,)
    """
    observed = np.isfinite(cut_values).all(axis=2).sum(axis=1)
    half_s = 0.5 / grid.rate_hz if grid.rate_hz else 0.0
    # Frames that a complete recording has for certain: the last may lie a period before the limit.
    expected = [
        (grid.times_s(window) <= grid.last_s(window) - half_s + ROUNDING_S).sum()
        for window in windows
    ]
    share = observed / np.maximum(1, np.array(expected, dtype=np.int64))
    return np.asarray(np.minimum(share, 1.0))
