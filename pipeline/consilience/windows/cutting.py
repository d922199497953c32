"""Model inputs of one session: its feature frames cut into windows, and what encoders read of them.

The module is an entry point of the window store's keys: everything it imports can change a stored
result. Code that writes tables or runs workers therefore belongs elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    covered = np.zeros((len(session.windows), len(cutters)))
    frames: dict[str, Inputs] = {}
    for column, cutter in enumerate(cutters):
        shape = (len(session.windows), cutter.grid.n_frames, len(cutter.features))
        frames[cutter.name] = np.full(shape, np.nan, np.float32)
        source = session.sources.get(cutter.name)
        if source is not None:
            arrays = read_arrays(source.arrays, CLEAN, "times_s")
            cut_frames = cut(
                arrays[CLEAN], arrays["times_s"], source.clock, session.windows, cutter.grid
            )
            covered[:, column] = coverage(cut_frames, session.windows, cutter.grid)
            frames[cutter.name] = cut_frames
    available = covered >= min_coverage
    usable = available.any(axis=1)
    inputs = {
        cutter.name: cutter.inputs(frames[cutter.name][usable], available[usable, column])
        for column, cutter in enumerate(cutters)
    }
    return {COVERAGE: covered, **inputs}
