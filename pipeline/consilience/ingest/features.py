"""Feature frames of one recording.

The module is the entry point of the store's key: everything it imports can change a stored result,
and nothing else can. Code that writes tables or runs workers therefore belongs elsewhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience.core import registry
from consilience.core.errors import RecordingError
from consilience.core.scratch import blocks
from consilience.ingest.findings import findings_of
from consilience.ingest.signal import read_signal
from consilience.modalities.base import Modality
from consilience.schema.constants import CLEAN
from consilience.schema.params.plugins import ModalityParams
from consilience.signals.regular_grid import median_step_s
from consilience.signals.types import Features, Signal


def compute(
    row: dict[str, Any], root: Path, name: str, settings: ModalityParams
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Compute the feature frames, sync pulses and quality of one recording.

    Parameters
    ----------
    row : dict of str to Any
        Its row of `Recordings`.
    root : Path
        Root of the dataset.
    name : str
        The modality.
    settings : ModalityParams
        Its parameters.

    Returns
    -------
    arrays : dict of str to ndarray
        ``times_s`` [T] and ``clean`` [T, F], float32, of the frames; ``pulses_s`` and
        ``anchors_s``.
    outcome : dict of str to Any
        Status, names of the F features, number of frames, times of the first and last frame and
        duration in s, quality measures, and the reader's findings.

    Raises
    ------
    RecordingError
        If it cannot be read, or its features are not finite.
    """
    modality: Modality = registry.get("modalities", name)
    signal = read_signal(row, root, modality, settings)
    clean = modality.features(signal, settings)
    _check_finite(clean, row["path"])
    arrays: dict[str, NDArray[Any]] = {
        "times_s": clean.times_s,
        "pulses_s": signal.pulses_s,
        "anchors_s": signal.anchors_s,
        CLEAN: clean.values,
    }
    outcome = {
        "status": "ok",
        "names": clean.names,
        "n_frames": len(clean.times_s),
        "first_frame_s": float(clean.times_s[0]) if len(clean.times_s) else None,
        "last_frame_s": float(clean.times_s[-1]) if len(clean.times_s) else None,
        "duration_s": _duration_s(signal),
        "quality": clean.quality,
        # Here, where the file has just been read, and not in the catalog.
        "findings": findings_of(modality.configured(settings), root / row["path"], row["item"]),
    }
    return arrays, outcome


def _check_finite(features: Features, path: str) -> None:
    """Raise if samples out of range gave features that would fail the whole stage later on."""
    quality = features.quality.get("quality", 1.0)
    # NaN is a missing value and allowed; an infinite value comes from samples in a wrong unit.
    infinite = any(np.isinf(features.values[rows]).any() for rows in blocks(features.values))
    if infinite or not 0 <= quality <= 1:
        raise RecordingError(
            "non-finite features or quality: the samples are out of range",
            path,
            "correct their unit",
        )


def _duration_s(signal: Signal) -> float | None:
    """Return the signal's length in s; None for fewer than two samples."""
    times_s = signal.times_s
    if len(times_s) < 2:
        return None
    # The last sample lasts one period too; the median period ignores gaps.
    return float(times_s[-1] - times_s[0]) + median_step_s(times_s)
