import numpy as np
import torch

from consilience.encoders.functionals import FUNCTIONALS, FunctionalsEncoder, functionals


def named(windows: torch.Tensor) -> dict[str, np.ndarray]:
    parts = functionals(windows).numpy().reshape(len(windows), len(FUNCTIONALS), -1)
    return {name: parts[:, index] for index, name in enumerate(FUNCTIONALS)}


def test_functionals_equal_numpys_over_the_valid_frames() -> None:
    rng = np.random.default_rng(0)
    windows = rng.normal(size=(5, 12, 3)).astype(np.float32)
    windows[:, [2, 7]] = np.nan
    windows[1, 0, 1] = np.nan
    computed = named(torch.from_numpy(windows))
    np.testing.assert_allclose(computed["mean"], np.nanmean(windows, 1), atol=1e-6)
    np.testing.assert_allclose(computed["std"], np.nanstd(windows, 1), atol=1e-6)
    for quantile in (0.05, 0.25, 0.5, 0.75, 0.95):
        expected = np.nanquantile(windows, quantile, axis=1)
        np.testing.assert_allclose(computed[f"q{int(100 * quantile):02d}"], expected, atol=1e-6)
    steps = np.nanmean(np.abs(np.diff(windows, axis=1)), axis=1)
    np.testing.assert_allclose(computed["mean_step"], steps, atol=1e-6)


def test_slope_of_a_line_survives_missing_frames() -> None:
    line = 3.0 * torch.linspace(0, 1, 11)[None, :, None] + 5
    line[0, [0, 4, 5]] = torch.nan
    np.testing.assert_allclose(named(line)["slope"], 3.0, rtol=1e-5)


def test_prepare_is_finite_even_without_any_observation() -> None:
    windows = torch.full((2, 8, 4), torch.nan)
    windows[1, 3] = 2.0
    encoder = FunctionalsEncoder(4, width=6, dropout=0.0)
    prepared = encoder.prepare(windows)
    assert prepared.isfinite().all()
    assert (prepared[0] == 0).all()
    assert encoder(prepared).shape == (2, 6)


def test_single_frames_are_passed_through() -> None:
    windows = torch.randn(3, 1, 4)
    windows[2] = torch.nan
    prepared = FunctionalsEncoder(4, width=6, dropout=0.0).prepare(windows)
    assert torch.equal(prepared[:2], windows[:2, 0])
    assert (prepared[2] == 0).all()
