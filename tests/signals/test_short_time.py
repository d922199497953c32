"""Short-time Fourier transform at a few frequencies."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal

from consilience.core.seeds import generator
from consilience.signals.short_time import frame_starts, multiples_hz, short_time_spectra


def test_it_is_the_transform_of_hann_windows() -> None:
    values = generator("spectra").standard_normal((2, 600))
    starts = np.array([0, 31, 62, 475])
    hz = multiples_hz(1.0, 1, 45)
    spectra = short_time_spectra(values.astype(np.float32), starts, 125.0, 125, tuple(hz))
    window = scipy.signal.windows.hann(125, sym=False)
    frames = np.stack([values[:, start : start + 125] * window for start in starts], axis=1)
    expected = np.fft.rfft(frames)[:, :, 1:45] * np.sqrt(2 / (125 * np.sum(window**2)))
    real, imaginary = np.split(spectra, 2, axis=2)
    assert real == pytest.approx(expected.real, abs=1e-5)
    assert imaginary == pytest.approx(-expected.imag, abs=1e-5)


@pytest.mark.parametrize("rate_hz", [113.78, 125.0, 128.0])
def test_the_squares_of_a_sine_sum_to_its_power(rate_hz: float) -> None:
    sine = 3 * np.sin(2 * np.pi * 10.4 * np.arange(2000) / rate_hz)[np.newaxis]
    size = round(rate_hz)
    starts = frame_starts(2000, rate_hz, size, 0.25)
    hz = tuple(multiples_hz(1.0, 1, 45))
    spectra = short_time_spectra(sine.astype(np.float32), starts, rate_hz, size, hz)
    assert (spectra**2).sum(axis=2) == pytest.approx(4.5, rel=0.01)


def test_frequencies_are_multiples_from_one_edge_to_below_the_other() -> None:
    assert multiples_hz(1.0, 1.0, 4.0).tolist() == [1, 2, 3]
    assert multiples_hz(0.5, 3.0, 8.0).tolist() == [4, 6]
    assert multiples_hz(2.0, 1.2, 2.1).tolist() == [1.5, 2.0]


@pytest.mark.parametrize(("n_samples", "last"), [(1000, 875), (1030, 875), (1032, 906)])
def test_every_frame_lies_within_the_signal(n_samples: int, last: int) -> None:
    starts = frame_starts(n_samples, 125.0, 125, 0.25)
    assert starts[:3].tolist() == [0, 31, 62]
    assert starts[-1] == last
