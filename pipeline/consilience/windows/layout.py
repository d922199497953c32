"""Windows on the session clock, and what each recording has to show in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilience.alignment.clock import Clock
from consilience.schema.params.windows import WindowParams

WHOLE_SESSION = "whole"
MAX_GAP_PERIODS = 1.5
ROUNDING_S = 1e-9

Stretch = tuple[str, str, float, float]  # session, trial, start, end


@dataclass(frozen=True)
class Window:
    """A stretch of a session, within one trial; seconds of the session clock."""

    session: str
    trial: str
    start_s: float
    end_s: float

    @property
    def name(self) -> str:
        """Id, unique over all sessions."""
        return f"{self.session}_{self.trial}_{round(1e3 * self.start_s):07d}"


def lay_windows(
    trials: pl.DataFrame, recorded_s: dict[str, float], params: WindowParams
) -> list[Window]:
    """Lay windows over the trials, none across a border unless asked.

    Parameters
    ----------
    trials : polars.DataFrame
        Table `Trials`.
    recorded_s : dict of str to float
        Session time at which each session's longest aligned recording ends. A session without
        trials is one trial from 0 to there, or one window if the end is infinite: its recordings
        have no time axis.
    params : WindowParams
        With `length_s` None every trial is one window, at most `max_length_s` long; otherwise
        windows start every `hop_s` from the trial's start, and a trial shorter than `length_s`
        has none. With `cross_trials` a session is laid out as one stretch from its first trial's
        start to its last one's end, and a window belongs to the trial in which its middle lies.

    Returns
    -------
    list of Window
        Sorted by session, start and trial.
    """
    stretches = list(trials.select("session", "trial", "start_s", "end_s").iter_rows())
    with_trials = set(trials["session"])
    stretches += [
        (session, WHOLE_SESSION, 0.0, end)
        for session, end in recorded_s.items()
        if session not in with_trials
    ]
    if params.cross_trials and params.length_s is not None:
        windows = [window for own in _by_session(stretches) for window in _across(own, params)]
    else:
        windows = [
            Window(session, trial, start, end)
            for session, trial, trial_start, trial_end in stretches
            for start, end in _within(trial_start, trial_end, params)
        ]
    return sorted(windows, key=lambda window: (window.session, window.start_s, window.trial))


def _by_session(stretches: list[Stretch]) -> list[list[Stretch]]:
    sessions: dict[str, list[Stretch]] = {}
    for stretch in stretches:
        sessions.setdefault(stretch[0], []).append(stretch)
    return list(sessions.values())


def _across(stretches: list[Stretch], params: WindowParams) -> list[Window]:
    """Lay windows from the first stretch's start to the last one's end, whatever they cross."""
    session = stretches[0][0]
    first, last = min(one[2] for one in stretches), max(one[3] for one in stretches)
    windows = []
    for start, end in _within(first, last, params):
        middle = (start + end) / 2
        inside = [trial for _, trial, begin, until in stretches if begin <= middle < until]
        windows.append(Window(session, inside[0] if inside else WHOLE_SESSION, start, end))
    return windows


def _within(start_s: float, end_s: float, params: WindowParams) -> list[tuple[float, float]]:
    if params.length_s is None:
        return [(start_s, min(end_s, start_s + params.max_length_s))] if end_s > start_s else []
    if np.isinf(end_s):
        end_s = start_s + params.length_s
    room = end_s - start_s - params.length_s
    n_windows = int(np.floor(room / params.hop_s + ROUNDING_S)) + 1 if room > -ROUNDING_S else 0
    starts = [start_s + step * params.hop_s for step in range(n_windows)]
    return [(start, start + params.length_s) for start in starts]


def frames_per_window(rate_hz: float | None, params: WindowParams) -> int:
    """Return the length of a window's time axis; 1 for a modality without one."""
    if rate_hz is None:
        return 1
    length_s = params.max_length_s if params.length_s is None else params.length_s
    return int(np.ceil(length_s * rate_hz - ROUNDING_S))


@dataclass(frozen=True)
class Grid:
    """Where a modality's frames lie in a window.

    Attributes
    ----------
    rate_hz : float or None
        Frames a second, or None for a modality without a time axis: its one frame speaks for
        every window of the session.
    n_frames : int
        Frames a window.
    """

    rate_hz: float | None
    n_frames: int

    def times_s(self, window: Window) -> NDArray[np.float64]:
        """Return the frames' centres on the session clock; frames past the window's end are NaN."""
        if self.rate_hz is None:
            return np.array([window.start_s])
        times = np.arange(self.n_frames, dtype=np.float64)
        times = window.start_s + (times + 0.5) / self.rate_hz
        times[times > window.end_s + ROUNDING_S] = np.nan
        return times


def cut(
    values: NDArray[np.float32],
    times_s: NDArray[np.float64],
    clock: Clock,
    windows: list[Window],
    grid: Grid,
) -> NDArray[np.float32]:
    """Cut a recording's feature frames into windows.

    A window's frame is interpolated linearly between the two valid frames around it if these
    are at most one and a half frame periods apart; otherwise it is the nearest valid frame if
    that is within half a period, and missing if not. Nothing is made up beyond a recording's
    first and last half period.

    Parameters
    ----------
    values : ndarray of float32, shape (n, n_features)
        Feature frames; a row that is not finite throughout is no valid observation.
    times_s : ndarray of float64, shape (n,)
        Their centres, increasing, in seconds of the recording's own clock.
    clock : Clock
        From the recording's clock to the session's.
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
    wanted = clock.to_native(np.stack([grid.times_s(window) for window in windows]).ravel())
    period = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1 / grid.rate_hz
    return _sample(values[valid], times_s[valid], wanted, period).reshape(shape)


def _sample(
    values: NDArray[np.float32],
    times_s: NDArray[np.float64],
    wanted_s: NDArray[np.float64],
    period_s: float,
) -> NDArray[np.float32]:
    last = len(times_s) - 1
    right = np.clip(np.searchsorted(times_s, wanted_s), min(1, last), last)
    left = np.maximum(right - 1, 0)
    gap = times_s[right] - times_s[left]
    since = wanted_s - times_s[left]
    inside = (since >= 0) & (since <= gap) & (gap <= MAX_GAP_PERIODS * period_s + ROUNDING_S)
    share = np.clip(np.divide(since, gap, out=np.zeros_like(since), where=gap > 0), 0, 1)
    share = np.where(inside, share, np.round(np.nan_to_num(share)))
    nearest = np.minimum(np.abs(since), np.abs(wanted_s - times_s[right]))
    sampled = values[left] + share[:, None].astype(np.float32) * (values[right] - values[left])
    sampled[~(inside | (nearest <= period_s / 2 + ROUNDING_S))] = np.nan
    return sampled


def coverage(
    cut_values: NDArray[np.float32], windows: list[Window], grid: Grid
) -> NDArray[np.float64]:
    """Return the fraction of each window's frames that were observed.

    Parameters
    ----------
    cut_values : ndarray of float32, shape (n_windows, n_frames, n_features)
        What `cut` returned.
    windows : list of Window
        The windows it was cut into; frames past a window's end do not count.
    grid : Grid
        The modality's frames in a window.

    Returns
    -------
    ndarray of float64, shape (n_windows,)
    """
    observed = np.isfinite(cut_values).all(axis=2).sum(axis=1)
    expected = [np.isfinite(grid.times_s(window)).sum() for window in windows]
    return observed / np.maximum(1, np.array(expected, dtype=np.int64))
