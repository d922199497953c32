"""Ingest against decoding alone and against the obvious script, in processor seconds.

``python -m benchmarks.speed.ingest [REPEATS] [MODALITY ...]`` writes a session of 160 s and
measures, in one process with one numerical thread, the median over the repeats of:

- *decoding*: reading every sample with MNE-Python, soundfile or PyAV;
- *script*: what a user would write with MNE-Python, librosa and OpenCV;
- *clean*: `Modality.read` and `Modality.features` with the default parameters;
- *noise*: `Modality.corrupted_features` of noise, at five severities.

Ratios within one run hardly depend on the machine.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import librosa
import mne
import numpy as np
import soundfile

from benchmarks.speed.session import write_session
from consilience.core import registry
from consilience.core.workers import one_numerical_thread

MODALITIES = ("eeg", "audio", "video")


class Cost(NamedTuple):
    """Processor seconds of one modality of the session; see the module."""

    modality: str
    decoding_s: float
    script_s: float
    clean_s: float
    noise_s: float


def decode_eeg(path: Path) -> None:
    """Read every sample of an EDF with MNE-Python."""
    mne.io.read_raw_edf(path, preload=True, verbose="error")


def decode_audio(path: Path) -> None:
    """Read every sample of a WAV with soundfile."""
    soundfile.read(path, dtype="float32")


def decode_video(path: Path) -> None:
    """Decode every frame with PyAV, one thread."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_count = 1
        for _ in container.decode(video=0):
            pass


def script_eeg(path: Path) -> None:
    """Notch, band-pass, resample and compute band power, as MNE-Python's tutorials do."""
    raw = mne.io.read_raw_edf(path, preload=True, verbose="error")
    raw.notch_filter([50, 100], verbose="error")
    raw.filter(0.5, 45, verbose="error")
    raw.resample(128, verbose="error")
    raw.set_eeg_reference("average", verbose="error")
    epochs = mne.make_fixed_length_epochs(raw, 1.0, overlap=0.75, preload=True, verbose="error")
    epochs.compute_psd("welch", fmin=1, fmax=45, n_fft=128, verbose="error").get_data()


def script_audio(path: Path) -> None:
    """Load at 16 kHz and compute log-mel bands, cepstra, level and pitch, as with librosa."""
    sound, rate_hz = librosa.load(path, sr=16000)
    mel = librosa.feature.melspectrogram(y=sound, sr=rate_hz, n_fft=512, hop_length=320, n_mels=26)
    librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=13)
    librosa.feature.rms(y=sound, hop_length=320)
    librosa.yin(sound, fmin=60, fmax=600, sr=rate_hz, frame_length=1024, hop_length=320)


def script_video(path: Path) -> None:
    """Read, convert to grey, detect the face in every 12th frame and resize it, as with OpenCV."""
    cascade = cv2.CascadeClassifier(
        str(Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml")
    )
    capture = cv2.VideoCapture(str(path))
    face: tuple[int, ...] = (0, 0, 64, 64)
    number = 0
    while True:
        read, frame = capture.read()
        if not read:
            break
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        if number % 12 == 0:
            faces = cascade.detectMultiScale(grey, 1.1, 5)
            face = tuple(faces[0]) if len(faces) else face
        x, y, width, height = face
        cv2.resize(grey[y : y + height, x : x + width], (64, 64))
        number += 1


DECODE: dict[str, Callable[[Path], None]] = {
    "eeg": decode_eeg,
    "audio": decode_audio,
    "video": decode_video,
}
SCRIPT: dict[str, Callable[[Path], None]] = {
    "eeg": script_eeg,
    "audio": script_audio,
    "video": script_video,
}


def measure(modality: str, path: Path, repeats: int) -> Cost:
    """Measure one modality, the four variants in turn within each repeat."""
    sensor = registry.get("modalities", modality)
    params = registry.params("modalities", modality)()

    def clean() -> None:
        sensor.features(sensor.read(path, None, params), params)

    signal = sensor.read(path, None, params)
    features = sensor.features(signal, params)

    def noise() -> None:
        for _ in sensor.corrupted_features(signal, features, "noise", params, "benchmark"):
            pass

    variants = (
        lambda: DECODE[modality](path),
        lambda: SCRIPT[modality](path),
        clean,
        noise,
    )
    for variant in variants:  # once without measuring: imports, caches, compiled code
        variant()
    seconds = np.array([[_processor_s(variant) for variant in variants] for _ in range(repeats)])
    return Cost(modality, *np.median(seconds, axis=0))


def _processor_s(function: Callable[[], None]) -> float:
    began = time.process_time()
    function()
    return time.process_time() - began


def main(repeats: int = 5, modalities: Sequence[str] = MODALITIES) -> None:
    """Print the costs and their ratios as rows of a Markdown table."""
    cv2.setNumThreads(1)
    columns = ("", "decoding", "script", "clean", "noise")
    ratios = ("script / clean", "clean / decoding", "noise / clean")
    print(f"| {' | '.join(columns + ratios)} |\n{'|---' * 8}|")
    with one_numerical_thread(), tempfile.TemporaryDirectory() as folder:
        paths = write_session(Path(folder))
        for modality in modalities:
            cost = measure(modality, paths[modality], repeats)
            print(
                f"| {modality} | {cost.decoding_s:.2f} s | {cost.script_s:.2f} s "
                f"| {cost.clean_s:.2f} s | {cost.noise_s:.2f} s "
                f"| {cost.script_s / cost.clean_s:.2f} | {cost.clean_s / cost.decoding_s:.2f} "
                f"| {cost.noise_s / cost.clean_s:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    words = sys.argv[1:]
    main(int(words[0]) if words else 5, words[1:] or MODALITIES)
