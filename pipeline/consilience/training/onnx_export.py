"""The network of a bundle as ``model.onnx``, for programs without Python or torch.

The graph contains standardisation, network and calibration. Its inputs are windows less the
person's baseline (see `consilience.training.baseline`), and which sensors are available.
"""

from __future__ import annotations

import logging
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from consilience.core.errors import ConsilienceError
from consilience.model.stack import Stack
from consilience.training.bundle import ONNX, load_model
from consilience.training.data import Scaler

AVAILABLE = "available"
OUTPUTS = ("probability", "affect_mean", "affect_std", "vacuity", "reliability", "coherence")
EXTRA = ("onnx", "onnxscript")  # packages of the extra ``onnx``
OPSET = 18


class Deployed(nn.Module):
    """The first run of a stack with its standardisation: windows in, probabilities out.

    Parameters
    ----------
    stack : Stack
    scaler : Scaler
    """

    network: Any
    label_mean: Tensor  # not the names of outputs, which would be defined twice
    label_std: Tensor

    def __init__(self, stack: Stack, scaler: Scaler) -> None:
        super().__init__()
        self.network = stack.network(0)
        self._names = tuple(scaler.mean)
        for name in self._names:
            self.register_buffer(f"mean_{name}", scaler.mean[name][0])
            self.register_buffer(f"std_{name}", scaler.std[name][0])
        self.register_buffer("label_mean", scaler.affect_mean[0])
        self.register_buffer("label_std", scaler.affect_std[0])
        self._clip = float(scaler.clip)

    def forward(self, available: Tensor, *windows: Tensor) -> tuple[Tensor, ...]:
        """Compute the outputs `OUTPUTS`.

        Parameters
        ----------
        available : Tensor of float, shape (B, M)
            1 where a sensor is available, else 0.
        *windows : Tensor, shape (B, ...)
            Of every sensor, less the baseline; any finite numbers where it is not available.

        Returns
        -------
        probability : Tensor, shape (B, K)
        affect_mean, affect_std : Tensor, shape (B, 2)
            Valence and arousal, in the units of the labels.
        vacuity : Tensor, shape (B,)
        reliability : Tensor, shape (B, M)
        coherence : Tensor, shape (B,)
        """
        inputs = {}
        for place, (name, values) in enumerate(zip(self._names, windows, strict=True)):
            mean, std = self.get_buffer(f"mean_{name}"), self.get_buffer(f"std_{name}")
            scaled = ((values - mean) / std).clamp(-self._clip, self._clip)
            shape = (-1,) + (1,) * (values.ndim - 1)
            inputs[name] = torch.where(available[:, place].reshape(shape) > 0, scaled, 0.0)
        prediction = self.network.predict((inputs, available))
        affect_std = torch.exp(prediction.affect_log_variance / 2) * self.label_std
        return (
            prediction.logits.softmax(-1),
            prediction.affect_mean * self.label_std + self.label_mean,
            affect_std,
            prediction.vacuity,
            prediction.reliability,
            prediction.coherence,
        )


def check_installed() -> None:
    """Raise if a package of the extra ``onnx`` is missing."""
    lacking = [name for name in EXTRA if find_spec(name) is None]
    if lacking:
        raise ConsilienceError(
            f"without {' and '.join(lacking)} no ONNX file is written",
            "consilience export --onnx",
            "run 'pip install consilience[onnx]'",
        )


def write(folder: Path) -> None:
    """Write ``model.onnx`` into a bundle, of its first run; the number of windows is free.

    Parameters
    ----------
    folder : Path
        With ``model.safetensors`` and ``card.json``.
    """
    stack, scaler, _, card, _ = load_model(folder)
    names = list(card["features"])
    n_windows = 2  # a size of 1 would be taken for fixed
    example = (
        torch.ones(n_windows, len(names)),
        *(torch.zeros(n_windows, *card["inputs"][name]) for name in names),
    )
    batch = torch.export.Dim("windows", min=1)
    shapes = ({0: batch}, tuple({0: batch} for _ in names))
    # Notes on packages that are not used, and on changes to come within torch.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Deployed(stack, scaler).eval(),
            example,
            str(folder / ONNX),
            input_names=[AVAILABLE, *names],
            output_names=list(OUTPUTS),
            dynamic_shapes=shapes,
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
