import numpy as np

from consilience.inputs.spectrogram import inputs

BANDS = 4


def windows(n: int, n_frames: int) -> np.ndarray:
    return np.random.default_rng(2).normal(size=(n, n_frames, BANDS)).astype(np.float32)


def test_frames_that_were_observed_fill_the_window() -> None:
    given = windows(1, 6)
    given[0, 0] = np.nan
    given[0, 3, 1] = np.nan
    assert np.array_equal(inputs(given)[0].T, given[0, [1, 2, 4, 5, 1, 2]])


def test_padding_changes_neither_mean_nor_deviation() -> None:
    short = windows(3, 12)
    repeated = inputs(np.concatenate([short, np.full_like(short, np.nan)], 1))
    np.testing.assert_allclose(repeated.mean(-1), short.mean(1), atol=1e-6)
    np.testing.assert_allclose(repeated.std(-1), short.std(1), atol=1e-6)


def test_a_window_in_which_nothing_was_observed_is_zero() -> None:
    assert (inputs(np.full((2, 24, BANDS), np.nan, np.float32)) == 0).all()
