"""Growth of the cost, and what it comes to for many hours: ``python -m benchmarks.speed.growth``.

Each curve changes one size and measures processor seconds with one numerical thread; its exponent
is the slope of a line through the logarithms. The cost model multiplies the cost of an hour and of
a window by hours. It assumes that costs remain linear, as the curves show, and a cluster of `CORES`
cores that are busy for `BUSY` of the time.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.speed import incremental
from benchmarks.speed.session import CHANNELS, write_session
from benchmarks.speed.training import exponent
from benchmarks.speed.windows import synthetic_corpus
from consilience.core import registry
from consilience.core.workers import one_numerical_thread
from consilience.schema.params.training import TrainingParams
from consilience.schema.params.windows import WindowParams
from consilience.training.augmentation import Run
from consilience.training.devices import OneProcess
from consilience.training.networks import architecture
from consilience.training.trainer import RunData, Trainer

METHOD = "coherence_transfer"
DURATIONS_S = (60, 120, 240, 480)
N_CHANNELS = (4, 8, 16, 30)
RECORDINGS = (25, 50, 100, 200)
N_SENSORS = (2, 3, 4, 6, 8)
N_CLASSES = (2, 4, 8, 16)
N_FOLDS = (4, 8, 16)
N_WINDOWS = (1_000, 4_000, 16_000)
REPEATS = 3
HOURS = (100, 10_000, 1_000_000)
CORES, BUSY = 64 * 32, 0.8
RUNS, EPOCHS = 24, 20


class Curve(NamedTuple):
    """Processor seconds by size."""

    title: str
    sizes: Sequence[int]
    seconds: list[float]

    def row(self) -> str:
        """Return the curve as a row of a Markdown table."""
        values = ", ".join(
            f"{size:,}: {seconds:.2f}"
            for size, seconds in zip(self.sizes, self.seconds, strict=True)
        )
        return f"| {self.title} | {values} | {exponent(self.sizes, self.seconds):.2f} |"

    def slope(self) -> float:
        """Return the cost of one more unit, between the two largest sizes."""
        return (self.seconds[-1] - self.seconds[-2]) / (self.sizes[-1] - self.sizes[-2])


def _seconds(function: Callable[[], object]) -> float:
    """Return the least processor time of some repeats: other work can only add to it."""
    costs = []
    for _ in range(REPEATS):
        began = time.process_time()
        function()
        costs.append(time.process_time() - began)
    return min(costs)


def hours(folder: Path) -> list[Curve]:
    """Measure reading and features of each sensor, and five severities of noise besides."""
    clean: dict[str, list[float]] = {}
    noise: dict[str, list[float]] = {}
    for duration_s in DURATIONS_S:
        for modality, path in write_session(folder / str(duration_s), duration_s).items():
            read, corrupt = _clean(modality, path), _corrupted(modality, path)
            clean.setdefault(modality, []).append(_seconds(read))
            noise.setdefault(modality, []).append(_seconds(corrupt))
    return [
        Curve(f"{what} of {modality}, by seconds of recording", DURATIONS_S, seconds)
        for what, by_modality in (("features", clean), ("noise", noise))
        for modality, seconds in by_modality.items()
    ]


def _clean(modality: str, path: Path, **changes: object) -> Callable[[], object]:
    sensor = registry.get("modalities", modality)
    params = registry.params("modalities", modality)(**changes)
    return lambda: sensor.features(sensor.read(path, None, params), params)


def _corrupted(modality: str, path: Path) -> Callable[[], object]:
    sensor = registry.get("modalities", modality)
    params = registry.params("modalities", modality)()
    signal = sensor.read(path, None, params)
    features = sensor.features(signal, params)
    return lambda: list(sensor.corrupted_features(signal, features, "noise", params, "benchmark"))


def channels(folder: Path) -> Curve:
    """Measure features of EEG with fewer channels."""
    path = folder / str(DURATIONS_S[-1]) / "eeg.edf"
    seconds = [_seconds(_clean("eeg", path, channels=list(CHANNELS[:n]))) for n in N_CHANNELS]
    return Curve("features of EEG, by channels", N_CHANNELS, seconds)


def recordings(folder: Path) -> Curve:
    """Measure catalog to windows, for voices of 5 s."""
    incremental.run(incremental.make_study(folder / "warm-up", 4, 5.0))  # imports
    seconds = []
    for number in RECORDINGS:
        project = incremental.make_study(folder / f"study-{number}", number, 5.0)
        seconds.append(incremental.run(project).processor_s)
    return Curve("catalog to windows, by recordings", RECORDINGS, seconds)


def epoch_s(n_windows: int, modalities: int = 3, n_classes: int = 4, n_runs: int = 1) -> float:
    """Return the processor seconds of an epoch of some runs, each of another fold."""
    names = [f"class_{number}" for number in range(n_classes)]
    corpus = synthetic_corpus(n_windows, max(n_runs, 4), modalities, names)
    training = TrainingParams(patience=100)
    runs = [Run(fold, 0) for fold in range(n_runs)]
    params = registry.params("methods", METHOD)()
    stack = architecture(METHOD, params, training, corpus).untrained(runs)
    data = RunData(OneProcess(), runs, corpus, training, corpus.labels, params)
    trainer = Trainer(OneProcess(), stack, runs, data, training)

    def epoch() -> None:
        trainer.train_epoch()
        trainer.validate()

    epoch()
    return _seconds(epoch)


def training() -> list[Curve]:
    """Measure epochs of coherence transfer."""
    return [
        Curve("an epoch, by windows", N_WINDOWS, [epoch_s(n) for n in N_WINDOWS]),
        Curve(
            "an epoch of 1,000 windows, by sensors",
            N_SENSORS,
            [epoch_s(1000, m) for m in N_SENSORS],
        ),
        Curve(
            "an epoch of 1,000 windows, by classes",
            N_CLASSES,
            [epoch_s(1000, n_classes=k) for k in N_CLASSES],
        ),
        Curve(
            "an epoch of 1,000 windows in every fold, by folds",
            N_FOLDS,
            [epoch_s(1000, n_runs=f) for f in N_FOLDS],
        ),
    ]


def cost_model(of_hours: Sequence[Curve], of_windows: Curve) -> list[str]:
    """Return the rows of the cost model's table: stages, and wall time on the cluster by hours."""
    window_s = WindowParams().hop_s
    per_hour_s = 3600 * sum(curve.slope() for curve in of_hours if "features" in curve.title)
    noise_s = 3600 * sum(curve.slope() for curve in of_hours if "noise" in curve.title)
    # Runs share nothing, so that as many cores as runs train; folds have most of the windows.
    train_s = 3600 / window_s * of_windows.slope() * EPOCHS
    spread = CORES * BUSY
    rows = [
        f"| stage | an hour | {' | '.join(f'{h:,} hours' for h in HOURS)} |",
        "|---|---|---|---|---|",
    ]
    for name, seconds, cores in (
        ("ingest, three sensors", per_hour_s, spread),
        ("noise at five severities", noise_s, spread),
        (f"training, {RUNS} runs of {EPOCHS} epochs", RUNS * train_s, RUNS),
    ):
        walls = " | ".join(_duration(hours * seconds / cores) for hours in HOURS)
        rows.append(f"| {name} | {seconds:.1f} s | {walls} |")
    return rows


def _duration(seconds: float) -> str:
    """Return a duration with a unit that suits it."""
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 86_400:.1f} days"


def main() -> None:
    """Print the curves and the cost model as Markdown tables."""
    with one_numerical_thread(), tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        of_hours = hours(folder)
        curves = [*of_hours, channels(folder), recordings(folder)]
        of_training = training()
    print("| cost | processor seconds by size | exponent |\n|---|---|---|")
    for curve in [*curves, *of_training]:
        print(curve.row())
    print(f"\nOn {CORES:,} cores, {BUSY:.0%} busy; training on {RUNS} of them:\n")
    print("\n".join(cost_model(of_hours, of_training[0])))


if __name__ == "__main__":
    main()
