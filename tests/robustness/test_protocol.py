from itertools import pairwise

import numpy as np
from scipy.special import softmax

from pipeline.robustness import calibration
from pipeline.robustness.protocol import Condition, conditions
from pipeline.robustness.statistics import interval, subject_weights


def test_every_subset_once_and_five_severities_each() -> None:
    asked = conditions(("eeg", "audio", "video"))
    subsets = [c.modalities for c in asked if c.kind == "subset"]
    assert len(subsets) == len(set(subsets)) == 7
    assert subsets[0] == ("eeg", "audio", "video")
    assert len([c for c in asked if c.kind == "noise"]) == 15


def test_noise_spoils_one_modality_and_a_subset_removes_the_others() -> None:
    noise, subset = Condition("noise", ("audio",), 3), Condition("subset", ("audio",))
    assert [noise.variant(m) for m in ("eeg", "audio")] == ["clean", "noise_3"]
    assert noise.kept(("eeg", "audio")).tolist() == [True, True]
    assert subset.kept(("eeg", "audio")).tolist() == [False, True]
    assert subset.variant("audio") == "clean"


def test_calibration_undoes_overconfidence_and_moves_no_decision() -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(size=(4000, 3))
    target = np.eye(3)[[rng.choice(3, p=p) for p in softmax(honest, -1)]]
    coherence = rng.uniform(size=4000)
    temperature, discount = calibration.fit(
        4 * honest, coherence, target, np.ones(4000), discounted=True
    )
    assert 3.4 < temperature < 4.6
    assert discount < 0.15
    scaled = calibration.scale(4 * honest, coherence, temperature, 0.6)
    np.testing.assert_array_equal(scaled.argmax(1), honest.argmax(1))


def test_discount_is_found_where_incoherence_means_error() -> None:
    rng = np.random.default_rng(1)
    coherence = rng.uniform(size=4000)
    logits = rng.normal(size=(4000, 3)) * 3
    honest = softmax(logits * (1 - 0.7 * (1 - coherence))[:, None], -1)
    target = np.eye(3)[[rng.choice(3, p=p) for p in honest]]
    everyone = np.ones(4000)
    _, discount = calibration.fit(logits, coherence, target, everyone, discounted=True)
    assert 0.5 <= discount <= 0.9
    assert calibration.fit(logits, coherence, target, everyone, discounted=False)[1] == 0


def test_intervals_narrow_with_more_subjects_and_hold_the_estimate() -> None:
    widths = []
    for n_subjects in (6, 24, 96):
        values = np.random.default_rng(2).normal(size=n_subjects)
        weights = subject_weights(n_subjects, 500)
        assert (weights.sum(1) == n_subjects).all()
        estimate, low, high = interval(weights @ values / n_subjects)
        assert low < estimate < high
        np.testing.assert_allclose(estimate, values.mean())
        widths.append(high - low)
    assert all(wide > narrow for wide, narrow in pairwise(widths))
