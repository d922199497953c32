"""A sound to which another one is added at several levels, such as a voice with noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Value = TypeVar("Value", bound=np.inexact[Any])


class Mixes(NamedTuple):
    """A sound, or its mixes with added sound, of which transforms are computed once.

    Attributes
    ----------
    parts : sequence of ndarray of float32, shape (n_samples,)
        The sound, and the added sound if there is any.
    gains : sequence of float
        Of the added sound in each mix; a single 0 without added sound.
    """

    parts: Sequence[Array]
    gains: Sequence[float] = (0.0,)

    def of(self, transforms: Sequence[NDArray[Value]]) -> Iterator[NDArray[Value]]:
        """Yield a linear transform of each mix, given those of the parts."""
        sound, *added = transforms
        if not added:
            yield sound
            return
        # Real and imaginary parts in turn: a real factor of complex numbers is slow.
        first, second = (each.view(each.real.dtype) for each in (sound, added[0]))
        for gain in self.gains:
            mix = second * np.float32(gain)
            mix += first
            yield mix.view(sound.dtype)

    def of_products(
        self,
        product: Callable[[NDArray[Value], NDArray[Value]], Array],
        transforms: Sequence[NDArray[Value]],
    ) -> Iterator[Array]:
        """Yield a quadratic transform of each mix, given the symmetric product of linear ones."""
        sound, *added = transforms
        square = product(sound, sound)
        if not added:
            yield square
            return
        both, other = 2 * product(sound, added[0]), product(added[0], added[0])
        for gain in map(np.float32, self.gains):
            mix = gain * other
            mix += both
            mix *= gain
            mix += square
            yield mix
