import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consilience.alignment.clock import Clock
from consilience.schema.params.windows import WindowParams
from consilience.schema.tables import Trials, frame_of
from consilience.windows.layout import (
    Grid,
    Window,
    coverage,
    cut,
    frames_per_window,
    lay_windows,
    recording_names,
)

PARAMS = WindowParams(length_s=4.0, hop_s=2.0)


def trials(*rows: tuple[str, str, float, float]) -> pl.DataFrame:
    names = ("session", "trial", "start_s", "end_s")
    return frame_of([dict(zip(names, row, strict=True)) for row in rows], Trials)


def starts(table: pl.DataFrame, params: WindowParams, **recorded: float) -> list[float]:
    return [window.start_s for window in lay_windows(table, recorded, params)]


def test_a_frame_at_the_wanted_time_is_exact_beside_a_much_larger_one() -> None:
    values = np.array([[1e18], [1.5], [-1e18]], np.float32)
    windows = [Window("s", "t", float(n), n + 1.0) for n in range(3)]
    cut_values = cut(values, np.arange(3) + 0.5, Clock.linear(), windows, Grid(1.0, 1))
    assert np.array_equal(cut_values[:, 0], values)


def test_windows_fill_a_trial_up_to_its_end() -> None:
    assert starts(trials(("s", "t", 1.0, 9.0)), PARAMS) == [1, 3, 5]
    assert starts(trials(("s", "t", 1.0, 8.9)), PARAMS) == [1, 3]
    assert starts(trials(("s", "t", 1.0, 4.9)), PARAMS) == []


def test_without_length_a_trial_is_one_window_of_bounded_length() -> None:
    params = WindowParams(length_s=None, max_length_s=6.0)
    windows = lay_windows(trials(("s", "a", 0, 4), ("s", "b", 5, 15)), {}, params)
    assert [(w.start_s, w.end_s) for w in windows] == [(0, 4), (5, 11)]
    assert frames_per_window(50.0, params) == 300


def test_windows_cross_trial_borders_only_with_cross_trials() -> None:
    table = trials(("s", "a", 1.0, 6.0), ("s", "b", 6.0, 12.0), ("r", "a", 0.0, 4.0))
    across = PARAMS.model_copy(update={"cross_trials": True})
    rows = [(w.session, w.trial, w.start_s) for w in lay_windows(table, {}, across)]
    assert rows == [("r", "a", 0), ("s", "a", 1), ("s", "a", 3), ("s", "b", 5), ("s", "b", 7)]
    assert starts(table, PARAMS) == [0, 1, 6, 8]


def test_a_session_without_trials_is_one_trial() -> None:
    windows = lay_windows(trials(("other", "t", 0, 4)), {"s": 5.0, "other": 9.0}, PARAMS)
    assert [(w.session, w.trial, w.start_s) for w in windows] == [
        ("other", "t", 0),
        ("s", "whole", 0),
    ]


@pytest.mark.parametrize(
    ("end_s", "n_windows"), [(60.0, 6), (59.98, 6), (59.6, 6), (59.4, 5), (69.7, 7), (9.4, 0)]
)
def test_the_last_window_of_a_recording_is_kept(end_s: float, n_windows: int) -> None:
    params = WindowParams(length_s=10.0, hop_s=10.0)
    assert len(lay_windows(trials(), {"s": end_s}, params)) == n_windows
    # A trial's end is stated, not measured.
    assert len(lay_windows(trials(("s", "t", 0, end_s)), {}, params)) == int(end_s / 10)


@pytest.mark.parametrize(("length_s", "end_s"), [(4.0, 4.0), (None, 6.0)])
def test_a_session_without_time_axis_is_one_window(length_s: float | None, end_s: float) -> None:
    params = WindowParams(length_s=length_s, max_length_s=6.0)
    windows = lay_windows(trials(), {"s": np.inf}, params)
    assert [(w.start_s, w.end_s) for w in windows] == [(0, end_s)]


