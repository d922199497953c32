"""A recorded session for the benchmarks: 30-channel EEG, voice and face of one subject."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import soundfile
from edfio import Edf, EdfSignal
from numpy.typing import NDArray

from consilience.core.seeds import generator
from consilience.readers.sound import decode, resample
from consilience.schema.params.synthesis import SynthesisParams
from consilience.synthesis.face import write_face
from consilience.synthesis.plan import Session, sessions
from consilience.synthesis.voice import write_voice

FILES = {"eeg": "eeg.edf", "audio": "voice.wav", "video": "face.mp4"}
CHANNELS = (
    *("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz", "C4", "T8", "P7", "P3", "Pz"),
    *("P4", "P8", "O1", "O2", "AF3", "AF4", "FC5", "FC1", "FC2", "FC6", "CP5", "CP1", "CP2"),
    *("CP6", "Oz"),
)
EEG_HZ, SOUND_HZ, FRAMES_HZ = 500, 44100, 30
WIDTH, HEIGHT = 640, 480
TRIAL_S = 8.1  # of the simulated session; with rests, ten trials last about 100 s


def write_session(folder: Path, duration_s: float = 160.0) -> dict[str, Path]:
    """Write the recordings of a session and return their paths by modality.

    Voice and face are those of the demonstration corpus, repeated up to the duration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {modality: folder / name for modality, name in FILES.items()}
    write_eeg(paths["eeg"], duration_s)
    write_sound(paths["audio"], duration_s)
    simulated = folder / "simulated.mp4"
    write_face(_simulated(), simulated)
    _write_video(simulated, paths["video"], duration_s)
    simulated.unlink()
    return paths


def _simulated() -> Session:
    """Return the plan of the session whose voice and face are repeated."""
    params = SynthesisParams(subjects=1, sessions=1, trials=10, trial_s=TRIAL_S)
    return sessions(params)[0]


def write_eeg(path: Path, duration_s: float) -> None:
    """Write pink noise of 20 µV with mains hum and a rhythm at 10 Hz, in records of one second."""
    rng = generator("benchmark", "eeg")
    n_samples = round(duration_s) * EEG_HZ
    times_s = np.arange(n_samples) / EEG_HZ
    signals = []
    for name in CHANNELS:
        spectrum = np.fft.rfft(rng.standard_normal(n_samples))
        hz = np.fft.rfftfreq(n_samples, 1 / EEG_HZ)
        pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(hz, 0.5)), n_samples)
        values = 20 * pink / pink.std()
        values += 8 * np.sin(2 * np.pi * 10 * times_s) + 4 * np.sin(2 * np.pi * 50 * times_s)
        signals.append(
            EdfSignal(
                np.clip(values, -500, 500),
                EEG_HZ,
                label=name,
                physical_dimension="uV",
                physical_range=(-500, 500),
            )
        )
    Edf(signals, data_record_duration=1).write(path)


def write_sound(path: Path, duration_s: float) -> None:
    """Write the voice as 16-bit WAV at the benchmark's rate."""
    simulated = path.with_name("simulated.flac")
    write_voice(_simulated(), simulated)
    sound, rate_hz, _ = decode(simulated)
    sound = resample(sound, rate_hz, SOUND_HZ, simulated)
    simulated.unlink()
    soundfile.write(path, np.resize(sound, round(duration_s * SOUND_HZ)), SOUND_HZ, "PCM_16")


def _write_video(source: Path, path: Path, duration_s: float) -> None:
    """Write the face as H.264, enlarged, with the encoder's defaults."""
    with av.open(str(source)) as container:
        frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=FRAMES_HZ)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, FRAMES_HZ)
        for number in range(round(duration_s * FRAMES_HZ)):
            picture: NDArray[np.uint8] = np.asarray(
                cv2.resize(frames[number % len(frames)], (WIDTH, HEIGHT)), np.uint8
            )
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
