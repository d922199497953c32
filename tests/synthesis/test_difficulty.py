import numpy as np

from consilience.schema.params.synthesis import SynthesisParams
from consilience.synthesis.difficulty import CLASSES, QUADRANTS, RATERS, SHARES
from consilience.synthesis.plan import FILES, sessions


def test_every_class_has_a_quadrant_of_its_own() -> None:
    assert set(QUADRANTS) == set(CLASSES)
    assert len(set(QUADRANTS.values())) == len(CLASSES)


def test_every_modality_has_its_share() -> None:
    assert set(SHARES) == set(FILES)


def test_only_the_subject_has_no_reaction_lag() -> None:
    assert [name for name, rater in RATERS.items() if rater.lag_s == 0] == ["self"]


def test_several_modalities_together_are_closer_to_the_state_than_each_alone() -> None:
    errors: dict[str, list[float]] = {name: [] for name in (*SHARES, "all")}
    for plan in sessions(SynthesisParams()):
        times_s = np.array([(trial.start_s + trial.end_s) / 2 for trial in plan.trials])
        state = plan.state(times_s)
        weight_sum, total = np.zeros((2, 1)), np.zeros_like(state)
        for name, share in SHARES.items():
            weights = np.array([[share.valence], [share.arousal]])
            expressed = plan.expressed(name, times_s)
            errors[name].append(float(np.mean((expressed / weights - state) ** 2)))
            total, weight_sum = total + expressed, weight_sum + weights
        errors["all"].append(float(np.mean((total / weight_sum - state) ** 2)))
    means = {name: np.mean(values) for name, values in errors.items()}
    assert means["all"] < min(means[name] for name in SHARES)
