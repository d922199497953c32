"""The sound track of a recording's file, whatever sensor the recording is of."""

from __future__ import annotations

from pathlib import Path

from consilience.core.errors import RecordingError
from consilience.core.scratch import even_times_s
from consilience.readers.sound import SUFFIXES, decode, resample
from consilience.signals.types import Signal


def read_sound_track(path: Path, item: str | None, rate_hz: float) -> Signal | None:
    """Read the sound of a sound file or a media container at a rate; for `Modality.sound`.

    Parameters
    ----------
    path : Path
    item : str or None
        Key of a recording inside a file of several; such files have no sound of their own.
    rate_hz : float
        Rate to which the sound is resampled.

    Returns
    -------
    Signal or None
        ``values`` float32, shape (n_samples,), full scale 1, NaN where sound was lost; None if
        the file has no readable sound.
    """
    if item is not None or path.suffix.lower() not in SUFFIXES:
        return None
    try:
        sound, source_hz, start_s = decode(path)
        sound = resample(sound, source_hz, rate_hz, path)
    except RecordingError:
        return None
    return Signal(sound, even_times_s(sound.size, rate_hz, start_s), ("mono",))
