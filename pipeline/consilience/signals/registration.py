"""Displacement of pictures from a template, by cross-correlation at half of their resolution."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Pictures = NDArray[np.uint8]  # shape (n_pictures, side, side)


class Registration:
    """Compares square pictures with a template, within a reach of whole pixels.

    The normalised cross-correlations of many pictures are products of matrices: a picture's windows
    at all displacements, times the centred template.

    Parameters
    ----------
    template : ndarray of float, shape (side, side)
        The side is even.
    reach : int
        Pixels by which a picture may be displaced in each direction; even.
    """

    def __init__(self, template: NDArray[np.floating], reach: int) -> None:
        side, self._reach = len(template) // 2, reach // 2
        half = template.astype(np.float64).reshape(side, 2, side, 2).mean(axis=(1, 3))
        inner = half[self._reach : side - self._reach, self._reach : side - self._reach]
        centred = inner - inner.mean()
        self._n_pixels = inner.size
        self._template = self._windows(centred / max(np.linalg.norm(centred), 1e-9), side)
        self._window = self._windows(np.ones_like(inner), side)

    def _windows(self, values: NDArray[np.float64], side: int) -> Array:
        """Return values at every displacement in a picture of zeros, shape (side², n_places²)."""
        n_places = 2 * self._reach + 1
        placed = np.zeros((n_places, n_places, side, side), np.float32)
        for down in range(n_places):
            for across in range(n_places):
                rows, columns = (slice(at, at + len(values)) for at in (down, across))
                placed[down, across, rows, columns] = values
        return np.ascontiguousarray(placed.reshape(n_places**2, -1).T)

    def similarity(self, pictures: Pictures) -> Array:
        """Return normalised cross-correlations, shape (n_pictures, n_places, n_places).

        The axes are displacements in steps of two pixels, down and right.
        """
        n_pictures, side = len(pictures), pictures.shape[1] // 2
        # One call for all pictures: they lie below each other.
        strip = cv2.resize(
            pictures.reshape(-1, 2 * side), (side, n_pictures * side), interpolation=cv2.INTER_AREA
        )
        grey = strip.reshape(n_pictures, -1).astype(np.float32)
        grey -= grey.mean(axis=1, keepdims=True)
        power = (grey**2) @ self._window - (grey @ self._window) ** 2 / self._n_pixels
        similarity = grey @ self._template / np.sqrt(np.maximum(power, 1e-3))
        return similarity.reshape(n_pictures, 2 * self._reach + 1, -1)

    def displacements(self, pictures: Pictures) -> NDArray[np.float64]:
        """Return the offset of each picture from the template, right and down, in pixels.

        It is the peak of the similarity, refined by parabolas; 0 where the peak lies on the border,
        where the true peak may lie beyond it.

        Returns
        -------
        ndarray of float64, shape (n_pictures, 2)
        """
        similarity = self.similarity(pictures).astype(np.float64)
        n_places = similarity.shape[1]
        down, across = np.divmod(similarity.reshape(len(pictures), -1).argmax(axis=1), n_places)
        inside = (down % (n_places - 1) > 0) & (across % (n_places - 1) > 0)
        offsets = np.zeros((len(pictures), 2))
        number, y, x = np.flatnonzero(inside), down[inside], across[inside]
        row = [similarity[number, y, x + step] for step in (-1, 0, 1)]
        column = [similarity[number, y + step, x] for step in (-1, 0, 1)]
        offsets[inside, 0] = 2 * (x - self._reach + _vertex(*row))
        offsets[inside, 1] = 2 * (y - self._reach + _vertex(*column))
        return offsets


def _vertex(
    before: NDArray[np.float64], at: NDArray[np.float64], after: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the vertex of the parabola through three values, relative to the middle one."""
    bend = before - 2 * at + after
    peaked = bend < 0
    return np.where(peaked, 0.5 * (before - after) / np.where(peaked, bend, 1), 0.0)
