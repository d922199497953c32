import numpy as np
import pytest

from consilience.annotation.lags import STEP_S, SessionTraces, estimate_lags

LAGS_S = {"quick": 1.1, "usual": 2.45, "slow": 5.8}


def course(seed: int, lags_s: dict[str, float] = LAGS_S, noise: float = 0.3) -> SessionTraces:
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

    said = {name: state(times_s - lag_s) + error() for name, lag_s in lags_s.items()}
    return SessionTraces({name: values[None] for name, values in said.items()}, trials_s)


def test_every_lag_is_found_from_the_borders_of_trials() -> None:
    found = estimate_lags([course(seed) for seed in range(4)], 8.0, 2.0)
    for name, lag_s in LAGS_S.items():
        assert found[name].lag_s == pytest.approx(lag_s, abs=0.15)
        assert found[name].anchored
        assert found[name].sd_s is not None
        assert found[name].sd_s < 0.2
        assert found[name].correlation > found[name].correlation_unshifted + 0.1
        assert found[name].trial_share > found[name].trial_share_unshifted + 0.1


def test_one_alone_has_the_borders_only() -> None:
    found = estimate_lags([course(seed, {"only": 3.2}) for seed in range(4)], 8.0, 2.0)
    assert found["only"].lag_s == pytest.approx(3.2, abs=0.2)
    assert found["only"].correlation is None


def test_without_borders_differences_are_found_and_the_mean_is_the_usual() -> None:
    whole = [SessionTraces(one.said, np.array([[0.0, 200.0]])) for one in map(course, range(4))]
    found = estimate_lags(whole, 8.0, 3.0)
    assert not any(lag.anchored for lag in found.values())
    lags_s = {name: lag.lag_s for name, lag in found.items()}
    assert np.mean(list(lags_s.values())) == pytest.approx(3.0)
    for name in ("quick", "slow"):
        difference_s = LAGS_S[name] - LAGS_S["usual"]
        assert lags_s[name] - lags_s["usual"] == pytest.approx(difference_s, abs=0.1)


def test_traces_of_single_trials_do_not_tell_when_things_change() -> None:
    def cut(one: SessionTraces) -> SessionTraces:
        times_s = np.arange(next(iter(one.said.values())).shape[1]) * STEP_S
        inside = (times_s >= one.trials_s[:, :1]) & (times_s < one.trials_s[:, 1:])
        gaps = {name: np.where(inside.any(axis=0), said, np.nan) for name, said in one.said.items()}
        return SessionTraces(gaps, one.trials_s)

    found = estimate_lags([cut(course(seed)) for seed in range(4)], 4.0, 2.0)
    assert not any(lag.anchored for lag in found.values())


def test_gaps_and_silence_do_no_harm() -> None:
    one = course(0)
    one.said["usual"][:, 100:140] = np.nan
    said = {**one.said, "still": np.zeros_like(one.said["usual"])}
    found = estimate_lags([SessionTraces(said, one.trials_s)], 8.0, 2.0)
    assert found["usual"].lag_s == pytest.approx(LAGS_S["usual"], abs=0.3)
    assert found["usual"].sd_s is None
    assert np.isfinite(found["still"].lag_s)
    assert estimate_lags([], 8.0, 2.0) == {}
    assert estimate_lags([SessionTraces({}, np.empty((0, 2)))], 8.0, 2.0) == {}
