import numpy as np
import torch

from consilience.encoders.moments import MomentsEncoder


def test_prepare_returns_mean_and_deviation_of_the_valid_frames() -> None:
    windows = np.random.default_rng(0).normal(size=(3, 10, 4)).astype(np.float32)
    windows[0, [2, 7]] = np.nan
    prepared = MomentsEncoder(4, 6, 0.0).prepare(torch.from_numpy(windows)).numpy()
    expected = np.concatenate([np.nanmean(windows, 1), np.nanstd(windows, 1)], 1)
    np.testing.assert_allclose(prepared, expected, atol=1e-6)


def test_a_window_without_observation_is_0() -> None:
    prepared = MomentsEncoder(2, 6, 0.0).prepare(torch.full((1, 5, 2), torch.nan))
    assert torch.equal(prepared, torch.zeros(1, 4))
