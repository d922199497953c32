"""Features of the second layer of a speaker-verification network.

Three LSTM layers, trained to distinguish tens of thousands of speakers (Wan et al. 2018,
"Generalized end-to-end loss for speaker verification"). The second layer also represents how
it is spoken. The weights are distributed in the package Resemblyzer (Apache 2.0). Its code is
not imported: only the tensors of the first two layers are read, and no object is unpickled.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec

import librosa
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from consilience.pretrained.weights import package_folder

Array = NDArray[np.float32]

RATE_HZ, WINDOW, HOP, MEL_BANDS = 16000, 400, 160, 40  # of the network's training
LEVEL_DB = -30.0  # root mean square of the sound in the network's training
UNITS = 256


def second_layer(sounds: Sequence[Array]) -> Array:
    """Return the output of the second layer every 10 ms, for sounds of equal length.

    Several sounds together take half of the time of one after another, because each step of the
    network reads all weights.

    Parameters
    ----------
    sounds : sequence of ndarray of float32, shape (n_samples,)
        At 16 kHz; the level is normalised.

    Returns
    -------
    ndarray of float32, shape (n_sounds, n_frames, 256)

    Raises
    ------
    ConsilienceError
        If the package with the weights is not installed.
    """
    mel = np.stack([_mel_bands(sound) for sound in sounds])
    with torch.no_grad():
        states, _ = _layers()(torch.from_numpy(mel))
    result: Array = states.numpy()
    return result


def _mel_bands(sound: Array) -> Array:
    """Return the power in mel bands at a normalised level, shape (n_frames, 40)."""
    level = 10 * np.log10(np.mean(np.square(sound, dtype=np.float64)) + 1e-12)
    normalised = sound * np.float32(10 ** ((LEVEL_DB - level) / 20))
    mel = librosa.feature.melspectrogram(
        y=normalised, sr=RATE_HZ, n_fft=WINDOW, hop_length=HOP, n_mels=MEL_BANDS
    )
    return np.asarray(mel.T, np.float32)


@lru_cache(maxsize=1)
def _layers() -> nn.LSTM:
    folder = package_folder(
        find_spec("resemblyzer"),
        "the voice network's weights are not installed",
        "voice_embedding",
        "pip install --no-deps resemblyzer",
    )
    content = torch.load(folder / "pretrained.pt", map_location="cpu", weights_only=True)
    first_two = {
        name.removeprefix("lstm."): value
        for name, value in content["model_state"].items()
        if name.startswith("lstm.") and name[-1] in "01"
    }
    layers = nn.LSTM(MEL_BANDS, UNITS, num_layers=2, batch_first=True)
    layers.load_state_dict(first_two)
    return layers.eval()
