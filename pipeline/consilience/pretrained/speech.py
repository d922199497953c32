"""Voice activity, as a recurrent network trained on speech in thousands of languages hears it.

Silero VAD (Silero Team 2024, MIT); the weights come inside the package silero-vad. Its code, which
wants torch at import, is not imported: onnxruntime runs the packaged model, on one thread.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import librosa
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from consilience.core.errors import ConsilienceError

Array = NDArray[np.float32]

RATE_HZ, BLOCK, CONTEXT = 16000, 512, 64  # as the network was trained
STATE = (1, 1, 128)
BLOCKS_AT_ONCE = 512  # bounds memory; the state goes on from one call to the next


def speech_probability(sound: Array, rate_hz: float, times_s: NDArray[np.float64]) -> Array:
    """Return the probability that somebody speaks, at given times.

    Parameters
    ----------
    sound : ndarray of float32, shape (n_samples,)
        Full scale 1.
    rate_hz : float
    times_s : ndarray of float64, shape (n_times,)
        Seconds from the first sample.

    Returns
    -------
    ndarray of float32, shape (n_times,)
        Of the 32 ms each time falls into.

    Raises
    ------
    ConsilienceError
        If the network's weights are not installed.
    """
    if rate_hz != RATE_HZ:
        sound = librosa.resample(sound, orig_sr=rate_hz, target_sr=RATE_HZ, res_type="soxr_hq")
    n_blocks = -(-sound.size // BLOCK)
    padded = np.zeros(CONTEXT + n_blocks * BLOCK, np.float32)
    padded[CONTEXT : CONTEXT + sound.size] = sound
    blocks = np.lib.stride_tricks.sliding_window_view(padded, CONTEXT + BLOCK)[::BLOCK]
    hidden = cell = np.zeros(STATE, np.float32)
    parts = []
    for start in range(0, n_blocks, BLOCKS_AT_ONCE):
        block = np.ascontiguousarray(blocks[start : start + BLOCKS_AT_ONCE])
        heard, hidden, cell = _network().run(
            ["speech_probs", "hn", "cn"], {"input": block, "h": hidden, "c": cell}
        )
        parts.append(heard.ravel())
    index = (times_s * (RATE_HZ / BLOCK)).astype(int).clip(max=n_blocks - 1)
    result: Array = np.concatenate(parts)[index]
    return result


@lru_cache(maxsize=1)
def _network() -> onnxruntime.InferenceSession:
    package = find_spec("silero_vad")
    if package is None or package.origin is None:
        raise ConsilienceError(
            "the voice detector's weights are not installed",
            "modality audio",
            "pip install --no-deps silero-vad",
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only: a user's screen is not for notes on hardware
    weights = Path(package.origin).parent / "data" / "silero_vad_16k_sequence.onnx"
    return onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
