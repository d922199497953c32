"""Reads the tensors of an ONNX file, whose format is that of Protocol Buffers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Numbers of the fields of the messages ModelProto, GraphProto and TensorProto, and of a type.
GRAPH, INITIALIZER, DIMS, TYPE, NAME, RAW_DATA, FLOAT = 7, 5, 1, 2, 8, 9, 1
# Numbers of bytes of the encodings of fixed length.
FIXED = {1: 8, 5: 4}


def read_tensors(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return the stored float32 tensors of a network by name."""
    graph = next(value for number, value in _fields(path.read_bytes()) if number == GRAPH)
    tensors = {}
    for number, message in _fields(graph):
        if number == INITIALIZER:
            shape = [value for field, value in _fields(message) if field == DIMS]
            content = dict(_fields(message))
            if content.get(TYPE) == FLOAT and RAW_DATA in content:
                values = np.frombuffer(content[RAW_DATA], "<f4").reshape(shape)
                tensors[content[NAME].decode()] = values
    return tensors


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the number and the value of each field of a message: an integer, or bytes."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, encoding = key >> 3, key & 7
        if encoding == 0:
            value, place = _varint(message, place)
            yield number, value
            continue
        size = FIXED.get(encoding, 0)
        if encoding == 2:
            size, place = _varint(message, place)
        yield number, message[place : place + size]
        place += size


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """Return the integer at a place, seven bits a byte, and the place after it."""
    value = shift = 0
    while True:
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, place
