"""Cost of predictions for one window at a time, and of loading a bundle.

``python -m benchmarks.speed.latency [WINDOWS]`` measures on one core, with untrained weights of
coherence transfer, whose values do not change the cost: feature frames of one window, of the
demonstration's sizes, to its calibrated prediction; the same with eight sensors instead of three;
size and loading time of a bundle of one run.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.speed.windows import CLASSES, FEATURES, SENSORS
from consilience.core import registry
from consilience.inputs.functionals import FUNCTIONALS, inputs
from consilience.schema.params.training import TrainingParams
from consilience.training.augmentation import Run
from consilience.training.bundle import load_model, save_model
from consilience.training.data import Scaler
from consilience.training.networks import Architecture

METHOD = "coherence_transfer"
FRAMES = 50  # feature frames of a window
RUN = Run(0, 0)


def architecture(n_modalities: int) -> Architecture:
    """Return the architecture for some sensors, with the sizes of the demonstration's in turn."""
    sizes = list(FEATURES.values())
    features = {
        name: ["number"] * (sizes[place % len(sizes)] // len(FUNCTIONALS))
        for place, name in enumerate(SENSORS[:n_modalities])
    }
    example = {}
    for name, columns in features.items():
        example[name] = torch.zeros(1, len(columns) * len(FUNCTIONALS))
    params = registry.params("methods", METHOD)()
    return Architecture(METHOD, params, TrainingParams(), features, {}, len(CLASSES), example)


def scaler_of(example: Mapping[str, Tensor]) -> Scaler:
    """Return a standardisation that changes nothing."""
    zeros = {name: torch.zeros(1, *values.shape) for name, values in example.items()}
    ones = {name: torch.ones_like(values) for name, values in zeros.items()}
    return Scaler(zeros, ones, torch.zeros(1, 1, 2), torch.ones(1, 1, 2))


def latencies_ms(n_modalities: int, n_windows: int) -> np.ndarray:
    """Return the time from a window's feature frames to its prediction, window by window."""
    networks = architecture(n_modalities)
    stack, scaler = networks.untrained([RUN]).eval(), scaler_of(networks.example)
    available = torch.ones(1, 1, n_modalities)
    index = torch.zeros(1, 1, dtype=torch.int64)
    rng = np.random.default_rng(0)

    @torch.inference_mode()
    def predict(frames: Mapping[str, np.ndarray]) -> Any:
        prepared = {name: torch.from_numpy(inputs(values)) for name, values in frames.items()}
        return stack("predict", (scaler.inputs(prepared, index, available, {}), available))

    def draw() -> dict[str, np.ndarray]:
        sizes = {name: (1, FRAMES, len(columns)) for name, columns in networks.features.items()}
        return {name: rng.standard_normal(size, np.float32) for name, size in sizes.items()}

    for _ in range(20):
        predict(draw())
    return np.array([_elapsed_ms(predict, draw()) for _ in range(n_windows)])


def bundle_cost(repeats: int = 20) -> tuple[float, float]:
    """Return the size in megabytes of a bundle of one run, and its median loading time in ms."""
    networks = architecture(len(FEATURES))
    fitted: Any = SimpleNamespace(
        stack=networks.trained(networks.untrained([RUN]).state_dict(), 1),
        scaler=scaler_of(networks.example),
    )
    card = {
        "method": METHOD,
        "dataset": "benchmark",
        "data_sha256": "0" * 64,
        "inputs": {name: list(values.shape[1:]) for name, values in networks.example.items()},
        "people": [],
        "intended_use": "measure",
        "limits": [],
        "licence": "none",
        "libraries": {},
        "recipe": {
            "modalities": {name: {} for name in networks.features},
            "alignment": {},
            "annotation": {},
            "windows": {},
        },
        "classes": list(CLASSES),
        "features": networks.features,
        "params": networks.params.model_dump(),
        "training": networks.training.model_dump(),
        "runs": [RUN._asdict()],
    }
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder), fitted, card, {})
        size_mb = sum(file.stat().st_size for file in Path(folder).iterdir()) / 1e6
        times_ms = [_elapsed_ms(load_model, Path(folder)) for _ in range(repeats)]
    return size_mb, float(np.median(times_ms))


def _elapsed_ms(function: Callable[[Any], Any], argument: Any) -> float:
    began = time.perf_counter()
    function(argument)
    return 1000 * (time.perf_counter() - began)


def main(n_windows: int = 2000) -> None:
    """Print the costs."""
    torch.set_num_threads(1)
    three, eight = latencies_ms(3, n_windows), latencies_ms(8, n_windows)
    size_mb, load_ms = bundle_cost()
    print("| sensors | median | 99 % |\n|---|---|---|")
    for sensors, times_ms in ((3, three), (8, eight)):
        print(
            f"| {sensors} | {np.median(times_ms):.2f} ms | {np.quantile(times_ms, 0.99):.2f} ms |"
        )
    print(f"\neight sensors: {np.median(eight) / np.median(three):.1f} x three")
    print(f"a bundle of one run: {size_mb:.2f} MB, loaded in {load_ms:.0f} ms")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