@given(
    rows=st.lists(st.tuples(st.floats(0, 100), st.floats(0, 30)), min_size=1, max_size=6),
    hop_s=st.floats(0.5, 5),
    seed=st.integers(),
)
def test_windows_stay_in_their_trial_for_any_order_of_rows(
    rows: list[tuple[float, float]], hop_s: float, seed: int
) -> None:
    table = trials(*[(f"s{i % 2}", f"t{i}", start, start + d) for i, (start, d) in enumerate(rows)])
    params = WindowParams(length_s=4.0, hop_s=hop_s)
    windows = lay_windows(table, {}, params)
    borders = {row[:2]: row[2:] for row in table.iter_rows()}
    for window in windows:
        first, last = borders[window.session, window.trial]
        assert first <= window.start_s
        assert window.end_s <= last + 1e-6
    shuffled = table.sample(fraction=1, shuffle=True, seed=abs(seed) % 2**32)
    assert lay_windows(shuffled, {}, params) == windows


def test_frames_in_bursts_cover_a_window() -> None:
    times_s = np.cumsum(np.tile([20, 20, 5, 5, 5], 100)) / 600
    windows, grid = [Window("s", "t", 1.0, 5.0)], Grid(25.0, 100)
    frames = cut(np.ones((500, 1), np.float32), times_s, Clock.linear(0, 0), windows, grid)
    assert coverage(frames, windows, grid) == [1]


def test_frames_are_interpolated_at_their_centres_for_any_clock() -> None:
    clock, grid = Clock.linear(offset_s=1.5, drift_ppm=200), Grid(10.0, 40)
    native = np.arange(0, 20, 0.04)
    values = np.stack([clock.to_session(native), -clock.to_session(native)], 1).astype(np.float32)
    windows = [Window("s", "t", 3.0, 7.0), Window("s", "t", 5.0, 9.0)]
    frames = cut(values, native, clock, windows, grid)
    assert frames.shape == (2, 40, 2)
    expected = np.stack([grid.times_s(window) for window in windows])
    np.testing.assert_allclose(frames[..., 0], expected, atol=1e-5)
    np.testing.assert_allclose(frames[..., 1], -expected, atol=1e-5)
    np.testing.assert_array_equal(coverage(frames, windows, grid), [1, 1])


def test_frames_beyond_the_recording_are_missing() -> None:
    grid, native = Grid(10.0, 40), np.arange(0.05, 5, 0.1)
    window = Window("s", "t", 3.0, 7.0)
    frames = cut(np.ones((50, 1), np.float32), native, Clock.linear(), [window], grid)
    assert np.isfinite(frames[0, :20]).all()
    assert np.isnan(frames[0, 20:]).all()
    assert coverage(frames, [window], grid)[0] == pytest.approx(0.5)


def test_a_gap_stays_missing_except_for_half_a_period_at_its_edges() -> None:
    grid, native = Grid(10.0, 40), np.arange(0.05, 4, 0.1)
    values = np.arange(40, dtype=np.float32)[:, None]
    values[10:20] = np.nan
    frames = cut(values, native, Clock.linear(), [Window("s", "t", 0.0, 4.0)], grid)[0, :, 0]
    np.testing.assert_array_equal(np.isnan(frames), np.isnan(values[:, 0]))
    late = cut(values, native + 0.04, Clock.linear(), [Window("s", "t", 0.0, 4.0)], grid)[0, :, 0]
    assert late[0] == 0
    assert late[20] == 20
    assert np.isnan(late[10:20]).all()


@pytest.mark.parametrize("error_s", [-2e-4, 2e-4])
def test_the_error_of_a_clock_does_not_remove_a_frame(error_s: float) -> None:
    # Frames at multiples of their period lie half a period from those of a window.
    grid = Grid(4.0, 16, lookahead_s=0.51)
    windows = [Window("s", "t", 0.0, 4.0), Window("s", "t", 8.0, 12.0)]
    times_s = 0.5 + 0.25 * np.arange(60)
    values = np.sin(times_s)[:, None].astype(np.float32)
    exact = cut(values, times_s, Clock(), windows, grid)
    moved = cut(values, times_s + error_s, Clock(), windows, grid)
    assert np.isnan(exact[0]).sum() == 3
    np.testing.assert_allclose(moved, exact, atol=1e-3)


def test_frames_after_a_short_window_are_padding_and_do_not_reduce_coverage() -> None:
    grid, window = Grid(10.0, 60), Window("s", "t", 0.0, 3.0)
    frames = cut(
        np.ones((50, 1), np.float32), np.arange(0.05, 5, 0.1), Clock.linear(), [window], grid
    )
    assert np.isfinite(frames[0, :30]).all()
    assert np.isnan(frames[0, 30:]).all()
    assert coverage(frames, [window], grid)[0] == 1


