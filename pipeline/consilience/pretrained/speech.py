"""Voice activity detection by a recurrent network, trained on speech in thousands of languages.

Silero VAD (Silero Team 2024, MIT); the weights are distributed in the package silero-vad. Its code
is not imported, because it imports torch: onnxruntime runs the model, on one thread.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec

import librosa
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from consilience.pretrained.weights import package_folder

Array = NDArray[np.float32]

RATE_HZ, BLOCK, CONTEXT = 16000, 512, 64  # of the network's training
STATE = (1, 1, 128)
BLOCKS_AT_ONCE = 512  # bounds memory; the state is passed from one call to the next


def speech_probability(sound: Array, rate_hz: float, times_s: NDArray[np.float64]) -> Array:
    """Return the probability of speech at some times.

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
        Probability for the block of 32 ms that contains each time.

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
    # Each block is preceded by the last samples of the block before it.
    blocks = np.lib.stride_tricks.sliding_window_view(padded, CONTEXT + BLOCK)[::BLOCK]
    hidden = cell = np.zeros(STATE, np.float32)
    probabilities = []
    for start in range(0, n_blocks, BLOCKS_AT_ONCE):
        block = np.ascontiguousarray(blocks[start : start + BLOCKS_AT_ONCE])
        output, hidden, cell = _network().run(
            ["speech_probs", "hn", "cn"], {"input": block, "h": hidden, "c": cell}
        )
        probabilities.append(output.ravel())
    index = (times_s * (RATE_HZ / BLOCK)).astype(int).clip(max=n_blocks - 1)
    result: Array = np.concatenate(probabilities)[index]
    return result


@lru_cache(maxsize=1)
def _network() -> onnxruntime.InferenceSession:
    folder = package_folder(
        find_spec("silero_vad"),
        "the voice detector's weights are not installed",
        "audio",
        "pip install --no-deps silero-vad",
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only, without remarks on the hardware
    weights = folder / "data" / "silero_vad_16k_sequence.onnx"
    return onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
