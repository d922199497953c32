"""Composes networks for ONNX Runtime, as messages of Protocol Buffers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

IR_VERSION, OPERATOR_SET = 8, 13  # versions of the format and of the operators
FLOAT, INT64 = 1, 7  # numbers of the types of tensors
INT, INTS = 2, 7  # numbers of the types of attributes


class OnnxGraph:
    """A network to which operations are added one by one; names of values are numbers."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._tensors: list[bytes] = []
        self._n_values = 0

    def constant(self, values: NDArray[Any]) -> str:
        """Add a constant of float32 or int64, and return its name."""
        name = self._name()
        kind = INT64 if values.dtype == np.int64 else FLOAT
        content = np.ascontiguousarray(values, np.int64 if kind == INT64 else np.float32)
        dims = b"".join(field(1, size) for size in values.shape)
        tensor = dims + field(2, kind) + field(8, name) + field(9, content.tobytes())
        self._tensors.append(tensor)
        return name

    def node(self, operator: str, *inputs: str, **attributes: int | Sequence[int]) -> str:
        """Add an operation with one output, and return the output's name."""
        output = self._name()
        node = b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, operator)
        for name, value in attributes.items():
            if isinstance(value, int):
                content = field(3, value) + field(20, INT)
            else:
                content = b"".join(field(8, number) for number in value) + field(20, INTS)
            node += field(5, field(1, name) + content)
        self._nodes.append(node)
        return output

    def model(self, inputs: dict[str, tuple[int, ...]], outputs: Sequence[str]) -> bytes:
        """Return the network of given input shapes in the format of an ONNX file."""
        graph = b"".join(field(1, node) for node in self._nodes) + field(2, "graph")
        graph += b"".join(field(5, tensor) for tensor in self._tensors)
        graph += b"".join(field(11, _float_value(*value)) for value in inputs.items())
        graph += b"".join(field(12, _float_value(name)) for name in outputs)
        return field(1, IR_VERSION) + field(7, graph) + field(8, field(2, OPERATOR_SET))

    def _name(self) -> str:
        self._n_values += 1
        return str(self._n_values)


def _float_value(name: str, shape: tuple[int, ...] | None = None) -> bytes:
    """Return the description of an input, or of an output of unknown shape."""
    content = field(1, FLOAT)
    if shape is not None:
        content += field(2, b"".join(field(1, field(1, size)) for size in shape))
    return field(1, name) + field(2, field(1, content))


def field(number: int, value: int | str | bytes) -> bytes:
    """Return a field of a message of Protocol Buffers: a non-negative integer, text or bytes."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Return an integer, seven bits a byte."""
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + _varint(rest) if rest else bytes([low])
