"""Results of slow functions of arrays, kept while the samples of a stream are read again and again.

The features of a window are computed from a stretch of samples, most of which were in the stretch
of the window before. Functions of short parts of it, such as a second of sound or a picture, ask
for their results here. They know no stream: where nothing is remembered they compute them.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

MAX_BYTES = 2**22  # twice the detections of faces in a stretch, which are the largest results

Arrays = tuple[NDArray[Any], ...]
Key = bytes
Value = TypeVar("Value", bound=Arrays)


class Memo:
    """Arrays by the content of those that they were computed from; the oldest are forgotten.

    Parameters
    ----------
    max_bytes : int
        Memory of the arrays.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._results: OrderedDict[Key, Arrays] = OrderedDict()

    def __len__(self) -> int:
        return len(self._results)

    def get(self, key: Key) -> Arrays | None:
        """Return the arrays of a key, or None."""
        if key in self._results:
            self._results.move_to_end(key)
            return self._results[key]
        return None

    def put(self, key: Key, arrays: Arrays) -> None:
        """Keep arrays, which must not change."""
        self.n_bytes += _size(arrays) - _size(self._results.pop(key, ()))
        self._results[key] = arrays
        while self.n_bytes > self.max_bytes:
            self.n_bytes -= _size(self._results.popitem(last=False)[1])


def _size(arrays: Arrays) -> int:
    return sum(array.nbytes for array in arrays)


_active: ContextVar[Memo | None] = ContextVar("memo", default=None)


@contextmanager
def remembering(memo: Memo) -> Iterator[None]:
    """Keep and use results in a memo within a block."""
    token = _active.set(memo)
    try:
        yield
    finally:
        _active.reset(token)


def active_memo() -> Memo | None:
    """Return the memo of the enclosing `remembering`, or None."""
    return _active.get()


def key_of(name: str, *arrays: NDArray[Any]) -> Key:
    """Return the key of a function's result.

    Parameters
    ----------
    name : str
        Of the function, with all settings on which its result depends.
    *arrays : ndarray
        Its inputs.
    """
    digest = hashlib.sha256(name.encode())
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.digest()


def remembered(name: str, arrays: Arrays, compute: Callable[[], Value]) -> Value:
    """Return the result of a function, computed unless it is remembered.

    Parameters
    ----------
    name : str
        As for `key_of`.
    arrays : tuple of ndarray
        All inputs that vary.
    compute : callable
        Returns a tuple of arrays.
    """
    memo = active_memo()
    if memo is None:
        return compute()
    key = key_of(name, *arrays)
    result = memo.get(key)
    if result is None:
        result = compute()
        memo.put(key, result)
    return result  # type: ignore[return-value]  # what `compute` returned
