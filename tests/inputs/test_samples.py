import numpy as np

from consilience.inputs.samples import inputs


def test_lost_samples_are_zero() -> None:
    windows = np.full((2, 96, 5), np.nan, np.float32)
    windows[0, 10:] = np.arange(5)
    computed = inputs(windows)
    assert computed.shape == (2, 5, 96)
    assert (computed[0, :, :10] == 0).all()
    assert (computed[0, :, 10:] == np.arange(5)[:, None]).all()
    assert (computed[1] == 0).all()
