"""Model inputs of one session: its feature frames cut into windows, and what encoders read of them.

The module is an entry point of the window store's keys: everything it imports can change a stored
result. Code that writes tables or runs workers therefore belongs elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from consilience.alignment.clock import Clock
from consilience.core import registry
from consilience.core.files import read_arrays
from consilience.inputs.base import finite
from consilience.schema.constants import CLEAN
from consilience.schema.params.plugins import ModalityParams
from consilience.windows.layout import Grid, Window, coverage, cut

COVERAGE = "coverage"  # name of the array of coverages beside those of the modalities

Inputs = NDArray[np.float32]  # shape (n_windows, ...)


@dataclass(frozen=True)
class Cutter:
    """Windows of one modality.

    Attributes
    ----------
    name : str
    params : ModalityParams
    features : tuple of str
        Names of the features of a frame.
    grid : Grid
        The frames in a window.
    """

    name: str
    params: ModalityParams
    features: tuple[str, ...]
    grid: Grid

    def inputs(self, frames: Inputs, available: NDArray[np.bool_]) -> Inputs:
        """Compute the encoder's input.

        Parameters
        ----------
        frames : ndarray of float32, shape (n_windows, n_frames, n_features)
        available : ndarray of bool, shape (n_windows,)

        Returns
        -------
        ndarray of float32, shape (n_windows, ...)
            0 where not available or not finite.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # the result is 0
            computed = registry.get("inputs", self.params.INPUTS)(frames)
        inputs = finite(computed)
        inputs[~available] = 0.0
        return inputs


@dataclass(frozen=True)
class Source:
    """An aligned recording of a session.

    Attributes
    ----------
    arrays : Path
        Its ingested feature frames.
    content_hash : str
        Of that file.
    clock : Clock
    """

    arrays: Path
    content_hash: str
    clock: Clock


class Frames(NamedTuple):
    """Feature frames of a recording.

    Attributes
    ----------
    values : ndarray of float32, shape (n_frames, n_features)
    times_s : ndarray of float64, shape (n_frames,)
        On the clock of the recording.
    clock : Clock
    """

    values: Inputs
    times_s: NDArray[np.float64]
    clock: Clock


@dataclass(frozen=True)
class Session:
    """A session to be cut into windows.

    Attributes
    ----------
    name : str
    windows : list of Window
    sources : dict of str to Source
        By modality; without those that the session lacks.
    """

    name: str
    windows: list[Window]
    sources: dict[str, Source]


def cut_session(
    session: Session, cutters: list[Cutter], min_coverage: float
) -> dict[str, NDArray[Any]]:
    """Cut the recordings of a session into windows.

    Parameters
    ----------
    session : Session
    cutters : list of Cutter
        One per modality.
    min_coverage : float
        Least share of a window that an available modality covers.

    Returns
    -------
    dict of str to ndarray
        ``"coverage"``, shape (n_windows, n_modalities): share of each window that frames cover.
        By modality the model inputs of the windows that at least one modality covers, shape
        (n_usable, ...), 0 where this one does not.
    """
    recorded: dict[str, Frames] = {}
    for name in [cutter.name for cutter in cutters if cutter.name in session.sources]:
        source = session.sources[name]
        arrays = read_arrays(source.arrays, CLEAN, "times_s")
        recorded[name] = Frames(arrays[CLEAN], arrays["times_s"], source.clock)
    return cut_frames(recorded, session.windows, cutters, min_coverage)


def cut_frames(
    recorded: Mapping[str, Frames],
    windows: list[Window],
    cutters: list[Cutter],
    min_coverage: float,
) -> dict[str, NDArray[Any]]:
    """Cut feature frames into windows of a session; see `cut_session`.

    Parameters
    ----------
    recorded : mapping of str to Frames
        By modality; without those that the session lacks.
    windows : list of Window
    cutters : list of Cutter
    min_coverage : float
    """
    covered = np.zeros((len(windows), len(cutters)))
    frames: dict[str, Inputs] = {}
    for column, cutter in enumerate(cutters):
        shape = (len(windows), cutter.grid.n_frames, len(cutter.features))
        frames[cutter.name] = np.full(shape, np.nan, np.float32)
        if cutter.name in recorded:
            of_windows = cut(*recorded[cutter.name], windows, cutter.grid)
            covered[:, column] = coverage(of_windows, windows, cutter.grid)
            frames[cutter.name] = of_windows
    available = covered >= min_coverage
    usable = available.any(axis=1)
    inputs = {
        cutter.name: cutter.inputs(frames[cutter.name][usable], available[usable, column])
        for column, cutter in enumerate(cutters)
    }
    return {COVERAGE: covered, **inputs}
