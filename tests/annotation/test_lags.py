import numpy as np
import pytest

from consilience.annotation.lags import STEP_S, SessionTraces, estimate_lags

LAGS_S = {"quick": 1.1, "usual": 2.45, "slow": 5.8}


def session(seed: int, lags_s: dict[str, float] = LAGS_S, noise: float = 0.3) -> SessionTraces:
    """Return traces of 8 trials with a constant state each, late by the annotators' lags."""
    rng = np.random.default_rng(seed)
    starts_s = np.cumsum(rng.uniform(9, 14, 8))
    trials_s = np.stack([starts_s, starts_s + 7.5], axis=1)
    levels = rng.choice([-1.0, 1.0], 8) * rng.uniform(0.5, 1, 8)
    times_s = np.arange(0, trials_s[-1, 1] + 12, STEP_S)

    def state(at_s: np.ndarray) -> np.ndarray:
        inside = (at_s >= trials_s[:, :1]) & (at_s < trials_s[:, 1:])
        return levels @ inside

    def error() -> np.ndarray:
        waves = np.sin(rng.uniform(0.3, 2, (6, 1)) * times_s + rng.uniform(0, 6, (6, 1)))
        return noise * waves.mean(axis=0)

    traces = {name: state(times_s - lag_s) + error() for name, lag_s in lags_s.items()}
    return SessionTraces({name: values[None] for name, values in traces.items()}, trials_s)


def test_lags_are_estimated_from_trial_borders() -> None:
    lags = estimate_lags([session(seed) for seed in range(4)], 8.0, 2.0)
    for name, lag_s in LAGS_S.items():
        assert lags[name].lag_s == pytest.approx(lag_s, abs=0.15)
        assert lags[name].anchored
        assert lags[name].sd_s is not None
        assert lags[name].sd_s < 0.2
        assert lags[name].correlation > lags[name].correlation_unshifted + 0.1
        assert lags[name].trial_share > lags[name].trial_share_unshifted + 0.1


def test_a_single_annotators_lag_is_estimated_from_borders_only() -> None:
    lags = estimate_lags([session(seed, {"only": 3.2}) for seed in range(4)], 8.0, 2.0)
    assert lags["only"].lag_s == pytest.approx(3.2, abs=0.2)
    assert lags["only"].correlation is None


def test_without_borders_the_mean_lag_is_the_usual_one() -> None:
    whole = [SessionTraces(one.traces, np.array([[0.0, 200.0]])) for one in map(session, range(4))]
    lags = estimate_lags(whole, 8.0, 3.0)
    assert not any(lag.anchored for lag in lags.values())
    lags_s = {name: lag.lag_s for name, lag in lags.items()}
    assert np.mean(list(lags_s.values())) == pytest.approx(3.0)
    for name in ("quick", "slow"):
        difference_s = LAGS_S[name] - LAGS_S["usual"]
        assert lags_s[name] - lags_s["usual"] == pytest.approx(difference_s, abs=0.1)


def test_traces_that_stop_at_borders_do_not_anchor_the_lags() -> None:
    def cut(one: SessionTraces) -> SessionTraces:
        times_s = np.arange(next(iter(one.traces.values())).shape[1]) * STEP_S
        inside = (times_s >= one.trials_s[:, :1]) & (times_s < one.trials_s[:, 1:])
        gaps = {
            name: np.where(inside.any(axis=0), trace, np.nan) for name, trace in one.traces.items()
        }
        return SessionTraces(gaps, one.trials_s)

    lags = estimate_lags([cut(session(seed)) for seed in range(4)], 4.0, 2.0)
    assert not any(lag.anchored for lag in lags.values())


def test_gaps_and_constant_traces_are_tolerated() -> None:
    one = session(0)
    one.traces["usual"][:, 100:140] = np.nan
    traces = {**one.traces, "constant": np.zeros_like(one.traces["usual"])}
    lags = estimate_lags([SessionTraces(traces, one.trials_s)], 8.0, 2.0)
    assert lags["usual"].lag_s == pytest.approx(LAGS_S["usual"], abs=0.3)
    assert lags["usual"].sd_s is None
    assert np.isfinite(lags["constant"].lag_s)
    assert estimate_lags([], 8.0, 2.0) == {}
    assert estimate_lags([SessionTraces({}, np.empty((0, 2)))], 8.0, 2.0) == {}
