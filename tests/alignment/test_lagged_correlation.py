"""Lagged correlation: values computed by hand, and simulated sensors that share a source."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from consilience.alignment.lagged_correlation import (
    LARGEST,
    LEAST_OVERLAP,
    SHRINKAGE,
    LagPosterior,
    Moments,
    SharedDirections,
    binned,
    evidence_weight,
    lag_log_ratios,
    lag_posterior,
    moments,
    probable_lags,
    shared_directions,
    shift_log_odds,
    standardised,
    steps_per_pair,
    usual_limit,
)

Array = NDArray[np.float64]
MAX_LAG = 8
SINGLE = SharedDirections(np.ones((1, 1)), np.ones((1, 1)), np.array([0.6]))


def test_frames_are_averaged_over_the_steps_of_the_grid() -> None:
    values = np.array([[1.0], [3.0], [5.0], [np.nan], [7.0], [9.0]])
    times_s = np.array([1.0, 1.4, 1.5, 2.0, 2.7, np.nan])
    # Steps of .5 s from 1 s on: the last is before 3.5 s.
    result = binned(values, times_s, 0.5, 2, 5)
    np.testing.assert_array_equal(result[:, 0], [2.0, 5.0, np.nan, 7.0, np.nan])


def test_frames_outside_the_grid_are_left_out() -> None:
    values, times_s = np.arange(4.0)[:, None], np.array([-0.1, 0.0, 0.9, 1.0])
    np.testing.assert_array_equal(binned(values, times_s, 0.5, 0, 2)[:, 0], [1.0, 2.0])


def test_a_frame_lacks_all_features_if_one_is_not_finite() -> None:
    values = np.array([[1.0, np.inf], [2.0, 3.0]])
    result = binned(values, np.array([0.0, 1.0]), 1.0, 0, 2)
    np.testing.assert_array_equal(result, [[np.nan, np.nan], [2.0, 3.0]])


def test_slow_changes_and_units_are_removed() -> None:
    rng = np.random.default_rng(0)
    fast = rng.normal(size=(400, 2))
    slow = np.linspace(0, 50, 400)[:, None]
    result = standardised(1e3 * (fast + slow) + 7.0, 16)
    np.testing.assert_allclose(result[16:-16].std(0), 1, atol=0.1)
    for feature in range(2):
        assert np.corrcoef(result[16:-16, feature], fast[16:-16, feature])[0, 1] > 0.95
    np.testing.assert_allclose(standardised(fast, 16), standardised(-3 * fast, 16) * -1)


def test_a_constant_feature_is_0_and_an_outlier_is_clipped() -> None:
    frames = np.stack([np.full(200, 0.1), np.zeros(200)], 1)
    frames[100, 1] = 1.0
    result = standardised(frames, 16)
    assert (result[:, 0] == 0).all()
    assert result[100, 1] == LARGEST


def test_missing_steps_stay_missing_and_do_not_count() -> None:
    frames = np.sin(np.arange(100.0))[:, None]
    frames[40:45] = np.nan
    result = standardised(frames, 4)
    np.testing.assert_array_equal(np.isnan(result), np.isnan(frames))
    # Around step 38 the window has the steps 34 to 42, of which 34 to 39 are observed.
    expected = (frames[38] - frames[34:40].mean()) / (frames[20] - frames[16:25].mean())
    np.testing.assert_allclose(result[38] / result[20], expected)
    assert np.isnan(standardised(np.full((9, 2), np.nan), 4)).all()


def test_moments_are_those_of_simultaneous_steps_and_add_up() -> None:
    first = np.array([[1.0], [2.0], [np.nan], [3.0]])
    second = np.array([[1.0, 0.0], [0.0, 1.0], [5.0, 5.0], [2.0, 2.0]])
    sums = moments(first, second)
    np.testing.assert_array_equal(sums.first, [[14.0]])
    np.testing.assert_array_equal(sums.second, [[5.0, 4.0], [4.0, 5.0]])
    np.testing.assert_array_equal(sums.cross, [[7.0, 8.0]])
    np.testing.assert_array_equal(sums.reversed_cross, [[5.0, 4.0]])  # 1 (2, 2) + 2 (0, 1) + ...
    np.testing.assert_array_equal(sums.plus(sums).cross, [[14.0, 16.0]])


def sensors(n_steps: int, delay: int = 0, seed: int = 0, share: float = 0.7) -> list[Array]:
    """Return frames of 3 sensors of 5 features, 2 of which share sources; the last is late."""
    rng = np.random.default_rng(seed)
    sources = rng.normal(size=(n_steps + MAX_LAG, 2))
    sources = sources + np.roll(sources, 1, 0)  # neighbouring steps are similar
    frames = []
    for m in range(3):
        mixing = np.random.default_rng(100 + m).normal(size=(2, 5))
        shift = delay if m == 2 else 0
        shown = np.roll(sources, shift, 0)[:n_steps] @ mixing
        frames.append(share * shown + (1 - share) * 3 * rng.normal(size=(n_steps, 5)))
    return [standardised(values, 16) for values in frames]


def directions_of(first: int, second: int, share: float = 0.7) -> SharedDirections:
    """Return the shared directions of two sensors over 20 sessions."""
    total: Moments | None = None
    for seed in range(20):
        frames = sensors(120, seed=1000 + seed, share=share)
        added = moments(frames[first], frames[second])
        total = added if total is None else total.plus(added)
    assert total is not None
    return shared_directions(total)


def test_directions_are_those_of_the_shared_sources() -> None:
    shared = directions_of(0, 1)
    assert shared.first.shape == shared.second.shape == (5, 2)
    first, second, _ = sensors(2000, seed=1)
    for k in range(2):
        x, y = first @ shared.first[:, k], second @ shared.second[:, k]
        assert np.corrcoef(x, y)[0, 1] == pytest.approx(shared.correlation[k], abs=0.1)


def test_unrelated_sensors_share_hardly_any_direction() -> None:
    counts = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        counts.append(len(shared_directions(moments(*rng.normal(size=(2, 500, 5)))).correlation))
    # One of two largest correlations by chance is the larger.
    assert np.mean(counts) < 1
    constant = shared_directions(moments(np.zeros((9, 2)), np.zeros((9, 3))))
    assert constant.first.shape == (2, 0)


def test_a_single_pair_of_features_has_its_correlation() -> None:
    x = np.array([1.0, -1.0, 1.0, -1.0, 0.0, 0.0])[:, None]
    y = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])[:, None]
    shared = shared_directions(moments(x, y))
    # 4 / sqrt(4 * 6), and reversed 0. Shrinkage leaves a single feature as it is.
    assert 0 < SHRINKAGE < 1
    np.testing.assert_allclose(shared.correlation, 4 / np.sqrt(24))


def test_ratios_equal_a_hand_computation() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(40, 1))
    y = 0.5 * np.roll(x, 3, 0) + rng.normal(size=(40, 1))
    ratios = lag_log_ratios(SINGLE, x, y, 4)
    for lag in (-2, 0, 3):
        a, b = (x[: 40 - lag], y[lag:]) if lag >= 0 else (x[-lag:], y[: 40 + lag])
        rho = np.corrcoef(a[:, 0], b[:, 0])[0, 1]
        r = min(max(rho, 0), 0.6)
        n = (40 - abs(lag)) / steps_per_pair(x, y, 8)[0]
        expected = n * (r * (rho - r) / (1 - r**2) - np.log(1 - r**2) / 2)
        assert ratios[lag + 4] == pytest.approx(expected)
    assert (ratios >= 0).all()


def test_a_stronger_correlation_than_that_of_others_counts_more() -> None:
    x = np.random.default_rng(3).normal(size=(100, 1))
    equal = lag_log_ratios(SINGLE, x, x, 0)[0]
    # With a single lag, steps count as independent.
    weaker = 100 * -np.log(1 - 0.6**2) / 2  # of a correlation of exactly .6
    assert equal == pytest.approx(weaker + 100 * 0.6 * (1 - 0.6) / (1 - 0.6**2))


def test_too_few_overlapping_steps_show_nothing() -> None:
    x = np.random.default_rng(4).normal(size=(LEAST_OVERLAP + 2, 1))
    ratios = lag_log_ratios(SINGLE, x, x, 20)
    assert ratios[20] > 0
    assert (ratios[:17] == 0).all()
    assert (ratios[24:] == 0).all()
    missing = np.where(np.arange(len(x))[:, None] < 3, np.nan, x)
    assert (lag_log_ratios(SINGLE, missing, x, 2) == 0).all()


def test_similar_neighbours_count_as_fewer_steps() -> None:
    rng = np.random.default_rng(5)
    white = rng.normal(size=(5000, 1))
    mean_of_four = np.convolve(white[:, 0], np.ones(4), "same")[:, None]
    # Autocorrelations 3/4, 1/2 and 1/4: 1 + 2 (9/16 + 4/16 + 1/16) = 2.75
    np.testing.assert_allclose(steps_per_pair(mean_of_four, mean_of_four, 8), 2.75, atol=0.2)
    np.testing.assert_allclose(steps_per_pair(white, mean_of_four, 8), 1, atol=0.1)
    np.testing.assert_array_equal(steps_per_pair(np.full((9, 2), np.nan), np.ones((9, 2)), 8), 1)


def test_the_limit_is_that_of_outliers_and_at_least_even_odds() -> None:
    odds = np.arange(-2.0, 3.0)  # quartiles -1 and 1
    assert usual_limit(odds) == 4.0
    assert usual_limit(odds - 20) == 0.0
    assert usual_limit(np.zeros(0)) == 0.0
    posterior = LagPosterior(np.array([[0.5, 0.0, 0.3]]), np.zeros((1, 3)))
    assert shift_log_odds(posterior) == pytest.approx(np.log(4))
    for certain in (0.0, 1.0):
        assert np.isfinite(shift_log_odds(LagPosterior(np.array([[certain]]), np.zeros((1, 1)))))


@pytest.mark.parametrize("delay", [-5, -1, 2, 8])
def test_the_ratio_is_largest_at_the_delay(delay: int) -> None:
    frames = sensors(120, delay)
    ratios = lag_log_ratios(directions_of(0, 2), frames[0], frames[2], MAX_LAG)
    assert ratios.argmax() - MAX_LAG == delay


def test_the_weight_is_1_for_independent_frames_and_small_for_chance() -> None:
    in_time = np.zeros((10, 17))
    in_time[:, 8] = 20.0
    assert evidence_weight(in_time, 0.3) == pytest.approx(1, abs=0.01)
    chance = np.random.default_rng(0).exponential(5.0, size=(200, 17))
    assert evidence_weight(chance, 0.3) < 0.05
    assert evidence_weight(np.zeros((0, 17)), 0.3) == 0


def test_a_few_late_sessions_do_not_determine_the_weight() -> None:
    ratios = np.zeros((10, 17))
    ratios[:, 8] = 20.0
    ratios[:2] = np.roll(ratios[:2], 4, 1)
    assert evidence_weight(ratios, 0.3) > 0.2


def ratios_of(n_sensors: int, late: int | None, lag: int) -> dict[tuple[int, int], Array]:
    """Return ratios of 10 nats at the lag of every pair."""
    ratios = {}
    for first in range(n_sensors):
        for second in range(first + 1, n_sensors):
            place = lag if second == late else -lag if first == late else 0
            ratios[first, second] = 10.0 * (np.arange(-MAX_LAG, MAX_LAG + 1) == place)
    return ratios


@pytest.mark.parametrize("late", [0, 1, 2])
@pytest.mark.parametrize("lag", [-3, 4])
def test_of_three_sensors_the_late_one_is_named(late: int, lag: int) -> None:
    posterior = lag_posterior(ratios_of(3, late, lag), 3, 0.3, 0.05)
    ((sensor, (found, gain)),) = probable_lags(posterior).items()
    assert (sensor, found) == (late, lag)
    assert gain == pytest.approx(20)  # both of its pairs


def test_of_two_sensors_each_is_late_relative_to_the_other() -> None:
    found = probable_lags(lag_posterior(ratios_of(2, 1, 3), 2, 0.3, 0.05))
    assert {sensor: lag for sensor, (lag, _) in found.items()} == {0: -3, 1: 3}
    assert [gain for _, gain in found.values()] == pytest.approx([10, 10])


@pytest.mark.parametrize("gain", [2.0, 10.0, 40.0, 900.0])
def test_of_two_sensors_both_are_candidates_however_clear_the_shift_is(gain: float) -> None:
    for lag in range(-MAX_LAG, MAX_LAG + 1):
        ratios = gain * (np.arange(-MAX_LAG, MAX_LAG + 1) == lag)
        named = probable_lags(lag_posterior({(0, 1): ratios}, 2, 0.3, 0.05))
        assert len(named) in (0, 2)


def test_of_three_sensors_two_remain_if_the_third_shares_nothing() -> None:
    ratios = ratios_of(3, 2, 4)
    ratios[0, 2] = ratios[0, 1] = np.zeros(2 * MAX_LAG + 1)
    found = probable_lags(lag_posterior(ratios, 3, 0.3, 0.05))
    assert {sensor: lag for sensor, (lag, _) in found.items()} == {1: -4, 2: 4}


def test_probabilities_equal_a_hand_computation() -> None:
    ratios = {(0, 1): np.log([1.0, 2.0, 8.0])}
    posterior = lag_posterior(ratios, 2, 0.4, 0.1)
    # Relative to no lag: each of 2 sensors and 2 lags has the prior .1, a mismatch .05 and 1 / 2.
    late, early, unrelated, none = 0.1 * 4, 0.1 * 0.5, 0.05 / 2, 0.6 * 0.9
    everything = 2 * (late + early + unrelated) + none
    expected = np.array([[late, 0, early], [early, 0, late]]) / everything
    np.testing.assert_allclose(posterior.probability, expected)
    np.testing.assert_allclose(posterior.gain[1], np.log([0.5, 1, 4]))


def test_sensors_in_time_and_unrelated_ones_have_no_lag() -> None:
    assert probable_lags(lag_posterior(ratios_of(3, None, 0), 3, 0.3, 0.05)) == {}
    nothing = {(0, 1): np.zeros(2 * MAX_LAG + 1)}
    assert probable_lags(lag_posterior(nothing, 2, 0.3, 0.05)) == {}


def test_the_sign_is_that_of_all_lags_together() -> None:
    probability = np.zeros((1, 5))
    probability[0] = [0.15, 0.16, 0.0, 0.32, 0.3]
    gain = np.arange(5.0)[None]
    assert probable_lags(LagPosterior(probability, gain)) == {0: (1, 3.0)}
    assert probable_lags(LagPosterior(probability / 2, gain)) == {}
