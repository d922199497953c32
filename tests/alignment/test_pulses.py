import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from consilience.alignment.clock import Clock, Line, Piece
from consilience.alignment.pulses import fit_pulses
from consilience.schema.params.alignment import AlignmentParams
from consilience.windows.layout import Grid, Window, cut

PARAMS = AlignmentParams()
DURATION_S = 70.0


def schedule_s(seed: int = 0, n: int = 25) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).uniform(3, DURATION_S - 3, n))


def worst_error_ms(estimated: Clock | None, true: Line) -> float:
    assert estimated is not None
    times = np.linspace(0, DURATION_S, 20)
    return float(1e3 * np.abs(estimated.to_session(times) - true.to_session(times)).max())


clocks = st.builds(Line, st.floats(-2, 2), st.floats(-300, 300))


@settings(max_examples=50, deadline=None)
@given(clock=clocks, seed=st.integers(0, 2**31))
def test_alignment_inverts_any_clock(clock: Line, seed: int) -> None:
    schedule = schedule_s(seed)
    fit = fit_pulses(clock.to_native(schedule), schedule, PARAMS, (0, DURATION_S))
    assert fit.status == "aligned"
    assert worst_error_ms(fit.clock, clock) < 1e-3


@settings(max_examples=30, deadline=None)
@given(clock=clocks, seed=st.integers(0, 2**31))
@example(Line(0.0, 0.0), 22937)
def test_missing_spurious_and_jittered_pulses_are_tolerated(clock: Line, seed: int) -> None:
    rng = np.random.default_rng(seed)
    schedule = schedule_s(seed)
    pulses = clock.to_native(schedule)[rng.permutation(25)[:20]] + rng.normal(0, 5e-4, 20)
    pulses = np.concatenate([pulses, rng.uniform(0, DURATION_S, 10)])
    fit = fit_pulses(pulses, schedule, PARAMS, (0, DURATION_S))
    assert fit.status == "aligned"
    assert fit.clock is not None
    times = np.linspace(0, DURATION_S, 20)
    error_ms = 1e3 * np.abs(fit.clock.to_session(times) - clock.to_session(times))
    valid = np.isfinite(error_ms)  # three missing pulses in a row make an end invalid
    assert valid.mean() > 0.5
    assert error_ms[valid].max() < 3


@pytest.mark.parametrize("seed", range(5))
def test_the_clock_error_is_below_a_frame(seed: int) -> None:
    schedule, clock = schedule_s(seed), Line(-1.3, 210)
    pulses = (np.ceil(25 * clock.to_native(schedule)) - 0.5) / 25
    fit = fit_pulses(pulses, schedule, PARAMS, (0, DURATION_S), rate_hz=25)
    assert fit.status == "aligned"
    assert worst_error_ms(fit.clock, clock) < 20


def test_order_and_repetition_of_pulses_do_not_matter() -> None:
    schedule = schedule_s()
    pulses = Line(1.0, 50).to_native(schedule)
    shuffled = np.random.default_rng(0).permutation(np.concatenate([pulses, pulses[:4]]))
    fits = [fit_pulses(times, schedule, PARAMS, (0, DURATION_S)) for times in (shuffled, pulses)]
    assert fits[0].clock == fits[1].clock


def test_an_hour_with_drift_is_aligned() -> None:
    rng = np.random.default_rng(0)
    schedule, clock = np.sort(rng.uniform(0, 3600, 400)), Line(1.5, -290)
    pulses = clock.to_native(schedule) + rng.normal(0, 5e-4, 400)
    fit = fit_pulses(pulses, schedule, PARAMS, (0, 3600))
    assert fit.clock is not None
    assert fit.clock.longest.drift_ppm == pytest.approx(-290, abs=0.2)


@pytest.mark.parametrize(
    ("pulses", "schedule", "reason"),
    [
        (np.empty(0), schedule_s(), "no synchronisation pulse was found"),
        (schedule_s(), np.empty(0), "no pulse schedule"),
        (schedule_s()[:2], schedule_s(), "2 of 2 pulses match"),
        (schedule_s() + 300, schedule_s(), "no offset within 5 s"),
        (np.arange(6.0, 50), np.arange(5.0, 50) + np.pi / 7, "equally well"),
    ],
)
def test_an_unaligned_fit_has_a_reason(
    pulses: np.ndarray, schedule: np.ndarray, reason: str
) -> None:
    fit = fit_pulses(pulses, schedule, PARAMS, (0, DURATION_S))
    assert (fit.status, fit.clock) == ("unaligned", None)
    assert reason in (fit.reason or "")


@pytest.mark.parametrize("seed", range(20))
def test_random_pulses_are_never_aligned(seed: int) -> None:
    pulses = np.random.default_rng(1000 + seed).uniform(0, DURATION_S, 25)
    fit = fit_pulses(pulses, schedule_s(seed), PARAMS, (0, DURATION_S))
    assert fit.status == "unaligned"


def test_jitter_beyond_tolerance_is_coarse() -> None:
    schedule = schedule_s()
    pulses = schedule + np.random.default_rng(0).uniform(-0.05, 0.05, 25)
    fit = fit_pulses(pulses, schedule, PARAMS, (0, DURATION_S))
    assert fit.status == "coarse"
    assert "residual" in (fit.reason or "")


def test_anchors_at_one_end_only_are_coarse_for_a_long_recording() -> None:
    schedule = np.sort(np.random.default_rng(0).uniform(0, 5, 12))
    pulses = schedule + np.random.default_rng(1).normal(0, 2e-3, 12)
    assert fit_pulses(pulses, schedule, PARAMS, (0, 5)).status == "aligned"
    fit = fit_pulses(pulses, schedule, PARAMS, (0, 600))
    assert fit.status == "coarse"
    assert "largest standard error" in (fit.reason or "")


@settings(max_examples=15, deadline=None)
@given(line=clocks, reset_s=st.floats(15, 55), lost_s=st.floats(0.05, 2), seed=st.integers(0, 99))
def test_a_signal_with_a_reset_is_restored(
    line: Line, reset_s: float, lost_s: float, seed: int
) -> None:
    """Samples recorded with a clock that was reset are assigned to their true times."""
    schedule = np.cumsum(np.random.default_rng(seed).uniform(0.5, 1.0, 90))
    border = line.to_native(reset_s)
    after = Line(line.offset_s + lost_s, line.drift_ppm)
    true = Clock((Piece(line, -np.inf, border), Piece(after, border + 1e-9)))
    pulses = true.to_native(schedule)
    pulses = pulses[np.isfinite(pulses) & (pulses > 0)]
    frames = np.arange(0, 60, 0.02)
    fit = fit_pulses(pulses, schedule, PARAMS, (0, 60))
    assert fit.status == "aligned"
    assert fit.clock is not None
    values = np.sin(true.to_session(frames))[:, None].astype(np.float32)
    window = Window("s", "t", 3.0, 57.0)
    grid = Grid(50.0, 2700)
    restored = cut(values, frames, fit.clock, [window], grid)[0, :, 0]
    valid = np.isfinite(restored)
    expected = np.where(valid, np.sin(grid.times_s(window)), np.nan)
    np.testing.assert_allclose(restored, expected, atol=2e-3)
    assert valid.mean() > 0.85
