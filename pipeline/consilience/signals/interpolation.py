"""Interpolation of bad EEG channels and the average reference, as one matrix."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import mne
import numpy as np
from numpy.typing import NDArray


@lru_cache(maxsize=64)
def cleaning_matrix(
    recorded: tuple[str, ...], bads: tuple[str, ...], required: tuple[str, ...]
) -> NDArray[np.float32]:
    """Return the matrix that interpolates bad channels and subtracts the mean of all channels.

    Bad and missing channels are interpolated by spherical splines (Perrin et al. 1989), by
    MNE-Python. Upper and lower case of names are the same.

    Parameters
    ----------
    recorded : tuple of str
        10-20 names of the channels.
    bads : tuple of str
        Those of them that are bad.
    required : tuple of str
        Channels of the result; those that are not recorded are interpolated.

    Returns
    -------
    ndarray of float32, shape (n_required, n_recorded)
    """
    present = {name.casefold() for name in recorded}
    missing = [name for name in required if name.casefold() not in present]
    names = [*recorded, *missing]
    info = mne.create_info(names, 1.0, "eeg")
    raw = mne.io.RawArray(np.eye(len(names)), info, verbose="error")
    if bads or missing:
        raw.set_montage(_montage(), match_case=False, verbose="error")
        raw.info["bads"] = [*bads, *missing]
        # A fixed origin: fitting a sphere needs digitised head points, which few files have.
        raw.interpolate_bads(reset_bads=True, origin=(0.0, 0.0, 0.0), verbose="error")
    raw.set_eeg_reference("average", verbose="error")
    rows = {name.casefold(): row for name, row in zip(names, raw.get_data(), strict=True)}
    matrix = np.stack([rows[name.casefold()] for name in required])[:, : len(recorded)]
    return np.asarray(matrix, np.float32)


@lru_cache(maxsize=1)
def _montage() -> Any:
    """Return the positions of the electrodes; `montage.POSITIONS` lists their names."""
    return mne.channels.make_standard_montage("colin27_1020")
