"""Voice activity detection by a recurrent network, trained on speech in thousands of languages.

Silero VAD (Silero Team 2024, MIT); the weights are distributed in the package silero-vad. Its code
is not imported, because it imports torch: the network's five layers are computed with NumPy, whose
products of large matrices cost a third of the time that onnxruntime takes for small ones.

The network is recurrent. It runs over segments of 4 s, each after the 2 s before, so that a
probability depends on at most 6 s of the past, and several segments are computed side by side.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import scipy.fft
import scipy.signal
import soxr
from numpy.typing import NDArray

from consilience.core.memo import Memo, active_memo, key_of
from consilience.core.scratch import release
from consilience.pretrained.onnx_weights import read_tensors
from consilience.pretrained.weights import package_folder
from consilience.signals.mixes import Mixes

Array = NDArray[np.float32]

RATE_HZ, BLOCK, CONTEXT = 16000, 512, 64  # of the network's training
WINDOW, HOP = 256, 128  # samples of its spectra: four to a block
STRIDES = (1, 2, 2, 1)  # of the convolutions over the spectra of a block
UNITS = 128
COLUMNS = 8
SEGMENT, WARM_UP = 125, 62  # blocks of a segment, and before it, from which its state is computed
SEGMENTS = 8  # side by side
BLOCKS_AT_ONCE = 500  # encoded at once: bounds memory


class Network(NamedTuple):
    """Weights of the network.

    Attributes
    ----------
    convolutions : list of (ndarray, ndarray)
        Weights, shape (3 * n_inputs, n_outputs), and bias of each.
    inputs : ndarray of float32, shape (128, 512)
    recurrent : ndarray of float32, shape (512, 128)
        Of the recurrent layer: new content, forget, input and output gate. Those of the gates are
        halved, because the logistic function is computed as ``(1 + tanh(x / 2)) / 2``.
    bias : ndarray of float32, shape (512,)
    output : ndarray of float32, shape (128,)
    output_bias : float
    """

    convolutions: list[tuple[Array, Array]]
    inputs: Array
    recurrent: Array
    bias: Array
    output: Array
    output_bias: float


def speech_probability(mixes: Mixes, rate_hz: float, times_s: NDArray[np.float64]) -> Array:
    """Return the probability of speech in some sounds at some times.

    Parameters
    ----------
    mixes : Mixes
        Full scale 1.
    rate_hz : float
    times_s : ndarray of float64, shape (n_times,)
        Seconds from the first sample.

    Returns
    -------
    ndarray of float32, shape (n_mixes, n_times)
        Probability for the block of 32 ms that contains each time.

    Raises
    ------
    ConsilienceError
        If the network's weights are not installed.
    """
    if rate_hz != RATE_HZ:
        parts = [soxr.resample(sound, rate_hz, RATE_HZ, "HQ") for sound in mixes.parts]
        mixes = mixes._replace(parts=parts)
    network = _network()
    n_blocks, n_mixes = -(-mixes.parts[0].size // BLOCK), len(mixes.gains)
    index = (times_s * (RATE_HZ / BLOCK)).astype(int).clip(max=n_blocks - 1)
    memo = active_memo()
    if memo is not None and len(mixes.parts) == 1:
        return _of_stream(mixes.parts[0], network, memo)[index][None]
    probabilities = []
    # Encoded blocks, after those on which the first segment's state depends. The beginning of the
    # sound is preceded by zeros, which leave the state 0.
    encoded = np.zeros((n_mixes, WARM_UP + SEGMENTS * SEGMENT, 4 * UNITS), np.float32)
    for first in range(0, n_blocks, SEGMENTS * SEGMENT):
        stop = min(first + SEGMENTS * SEGMENT, n_blocks)
        for start in range(first, stop, BLOCKS_AT_ONCE):
            end = min(start + BLOCKS_AT_ONCE, stop)
            spectra = [_spectra(sound, start, end) for sound in mixes.parts]
            here = slice(WARM_UP + start - first, WARM_UP + end - first)
            for number, mix in enumerate(mixes.of(spectra)):
                encoded[number, here] = _encoded(_magnitudes(mix), network)
            release(*mixes.parts)
        in_turn = _of_segments(encoded, -(-(stop - first) // SEGMENT), network)
        probabilities.append(in_turn[: stop - first])
        encoded[:, :WARM_UP] = encoded[:, -WARM_UP:].copy()
    result: Array = np.concatenate(probabilities)[index].T
    return result


def _of_stream(sound: Array, network: Network, memo: Memo) -> Array:
    """Return the probabilities of all blocks of a sound, from those of remembered segments."""
    n_blocks = -(-sound.size // BLOCK)
    keys = []
    for start in range(0, n_blocks, SEGMENT):
        first = max((start - WARM_UP) * BLOCK - CONTEXT, 0)
        samples = sound[first : (start + SEGMENT) * BLOCK]
        keys.append(key_of(f"speech {min(start, WARM_UP)}", samples))
    missing = [number for number, key in enumerate(keys) if memo.get(key) is None]
    n_columns = -(-len(missing) // COLUMNS) * COLUMNS
    steps = np.zeros((WARM_UP + SEGMENT, 4 * UNITS, n_columns), np.float32)
    for column, number in enumerate(missing):
        start = number * SEGMENT
        before = min(start, WARM_UP)
        spectra = _spectra(sound, start - before, min(start + SEGMENT, n_blocks))
        encoded = _encoded(_magnitudes(spectra), network)
        steps[WARM_UP - before :, :, column][: len(encoded)] = encoded
    if missing:
        columns = _recurrent(steps, network)[WARM_UP:]
        for column, number in enumerate(missing):
            memo.put(keys[number], (columns[:, column].copy(),))
    probabilities = [arrays[0] for arrays in map(memo.get, keys) if arrays]
    return np.concatenate(probabilities)[:n_blocks]


def _of_segments(encoded: Array, n_segments: int, network: Network) -> Array:
    """Return the probabilities of consecutive segments, shape (n_segments * SEGMENT, n_mixes).

    `encoded` has shape (n_mixes, n_blocks, 512), from `WARM_UP` blocks before the first segment.
    """
    n_mixes, n_used = len(encoded), n_segments * len(encoded)
    # Products of matrices are fastest with a multiple of 8 columns; those added are not used.
    n_columns = 1 if n_used == 1 else -(-n_used // COLUMNS) * COLUMNS
    steps = np.zeros((WARM_UP + SEGMENT, 4 * UNITS, n_columns), np.float32)
    for column, of_mix in enumerate(encoded):
        for segment in range(n_segments):
            blocks = of_mix[segment * SEGMENT :][: len(steps)]
            steps[:, :, column * n_segments + segment] = blocks
    columns = _recurrent(steps, network)[WARM_UP:, :n_used]
    in_turn = columns.reshape(SEGMENT, n_mixes, n_segments).transpose(2, 0, 1)
    return np.asarray(in_turn.reshape(-1, n_mixes))


def _spectra(sound: Array, start: int, stop: int) -> NDArray[np.complex64]:
    """Return the spectra of some blocks, shape (n_blocks, 4, 129)."""
    samples = np.zeros(CONTEXT + (stop - start) * BLOCK, np.float32)
    first = start * BLOCK - CONTEXT
    present = sound[max(first, 0) : stop * BLOCK]
    offset = max(-first, 0)
    samples[offset : offset + present.size] = present
    # Each block is preceded by the last samples of the block before it, and mirrored at its end.
    blocks = np.lib.stride_tricks.sliding_window_view(samples, CONTEXT + BLOCK)[::BLOCK]
    mirrored = np.concatenate([blocks, blocks[:, -2 : -CONTEXT - 2 : -1]], axis=1)
    frames = np.lib.stride_tricks.sliding_window_view(mirrored, WINDOW, axis=1)[:, ::HOP]
    window = scipy.signal.windows.hann(WINDOW, sym=False).astype(np.float32)
    result: NDArray[np.complex64] = scipy.fft.rfft(frames * window, axis=2)
    return result


def _magnitudes(spectra: NDArray[np.complex64]) -> Array:
    squares = np.square(spectra.real)
    squares += np.square(spectra.imag)
    return np.sqrt(squares, out=squares)


def _encoded(magnitudes: Array, network: Network) -> Array:
    """Return what each block adds to the gates of the recurrent layer, shape (n_blocks, 512)."""
    values, n_steps = magnitudes.reshape(len(magnitudes), -1), magnitudes.shape[1]
    for (weights, bias), stride in zip(network.convolutions, STRIDES, strict=True):
        values = _convolved(values, n_steps, weights, bias, stride)
        n_steps = -(-n_steps // stride)
    result: Array = values @ network.inputs + network.bias
    return result


def _convolved(values: Array, n_steps: int, weights: Array, bias: Array, stride: int) -> Array:
    """Convolve over the steps of each block, three at a time, and clip at 0.

    `values` has shape (n_blocks, n_steps * n_inputs), the result (n_blocks, n_results * n_outputs).
    """
    n_inputs, n_outputs = values.shape[1] // n_steps, bias.size
    result = np.empty((len(values), -(-n_steps // stride) * n_outputs), np.float32)
    for place, step in enumerate(range(0, n_steps, stride)):
        # Without the step before the first and that after the last, which are 0.
        first, last = max(step - 1, 0), min(step + 2, n_steps)
        taps = slice((first - step + 1) * n_inputs, (last - step + 1) * n_inputs)
        here = result[:, place * n_outputs : (place + 1) * n_outputs]
        np.add(values[:, first * n_inputs : last * n_inputs] @ weights[taps], bias, out=here)
    return np.maximum(result, 0, out=result)


def _recurrent(encoded: Array, network: Network) -> Array:
    """Return the probabilities of blocks in turn, shape (n_blocks, n_columns).

    `encoded` has shape (n_blocks, 512, n_columns).
    """
    output, content = np.zeros((2, UNITS, encoded.shape[2]), np.float32)
    outputs = np.empty((len(encoded), *output.shape), np.float32)
    buffer = np.concatenate([content, np.empty(encoded.shape[1:], np.float32)])
    content, _, kept, admitted, release = np.split(buffer, 5)
    gates, logistic = buffer[UNITS:], buffer[2 * UNITS :]
    old_and_new, keep_and_admit = buffer[: 2 * UNITS], buffer[2 * UNITS : 4 * UNITS]
    # Each call of NumPy costs more than its arithmetic: as few as possible, in place.
    for block, step in enumerate(encoded):
        np.dot(network.recurrent, output, out=gates)
        gates += step
        np.tanh(gates, out=gates)
        logistic += 1
        logistic *= 0.5
        keep_and_admit *= old_and_new
        np.add(kept, admitted, out=content)
        output = np.multiply(np.tanh(content), release, out=outputs[block])
    logit = network.output @ np.maximum(outputs, 0) + network.output_bias
    result: Array = 1 / (1 + np.exp(-logit))
    return result


@lru_cache(maxsize=1)
def _network() -> Network:
    folder = package_folder(
        find_spec("silero_vad"),
        "the voice detector's weights are not installed",
        "audio",
        "pip install --no-deps silero-vad",
    )
    tensors = read_tensors(folder / "data" / "silero_vad_16k_op15.onnx")
    convolutions = []
    for number in range(len(STRIDES)):
        name = f"model.encoder.{number}.reparam_conv"
        weights = tensors[f"{name}.weight"].transpose(2, 1, 0)
        bias = tensors[f"{name}.bias"]
        convolutions.append((np.ascontiguousarray(weights.reshape(-1, bias.size)), bias))
    layer, last = "model.decoder.rnn", "model.decoder.decoder.2"
    return Network(
        convolutions,
        inputs=np.ascontiguousarray(_gates(tensors[f"{layer}.weight_ih"]).T),
        recurrent=_gates(tensors[f"{layer}.weight_hh"]),
        bias=_gates(tensors[f"{layer}.bias_ih"] + tensors[f"{layer}.bias_hh"]),
        output=tensors[f"{last}.weight"].ravel(),
        output_bias=float(tensors[f"{last}.bias"][0]),
    )


def _gates(stored: Array) -> Array:
    """Return weights of the recurrent layer in the order and scale of `Network`."""
    admit, forget, new, release = np.split(stored, 4)
    return np.concatenate([new, forget / 2, admit / 2, release / 2])
