"""Spectrogram in groups of frames."""

from __future__ import annotations

import numpy as np
import pytest

from consilience.core.seeds import generator
from consilience.signals.decimation import decimator
from consilience.signals.spectrogram import (
    Mixture,
    Spectrogram,
    mixed,
    weighted_products,
)

RATE_HZ = 250.0


def spectrogram_of(values: np.ndarray, rate_hz: float = RATE_HZ) -> Spectrogram:
    slow = decimator(rate_hz, (1.0, 45.0), 50.0, 112.5)
    single = values.astype(np.float32)
    return Spectrogram(
        lambda start, stop: single[:, start:stop], single.shape[1], slow, (1.0, 45.0), 1.0, 0.25
    )


def test_groups_are_those_of_one_transform() -> None:
    values = generator("groups").standard_normal((2, round(RATE_HZ * 400)))
    spectrogram = spectrogram_of(values)
    assert [group.stop - group.start for group in spectrogram.groups] == [512, 512, 512, 61]
    parts = np.concatenate([spectrogram.spectra(group) for group in spectrogram.groups], axis=1)
    assert parts == pytest.approx(spectrogram.spectra(slice(0, 1597)), abs=1e-5)
    assert parts.shape == (2, 1597, 2 * 44)
    assert spectrogram.centres_s[:2] == pytest.approx([0.5, 0.748])


def test_an_error_of_the_rate_does_not_move_a_window() -> None:
    # Every second window begins at half a sample.
    slow, exact, fast = (
        spectrogram_of(np.zeros((1, 5000)), rate_hz) for rate_hz in (249.999, 250.0, 250.001)
    )
    assert slow.starts.tolist() == exact.starts.tolist() == fast.starts.tolist()
    assert fast.centres_s == pytest.approx(exact.centres_s * 250 / 250.001, abs=1e-9)


def test_short_recordings_are_transformed_once() -> None:
    reads: list[int] = []
    values = np.zeros((1, round(RATE_HZ * 300)), np.float32)

    def source(start: int, stop: int) -> np.ndarray:
        reads.append(start)
        return values[:, start:stop]

    spectrogram = spectrogram_of(values).of(source)
    for group in (*spectrogram.groups, *spectrogram.groups):
        spectrogram.spectra(group)
    assert len(reads) == len(spectrogram.groups) == 3


def test_only_so_many_groups_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    values = generator("groups").standard_normal((2, round(RATE_HZ * 400)))
    spectrogram = spectrogram_of(values)
    monkeypatch.setattr("consilience.signals.spectrogram.KEPT_BYTES", 2 * 512 * 88 * 4 * 2)
    first, again = ([spectrogram.spectra(g) for g in spectrogram.groups] for _ in range(2))
    assert [a is b for a, b in zip(first, again, strict=True)] == [True, True, False, False]
    assert np.array_equal(first[2], again[2])


def test_frames_over_some_samples_are_found() -> None:
    spectrogram = spectrogram_of(np.zeros((1, 2500)))
    samples = np.zeros(2500, bool)
    samples[1000:1010] = True
    over = spectrogram.overlaps(np.flatnonzero(samples))
    first = spectrogram.starts * 2
    assert over.tolist() == ((first < 1010) & (first + 250 > 1000)).tolist()


@pytest.mark.parametrize("gain", [0.0, 0.3, -2.0, 1e3])
def test_a_mixture_has_the_power_of_the_sum(gain: float) -> None:
    rng = generator("mixture")
    x, n = (rng.standard_normal((3, 5, 8)).astype(np.float32) for _ in range(2))
    weights = rng.random((8, 2))
    both = x + np.float32(gain) * n
    expected = weighted_products(both, both, weights)
    assert expected == pytest.approx(np.square(both.astype(float)) @ weights)
    assert Mixture.of(x, n, weights).power(gain) == pytest.approx(expected, rel=1e-5)


def test_channels_are_combined_at_every_frame_and_frequency() -> None:
    rng = generator("mixed")
    matrix, spectra = rng.random((2, 3)), rng.random((3, 4, 6))
    assert mixed(matrix, spectra) == pytest.approx(np.einsum("ij,jkl->ikl", matrix, spectra))
