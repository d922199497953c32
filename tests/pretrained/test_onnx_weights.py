"""Tensors of ONNX files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from consilience.pretrained.onnx_weights import read_tensors


def field(number: int, value: bytes | int) -> bytes:
    """Return a field as Protocol Buffers encode it."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def tensor(name: str, values: np.ndarray, kind: int) -> bytes:
    dims = b"".join(field(1, size) for size in values.shape)
    return dims + field(2, kind) + field(8, name.encode()) + field(9, values.tobytes())


def test_the_float_tensors_are_read_by_name(tmp_path: Path) -> None:
    weights = np.arange(600, dtype=np.float32).reshape(2, 300)
    counts = np.arange(3, dtype=np.int64)
    graph = field(5, tensor("a.weight", weights, 1)) + field(5, tensor("counts", counts, 7))
    fixed = varint(9 << 3 | 5) + b"1234" + varint(10 << 3 | 1) + b"12345678"
    path = tmp_path / "network.onnx"
    path.write_bytes(field(1, 8) + fixed + field(2, b"pytorch") + field(7, graph))
    tensors = read_tensors(path)
    assert list(tensors) == ["a.weight"]
    assert np.array_equal(tensors["a.weight"], weights)
