from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilience.schema.params.synthesis import SynthesisParams
from consilience.synthesis.difficulty import CLASSES, QUADRANTS
from consilience.synthesis.plan import FILES, Clock, random_wave, sessions, smooth_step

DEFAULT = sessions(SynthesisParams())


@given(st.floats(-2, 2), st.floats(-300, 300), st.floats(0, 1e4))
def test_clock_conversions_are_inverse(offset_s: float, drift_ppm: float, time_s: float) -> None:
    clock = Clock(offset_s, drift_ppm)
    native_s = clock.native_s(np.array(time_s))
    assert clock.session_s(native_s) == pytest.approx(time_s, abs=1e-9)
    assert native_s * (1 + drift_ppm * 1e-6) + offset_s == pytest.approx(time_s, abs=1e-9)


def test_classes_are_balanced_within_a_subject() -> None:
    by_subject = {plan.subject: Counter[str]() for plan in DEFAULT}
    for plan in DEFAULT:
        by_subject[plan.subject].update(trial.emotion for trial in plan.trials)
    for counts in by_subject.values():
        assert set(counts) == set(CLASSES)
        assert len(set(counts.values())) == 1


def test_state_lies_in_the_quadrant_of_the_emotion() -> None:
    for plan in DEFAULT:
        for trial in plan.trials:
            times_s = np.linspace(trial.start_s + 1, trial.end_s - 1, 20)
            mean = plan.state(times_s).mean(axis=1)
            assert tuple(np.sign(mean)) == QUADRANTS[trial.emotion]


def test_every_device_records_all_pulses_and_trials() -> None:
    for plan in DEFAULT:
        for modality, clock in plan.clocks.items():
            times_s = np.array([*plan.pulses_s, plan.trials[0].start_s, plan.trials[-1].end_s])
            native_s = clock.native_s(times_s)
            assert native_s.min() > 0
            assert native_s.max() < plan.native_duration_s(modality)


def test_pulses_are_frequent_apart_irregular_and_outside_trials() -> None:
    for plan in DEFAULT:
        assert len(plan.pulses_s) >= 0.3 * plan.end_s
        gaps_s = np.diff(plan.pulses_s)
        assert gaps_s.min() > 0.15
        assert len(set(np.round(gaps_s, 4))) == len(gaps_s)
        for trial in plan.trials:
            assert not ((plan.pulses_s > trial.start_s) & (plan.pulses_s < trial.end_s)).any()


def test_a_pulse_train_matches_itself_at_no_other_offset() -> None:
    """A wrong offset matches less than half of the pulses within half a video frame."""
    for plan in DEFAULT:
        for shift_s in np.arange(0.1, 4.0, 0.01):
            apart = np.abs(plan.pulses_s[:, None] + shift_s - plan.pulses_s).min(axis=1)
            assert (apart < 0.02).mean() < 0.5


def test_about_a_tenth_is_missing_and_a_tenth_faulty() -> None:
    n_recordings = len(DEFAULT) * len(FILES)
    for failures in ([p.missing for p in DEFAULT], [p.faulty for p in DEFAULT]):
        failed = [modality for modality in failures if modality]
        assert 0.05 <= len(failed) / n_recordings <= 0.15
        assert set(failed) == set(FILES)


def test_a_session_does_not_depend_on_the_others() -> None:
    fewer = sessions(SynthesisParams(subjects=2))
    for plan, same in zip(fewer, DEFAULT, strict=False):
        assert plan.name == same.name
        assert plan.trials == same.trials
        assert plan.clocks == same.clocks
        assert (plan.missing, plan.faulty) == (same.missing, same.faulty)
        np.testing.assert_array_equal(plan.pulses_s, same.pulses_s)


def test_random_wave_has_unit_variance_and_depends_on_its_names() -> None:
    times_s = np.linspace(0, 10_000, 100_000)
    wave = random_wave("test", 1)(times_s)
    assert wave.std() == pytest.approx(1, abs=0.02)
    np.testing.assert_array_equal(wave, random_wave("test", 1)(times_s))
    assert abs(np.corrcoef(wave, random_wave("test", 2)(times_s))[0, 1]) < 0.5


def test_smooth_step_lies_after_time_zero() -> None:
    step = smooth_step(np.array([0.0, 0.5, 2.0]))
    assert step == pytest.approx([0.018, 0.5, 1], abs=1e-3)


def test_expression_is_bounded_and_fades_between_trials() -> None:
    plan = DEFAULT[0]
    times_s = np.linspace(0, plan.end_s, 2000)
    for modality in FILES:
        assert np.abs(plan.expressed(modality, times_s)).max() < 1.5
    assert plan.activity(np.array([0.0]))[0] == pytest.approx(0, abs=1e-3)
    middle_s = (plan.trials[0].start_s + plan.trials[0].end_s) / 2
    assert plan.activity(np.array([middle_s]))[0] == pytest.approx(1, abs=1e-3)
