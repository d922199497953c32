from __future__ import annotations

import numpy as np

from consilience.inputs.functionals import FUNCTIONALS, QUANTILES, functionals, inputs


def named(windows: np.ndarray) -> dict[str, np.ndarray]:
    rows = functionals(windows).reshape(len(windows), len(FUNCTIONALS), -1)
    return {name: rows[:, index] for index, name in enumerate(FUNCTIONALS)}


def test_functionals_equal_numpys_over_the_valid_frames() -> None:
    rng = np.random.default_rng(0)
    windows = rng.normal(size=(5, 12, 3)).astype(np.float32)
    windows[:, [2, 7]] = np.nan
    windows[1, 0, 1] = np.inf
    computed = named(windows)
    windows[1, 0, 1] = np.nan
    exact = windows.astype(np.float64)
    np.testing.assert_allclose(computed["mean"], np.nanmean(exact, 1), atol=1e-6)
    np.testing.assert_allclose(computed["std"], np.nanstd(exact, 1), atol=1e-6)
    for quantile in QUANTILES:
        expected = np.nanquantile(exact, quantile, axis=1)
        np.testing.assert_allclose(computed[f"q{int(100 * quantile):02d}"], expected, atol=1e-6)
    steps = np.nanmean(np.abs(np.diff(exact, axis=1)), axis=1)
    np.testing.assert_allclose(computed["mean_step"], steps, atol=1e-6)


def test_the_slope_is_that_of_a_least_squares_line() -> None:
    windows = np.random.default_rng(1).normal(size=(1, 40, 2)).astype(np.float32)
    windows[0, [3, 20, 21], 1] = np.nan
    time = np.linspace(-0.5, 0.5, 40)
    for feature, slope in enumerate(named(windows)["slope"][0]):
        values = windows[0, :, feature].astype(np.float64)
        valid = np.isfinite(values)
        expected = np.polyfit(time[valid], values[valid], 1)[0]
        np.testing.assert_allclose(slope, expected, atol=1e-6)


def test_slope_of_a_line_survives_missing_frames() -> None:
    line = np.float32(3) * np.linspace(0, 1, 11, dtype=np.float32)[None, :, None] + np.float32(5)
    line[0, [0, 4, 5]] = np.nan
    np.testing.assert_allclose(named(line)["slope"], 3.0, rtol=1e-5)


def test_inputs_are_finite_even_without_any_observation() -> None:
    windows = np.full((2, 8, 4), np.nan, np.float32)
    windows[1, 3] = 2.0
    computed = inputs(windows).reshape(2, len(FUNCTIONALS), 4)
    assert (computed[0] == 0).all()
    constant = {"mean", *(name for name in FUNCTIONALS if name.startswith("q"))}
    for name, row in zip(FUNCTIONALS, computed[1], strict=True):
        assert (row == (2.0 if name in constant else 0.0)).all(), name


def test_single_frames_are_passed_through() -> None:
    windows = np.random.default_rng(2).normal(size=(3, 1, 4)).astype(np.float32)
    windows[2] = np.nan
    computed = inputs(windows)
    assert np.array_equal(computed[:2], windows[:2, 0])
    assert (computed[2] == 0).all()
