"""Corrupted and desynchronised model inputs of one recording.

The module is an entry point of the window store's keys, as `consilience.windows.cutting`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience.core import registry
from consilience.core.files import read_arrays
from consilience.ingest.signal import read_signal
from consilience.modalities.base import Modality
from consilience.schema.constants import CLEAN, SEVERITIES
from consilience.signals.types import Features
from consilience.windows.cutting import Cutter, Inputs, Source
from consilience.windows.layout import Window, cut


def variants_of(cutter: Cutter, length_s: float | None, desync_s: tuple[float, ...]) -> list[str]:
    """Return the names of the variants of a modality's windows besides the clean one.

    Desynchronised variants need a time axis, and windows that are not whole trials.
    """
    late = [f"desync_{severity}" for severity, _ in zip(SEVERITIES, desync_s, strict=True)]
    timed = cutter.grid.rate_hz is not None and length_s is not None
    return [*cutter.params.variants, *(late if timed else [])]


def corrupt_recording(
    source: Source,
    windows: list[Window],
    available: NDArray[np.bool_],
    cutter: Cutter,
    row: dict[str, Any],
    root: Path,
    variants: list[str],
    desync_s: tuple[float, ...],
) -> dict[str, Inputs]:
    """Compute the model inputs of every variant of a recording.

    Parameters
    ----------
    source : Source
    windows : list of Window
        Of its session.
    available : ndarray of bool, shape (n_windows,)
        Whether the clean recording covers a window.
    cutter : Cutter
    row : dict of str to Any
        Its row of `Recordings`.
    root : Path
        Root of the dataset.
    variants : list of str
        As `variants_of` returns them.
    desync_s : tuple of float
        Errors of the clock at severities 1 to 5.

    Returns
    -------
    dict of str to ndarray of float32, shape (n_windows, ...)
        By variant; 0 where the modality is not available.
    """
    arrays = read_arrays(source.arrays, CLEAN, "times_s")
    clean, times_s = arrays[CLEAN], arrays["times_s"]
    inputs = {}
    for variant, values in _corrupted_frames(cutter, row, root, clean, times_s):
        frames = cut(values, times_s, source.clock, windows, cutter.grid)
        inputs[variant] = cutter.inputs(frames, available)
    for severity, late_s in zip(SEVERITIES, desync_s, strict=True):
        if f"desync_{severity}" in variants:
            clock = source.clock.shifted(late_s)
            frames = cut(clean, times_s, clock, windows, cutter.grid)
            inputs[f"desync_{severity}"] = cutter.inputs(frames, available)
    return inputs


def _corrupted_frames(
    cutter: Cutter, row: dict[str, Any], root: Path, clean: Inputs, times_s: Any
) -> Iterator[tuple[str, Inputs]]:
    """Yield the feature frames of every corruption; the recording is read once."""
    params = cutter.params
    if not params.corruptions:
        return
    modality: Modality = registry.get("modalities", cutter.name)
    signal = read_signal(row, root, modality, params)
    features = Features(clean, times_s, cutter.features, {})
    for kind in params.corruptions:
        corrupted = modality.corrupted_features(signal, features, kind, params, row["recording"])
        for severity, values in zip(SEVERITIES, corrupted, strict=True):
            yield f"{kind}_{severity}", values
