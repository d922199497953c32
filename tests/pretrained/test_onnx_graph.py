"""Networks for ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

from consilience.core.seeds import generator
from consilience.pretrained.onnx_graph import OnnxGraph
from consilience.pretrained.onnx_weights import read_tensors

WEIGHTS = generator("weights").standard_normal((300, 4)).astype(np.float32)


def product() -> bytes:
    graph = OnnxGraph()
    flat = graph.node("Reshape", "picture", graph.constant(np.array([1, -1], np.int64)))
    total = graph.node("MatMul", flat, graph.constant(WEIGHTS))
    return graph.model({"picture": (1, 20, 15)}, [graph.node("Transpose", total, perm=[1, 0])])


def test_onnx_runtime_computes_the_network() -> None:
    picture = generator("picture").standard_normal((1, 20, 15)).astype(np.float32)
    session = onnxruntime.InferenceSession(product(), providers=["CPUExecutionProvider"])
    (total,) = session.run(None, {"picture": picture})
    assert np.allclose(total, (picture.reshape(1, -1) @ WEIGHTS).T, atol=1e-5)


def test_the_constants_are_those_that_a_reader_finds(tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    path.write_bytes(product())
    (weights,) = read_tensors(path).values()
    assert np.array_equal(weights, WEIGHTS)
