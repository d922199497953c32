"""BlazeFace networks for grey pictures, from TensorFlow Lite files, in ONNX Runtime.

OpenCV reads the file; ONNX Runtime takes 40 % of OpenCV's time to compute the network. A network
is a convolution and blocks of a depthwise and a pointwise one, each with a shortcut, in front of
two heads at two resolutions (Bazarevsky et al. 2019).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from consilience.pretrained.onnx_graph import OnnxGraph

Array = NDArray[np.float32]
Network = Callable[[Array], tuple[Array, Array]]

BOX_VALUES = 16  # of each box


class Convolution(NamedTuple):
    """A convolution of a network.

    Attributes
    ----------
    weights : ndarray of float32, shape (n_out, n_in, height, width)
    bias : ndarray of float32, shape (n_out,)
    n_rows : int
        Of its input.
    stride : int
    """

    weights: Array
    bias: Array
    n_rows: int
    stride: int


def load_network(path: Path, size: int) -> Network:
    """Load a network.

    Parameters
    ----------
    path : Path
        A TensorFlow Lite file.
    size : int
        Width and height of the input.

    Returns
    -------
    callable
        Returns the score, shape (n_boxes,), and the values, shape (n_boxes, 16), of every box in a
        picture of float32, shape (size, size), from -1 to 1.
    """
    import onnxruntime  # slow to import, and not needed by every modality

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # recordings are parallel
    session = onnxruntime.InferenceSession(
        build_graph(path, size), options, providers=["CPUExecutionProvider"]
    )

    def outputs(picture: Array) -> tuple[Array, Array]:
        scores, boxes = session.run(None, {"picture": picture[None, None]})
        return scores[0, :, 0], boxes[0]

    return outputs


def build_graph(path: Path, size: int) -> bytes:
    """Return a network for grey pictures as ONNX."""
    convolutions, n_poolings = _read(path, size)
    (stem, *blocks), heads = convolutions[:-4], convolutions[-4:]
    graph = OnnxGraph()
    # The three channels of a grey picture are equal.
    stem = stem._replace(weights=stem.weights.sum(axis=1, keepdims=True))
    value = graph.node("Relu", _convolve(graph, "picture", stem))
    by_rows = {}
    for depthwise, pointwise in zip(blocks[::2], blocks[1::2], strict=True):
        by_rows[depthwise.n_rows] = value
        sum_ = _convolve(graph, _convolve(graph, value, depthwise), pointwise)
        if depthwise.stride == 1 or n_poolings:
            n_poolings -= depthwise.stride > 1
            sum_ = graph.node("Add", sum_, _shortcut(graph, value, depthwise, pointwise))
        value = graph.node("Relu", sum_)
        by_rows[pointwise.n_rows] = value
    outputs = [
        graph.node(
            "Concat", *(_head(graph, by_rows[head.n_rows], head, last) for head in pair), axis=1
        )
        for pair, last in ((heads[:2], 1), (heads[2:], BOX_VALUES))
    ]
    return graph.model({"picture": (1, 1, size, size)}, outputs)


def _read(path: Path, size: int) -> tuple[list[Convolution], int]:
    """Return the convolutions of a network in order, and the number of its poolings."""
    net = cv2.dnn.readNetFromTFLite(str(path))
    numbers, inputs, outputs = net.getLayersShapes((1, 3, size, size))
    n_rows = {
        int(number): (int(before[0][2]), int(after[0][2]))
        for number, before, after in zip(np.ravel(numbers), inputs, outputs, strict=True)
        if len(before[0]) == len(after[0]) == 4
    }
    convolutions, n_poolings = [], 0
    for name in net.getLayerNames():
        layer: Any = net.getLayer(name)
        n_poolings += layer.type == "Pooling"
        if layer.type == "Convolution":
            weights, bias = (np.array(blob, np.float32) for blob in layer.blobs)
            before, after = n_rows[net.getLayerId(name)]
            convolutions.append(Convolution(weights, bias.ravel(), before, before // after))
    return convolutions, n_poolings


def _convolve(graph: OnnxGraph, value: str, layer: Convolution) -> str:
    n_channels, width = layer.weights.shape[1], layer.weights.shape[3]
    padding = width - layer.stride  # TensorFlow's, with the smaller half in front
    before, after = padding // 2, padding - padding // 2
    return graph.node(
        "Conv",
        value,
        graph.constant(layer.weights),
        graph.constant(layer.bias),
        strides=[layer.stride] * 2,
        pads=[before, before, after, after],
        group=len(layer.weights) if n_channels == 1 and width == 3 else 1,
    )


def _shortcut(graph: OnnxGraph, value: str, depthwise: Convolution, pointwise: Convolution) -> str:
    """Return the input of a block at the size of its output: pooled, and with channels of zeros."""
    if depthwise.stride > 1:
        value = graph.node("MaxPool", value, kernel_shape=[2, 2], strides=[2, 2])
    n_added = len(pointwise.weights) - len(depthwise.weights)
    if n_added:
        pads = np.array([0, 0, 0, 0, 0, n_added, 0, 0], np.int64)
        value = graph.node("Pad", value, graph.constant(pads))
    return value


def _head(graph: OnnxGraph, value: str, layer: Convolution, last: int) -> str:
    """Return the outputs of one resolution as rows of `last` values."""
    rows = graph.node("Transpose", _convolve(graph, value, layer), perm=[0, 2, 3, 1])
    return graph.node("Reshape", rows, graph.constant(np.array([1, -1, last], np.int64)))