def test_no_frame_that_depends_on_later_samples_is_used() -> None:
    clock, grid = Clock.linear(offset_s=0.3, drift_ppm=100), Grid(10.0, 40, lookahead_s=0.5)
    native = np.arange(0, 20, 0.1)
    windows = [Window("s", "t", 3.0, 7.0), Window("s", "t", 5.0, 9.0)]
    for number, window in enumerate(windows):
        received = native[clock.to_session(native) <= window.end_s - 0.5]
        values = np.sin(native)[:, None].astype(np.float32)
        whole = cut(values, native, clock, windows, grid)[number]
        until = cut(values[: len(received)], received, clock, windows, grid)[number]
        np.testing.assert_array_equal(whole, until)
        assert np.isfinite(whole).sum() == 35
        assert coverage(whole[None], [window], grid) == [1]
    assert not np.isfinite(cut(values, native + 6.8, clock, windows[:1], grid)).any()


def test_a_single_frame_is_used_in_every_window_of_its_session() -> None:
    values = np.array([[1, 2]], np.float32)
    windows = [Window("s", "t", 0.0, 4.0), Window("s", "t", 40.0, 44.0)]
    frames = cut(values, np.zeros(1), Clock.linear(), windows, Grid(None, 1))
    np.testing.assert_array_equal(frames, [[[1, 2]], [[1, 2]]])
    frames[0] = 0
    np.testing.assert_array_equal(frames[1], [[1, 2]])


@pytest.mark.parametrize("n", [1, 2])
def test_recordings_of_one_or_two_frames(n: int) -> None:
    values = np.arange(n, dtype=np.float32)[:, None]
    times = np.arange(n) * 0.1
    frames = cut(values, times, Clock.linear(), [Window("s", "t", 0.0, 1.0)], Grid(10.0, 10))[
        0, :, 0
    ]
    assert np.isfinite(frames).sum() == n
    empty = cut(np.full((n, 1), np.nan, np.float32), times, Clock.linear(), [], Grid(10.0, 10))
    assert empty.shape == (0, 10, 1)


@settings(deadline=None)
@given(seed=st.integers(0, 2**31))
def test_values_stay_within_the_observed_range(seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.choice([0.04, 0.04, 0.04, 0.12], 200))
    values = rng.normal(size=(200, 2)).astype(np.float32)
    values[rng.random(200) < 0.1] = np.nan
    clock = Clock.linear(float(rng.uniform(-2, 2)), float(rng.uniform(-300, 300)))
    windows = [Window("s", "t", float(start), float(start) + 2) for start in range(0, 12, 2)]
    frames = cut(values, times, clock, windows, Grid(25.0, 50))
    values_cut = frames[np.isfinite(frames[..., 0])]
    assert values_cut.min() >= np.nanmin(values) - 1e-6
    assert values_cut.max() <= np.nanmax(values) + 1e-6


@given(seed=st.integers(0, 2**31))
def test_windows_do_not_depend_on_the_other_windows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.02, 0.06, 600))
    values = rng.normal(size=(600, 2)).astype(np.float32)
    clock = Clock.linear(float(rng.uniform(-2, 2)), float(rng.uniform(-500, 500)))
    windows = [Window("s", "t", start, start + 2) for start in rng.uniform(-3, 30, 8)]
    grid, order = Grid(25.0, 50), rng.permutation(8)[: rng.integers(1, 9)]
    frames = cut(values, times, clock, [windows[row] for row in order], grid)
    np.testing.assert_array_equal(frames, cut(values, times, clock, windows, grid)[order])


def test_the_clips_of_a_subject_are_one_recording() -> None:
    rows = [("s1", "a"), ("s1", "a"), ("clip1", "a"), ("clip2", "b"), ("clip3", "b")]
    index = pl.DataFrame(rows, ("session", "subject"), orient="row")
    assert recording_names(index).tolist() == ["s1", "s1", "a", "b", "b"]


def test_a_subject_with_the_name_of_a_session_is_another_recording() -> None:
    rows = [("b", "a"), ("b", "a"), ("clip", "b")]
    index = pl.DataFrame(rows, ("session", "subject"), orient="row")
    assert recording_names(index).tolist() == ["b", "b", "subject/b"]
