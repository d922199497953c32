"""The usual time from one frame to the next, for frames with gaps or bursts between them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BURST = 1.5  # ratio of the step that fills most of the time to the median one, with bursts


def frame_period_s(times_s: NDArray[np.float64], target_s: float) -> float:
    """Return the usual step between frames, in seconds.

    It is the median step, unless bursts of short steps are most of the steps but not of the time,
    as phones write them: then it is the step that half of the time is made of, at most `target_s`,
    because gaps are made of long steps too.

    Parameters
    ----------
    times_s : ndarray of float64, shape (n_frames,)
        Increasing, two at least.
    target_s : float
        Step to which frames are resampled.
    """
    steps_s = np.sort(np.diff(times_s))
    median_s = float(np.median(steps_s))
    filled_s = np.cumsum(steps_s)
    lasting_s = float(steps_s[np.searchsorted(filled_s, filled_s[-1] / 2)])
    return max(median_s, min(lasting_s, target_s)) if lasting_s > BURST * median_s else median_s
