import numpy as np

from consilience.schema.params.synthesis import SynthesisParams
from consilience.synthesis.annotators import annotation_rows
from consilience.synthesis.difficulty import CLASSES, RATERS
from consilience.synthesis.plan import sessions

PLANS = sessions(SynthesisParams(subjects=6))
ROWS = {plan.name: annotation_rows(plan) for plan in PLANS}


def test_raters_are_mostly_but_not_always_right() -> None:
    is_right: dict[str, list[bool]] = {name: [] for name in RATERS}
    for plan in PLANS:
        truth = {trial.start_s: trial.emotion for trial in plan.trials}
        for row in ROWS[plan.name]:
            if row["target"] == "emotion":
                assert row["label"] in CLASSES
                is_right[str(row["annotator"])].append(
                    row["label"] == truth[float(str(row["start_s"]))]
                )
    for name, answers in is_right.items():
        assert 0.45 < np.mean(answers) < 0.97, name
        assert len(answers) < 8 * len(PLANS), "every rater skips some trials"


def test_traces_follow_the_state_with_the_raters_lag() -> None:
    lags_s = np.arange(0, 4, 0.25)
    for name in set(RATERS) - {"self"}:
        similarity = np.zeros(len(lags_s))
        for plan in PLANS:
            trace = [
                (float(row["start_s"]), float(row["value"]))  # type: ignore[arg-type]
                for row in ROWS[plan.name]
                if row["annotator"] == name and row["target"] == "arousal"
            ]
            times_s, values = np.array(trace).T
            states = [plan.state(times_s - lag_s)[1] for lag_s in lags_s]
            similarity += [np.corrcoef(values, state)[0, 1] for state in states]
        assert abs(lags_s[similarity.argmax()] - RATERS[name].lag_s) <= 0.25


def test_self_reports_are_per_trial() -> None:
    for plan in PLANS:
        spans = {(trial.start_s, trial.end_s) for trial in plan.trials}
        reports = [row for row in ROWS[plan.name] if row["annotator"] == "self"]
        assert {row["target"] for row in reports} == {"emotion", "valence", "arousal"}
        assert all((row["start_s"], row["end_s"]) in spans for row in reports)
