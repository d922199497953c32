"""Pictures kept in a temporary file, so that memory holds only those being looked at.

Feature extraction looks at a video's pictures several times, and every corruption makes as many
again. A minute at the working width is 65 MB.
"""

from __future__ import annotations

from collections.abc import Iterable
from tempfile import TemporaryFile

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]  # shape (n_frames, height, width)


def spool(pictures: Iterable[Frames]) -> Frames:
    """Write pictures to a temporary file and return them as an array over it.

    The file is in the system's folder for such files (``TMPDIR``) and goes with the array.

    Parameters
    ----------
    pictures : iterable of ndarray of uint8, shape (height, width)
        All of one shape.

    Returns
    -------
    ndarray of uint8, shape (n_pictures, height, width)
        Writable; shape (0, 0, 0) without pictures.

    Raises
    ------
    ValueError
        If pictures differ in shape.
    OSError
        If there is no room left.
    """
    n_pictures, shape = 0, (0, 0)
    with TemporaryFile() as file:
        for picture in pictures:
            if n_pictures and picture.shape != shape:
                raise ValueError(f"a picture of {picture.shape} among some of {shape}")
            shape = picture.shape
            file.write(np.ascontiguousarray(picture).data)
            n_pictures += 1
        if not n_pictures:
            return np.empty((0, 0, 0), np.uint8)
        file.flush()
        return np.asarray(np.memmap(file, np.uint8, "r+", shape=(n_pictures, *shape)))
