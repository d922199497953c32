from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from consilience.core import registry
from consilience.inputs.base import Series, finite

NAMES = registry.names("inputs")


def windows(n: int, n_frames: int = 30, n_features: int = 7) -> np.ndarray:
    """Return windows with missing frames and values, the last one without any."""
    rng = np.random.default_rng(3)
    values = rng.normal(5, 2, (n, n_frames, n_features)).astype(np.float32)
    values[rng.random((n, n_frames)) < 0.2] = np.nan
    values[rng.random(values.shape) < 0.05] = np.nan
    values[-1] = np.nan
    return values


def test_every_modality_names_registered_inputs_and_some_modality_uses_each() -> None:
    used = {registry.params("modalities", name).INPUTS for name in registry.names("modalities")}
    assert used == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_input_of_a_window_depends_on_no_other_and_on_no_thread(name: str) -> None:
    function, given = registry.get("inputs", name), windows(70)
    together = function(given)
    assert together.dtype == np.float32
    assert together.flags.c_contiguous
    assert np.isfinite(together).all()
    assert (together[-1] == 0).all()
    assert np.array_equal(function(given[::-1])[::-1], together)
    for number in (0, 63, 64, 69):
        assert np.array_equal(function(given[number : number + 1])[0], together[number])
    with threadpool_limits(2):
        assert np.array_equal(function(given), together)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_frames", [1, 2, 30])
def test_no_window_gives_no_input_of_the_same_shape(name: str, n_frames: int) -> None:
    function, given = registry.get("inputs", name), windows(3, n_frames)
    before = given.copy()
    assert function(given[:0]).shape == (0, *function(given).shape[1:])
    assert np.array_equal(given, before, equal_nan=True)


def test_no_function_of_inputs_imports_a_library_of_networks() -> None:
    code = (
        "import sys; from consilience.core import registry\n"
        "for name in registry.names('inputs'): registry.get('inputs', name)\n"
        "libraries = {name.partition('.')[0] for name in sys.modules}\n"
        "assert not libraries & {'torch', 'scipy', 'polars', 'pydantic'}, libraries"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_not_finite_is_0() -> None:
    given = np.array([[1.0, np.nan], [np.inf, -np.inf]], np.float32)
    assert np.array_equal(finite(given), [[1, 0], [0, 0]])
    assert np.isnan(given[0, 1])


def test_a_series_counts_centres_and_averages_valid_frames() -> None:
    given = np.array([[[1.0], [np.nan], [3.0], [8.0]]], np.float32)
    series = Series.of(given)
    assert series.count.tolist() == [[3]]
    assert series.mean(series.values).tolist() == [[4.0]]
    assert series.centred(series.values).tolist() == [[[-3.0, 0.0, -1.0, 4.0]]]


def test_a_step_needs_two_valid_neighbours() -> None:
    steps = Series.of(np.array([[[1.0], [np.nan], [3.0], [8.0]]], np.float32)).steps()
    assert steps.valid.tolist() == [[[False, False, True]]]
    assert steps.values.tolist() == [[[0.0, 0.0, 5.0]]]
