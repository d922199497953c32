import numpy as np

from consilience.inputs.moments import inputs


def test_inputs_are_mean_and_deviation_of_the_valid_frames() -> None:
    windows = np.random.default_rng(0).normal(size=(3, 10, 4)).astype(np.float32)
    windows[0, [2, 7]] = np.nan
    expected = np.concatenate([np.nanmean(windows, 1), np.nanstd(windows, 1)], 1)
    np.testing.assert_allclose(inputs(windows), expected, atol=1e-6)


def test_a_window_without_observation_is_0() -> None:
    assert np.array_equal(inputs(np.full((1, 5, 2), np.nan, np.float32)), np.zeros((1, 4)))
