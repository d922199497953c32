"""The pages of ``docs/evidence``: what held and what did not, and the tables behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.evidence.claims import TWO, Line, bounded, number
from benchmarks.evidence.plan import Experiment
from benchmarks.evidence.results import OUR_METHOD, OURS, Comparison, Outcome, Results, compare
from benchmarks.evidence.scenarios import Scenario

HEADINGS = {
    "all": "all",
    "noise": "corrupted",
    "severe": "severity 5",
    "missing": "missing",
    "mismatch": "mismatch",
    "everything": "all corrupted",
    "grid": "grid",
    "nll": "NLL",
    "ece": "ECE",
    "aurc": "AURC",
    "grid_nll": "grid NLL",
    "grid_ece": "grid ECE",
    "grid_aurc": "grid AURC",
    "mismatch_nll": "conflict NLL",
    "severe_nll": "severity 5 NLL",
    "mismatched_sensor_auroc": "guilty named",
    "corrupted_sensor_auroc": "faulty named",
    "mismatch_auroc": "conflict seen",
    "out_of_distribution_auroc": "strange seen",
    "overconfidence_under_mismatch": "overconfidence_under_mismatch",
    "relative_robustness": "relative robustness",
    "valence_ccc": "valence CCC",
    "valence_rmse": "valence RMSE",
    "arousal_ccc": "arousal CCC",
    "arousal_rmse": "arousal RMSE",
}
ACCURACY = ("all", "noise", "severe", "missing", "mismatch", "everything", "grid")
CONFIDENCE = ("nll", "ece", "aurc", "grid_nll", "grid_ece", "grid_aurc")
DIAGNOSIS = (
    "mismatched_sensor_auroc",
    "corrupted_sensor_auroc",
    "mismatch_auroc",
    "out_of_distribution_auroc",
    "overconfidence_under_mismatch",
)
AFFECT = ("valence_ccc", "valence_rmse", "arousal_ccc", "arousal_rmse")
COMPARED = {"all": 1, "grid": 1, "mismatch": 1, "grid_nll": -1, "grid_ece": -1, "grid_aurc": -1}

CONTROLS = {
    "ravdess_shuffled": "labels shuffled: must sit at chance (.125)",
    "ravdess_random_split": "windows dealt at random: the leak that a split by subject avoids",
    TWO: "split by subject, for comparison",
}

EXPLAINED = """\
Balanced accuracy over the pooled windows of the test subjects, mean over seeds; every subject is
tested once a seed by a model that never saw them. *all*: every sensor there and clean. *no x*, *x
alone*: sensors missing. *corrupted*: mean over sensors, kinds and five severities, the signals
corrupted before their features. *severity 5*: every kind at its worst. *missing*: sensors of single
windows missing at random, mean over five rates. *conflict*: one sensor shows somebody else with
another class. *all corrupted*: every sensor at severity 5 at once. *grid*: mean over every subset,
every sensor's corruptions and every conflict. NLL, ECE and AURC (area under the risk-coverage
curve) after each method's own calibration on validation subjects; lower is better. *guilty named*,
*faulty named*: AUROC of 1 − reliability for the sensor that shows somebody else, or is corrupted at
severity 5. *conflict seen*: AUROC of 1 − coherence. *strange seen*: AUROC of vacuity for windows
with all corrupted. *bolder*: share of conflicts in which the fused reading is more certain than
its most certain sensor.
"""

TRIALS = """\
Before it is tested, every entry is tried as it stands in the plan and with as many other settings
of its own; a method without parameters is tried with other settings of the training. A trial is
one training of all folds with one seed, calibrated like any other. Its score is the cross-entropy
over the fold's **validation subjects**, who also choose the epoch and fit the calibration, the mean
over the grid as it is tested: every subset, every sensor's corruptions, every conflict. The labels
are those the training is told, wrong ones included. Each fold takes what scored best there, so no
subject has a part in the choice of what is tested on it. Cells: the score, mean over folds, and how
many folds chose the setting.
"""


def readme(
    results: Results, lines: Sequence[Line], cost: dict[str, Any], drawn: Sequence[str]
) -> str:
    """Return the first page: every line with its verdict, the controls, where the rest is."""
    held = sum(line.verdict == "held" for line in lines)
    parts = [
        "# Evidence",
        "Written by `make evidence` from the results; not edited by hand. *Held* asks for every "
        "finding of a line: a difference counts if its 95 % interval over resampled subjects "
        "excludes zero and its Wilcoxon signed-rank test over subjects stays below .05 after "
        "Holm's correction for all comparisons made for that line in that experiment.",
        f"**{held} of {len(lines)} lines are held.**",
        table(
            ["", "line", "verdict", "findings held"],
            [
                [
                    str(line.number),
                    f"[{line.title}](#{anchor(line)})",
                    f"**{line.verdict}**",
                    f"{sum(f.held is True for f in line.findings)} of {len(line.findings)}",
                ]
                for line in lines
            ],
        ),
    ]
    for line in lines:
        parts += [f"## {line.number} · {line.title}", f"**{line.verdict.capitalize()}.**"]
        parts.append(
            table(
                ["what", "measured", ""],
                [[f.what, f.measured, VERDICTS[f.held]] for f in line.findings],
            )
        )
    parts += ["## Controls", *_controls(results), "## Experiments", *_links(results, cost)]
    parts += ["## Figures", *(f"![{name}](figures/{name})" for name in drawn)]
    return "\n\n".join(parts) + "\n"


VERDICTS = {True: "held", False: "**missed**", None: "not measured"}


def anchor(line: Line) -> str:
    """Return the link GitHub gives the heading of a line."""
    text = f"{line.number} · {line.title}".lower()
    kept = "".join(letter for letter in text if letter.isalnum() or letter in " -")
    return kept.replace(" ", "-")


def experiment_page(results: Results, name: str) -> str:
    """Return the tables of one experiment."""
    experiment, outcomes = results.experiment(name), results.of(name)
    ours = outcomes.get(OURS)
    parts = [
        f"# {name}",
        f"Corpus {experiment.corpus}, sensors {', '.join(experiment.sensors)}; labels: "
        f"{_told(experiment.scenario)}; settings: {_chosen(experiment)}.",
        EXPLAINED.strip(),
        "## Accuracy",
        _figures(outcomes, (ACCURACY[0], *_sensors(experiment.sensors), *ACCURACY[1:])),
        "## Confidence",
        _figures(outcomes, CONFIDENCE),
        "## Diagnosis",
        _figures(outcomes, DIAGNOSIS),
    ]
    if any(figure in o.figures.sample for o in outcomes.values() for figure in AFFECT):
        parts += ["## Valence and arousal, all sensors", _figures(outcomes, AFFECT)]
    if ours and len(outcomes) > 1:
        others = {key: outcome for key, outcome in outcomes.items() if key != OURS}
        parts += ["## Coherence transfer less each of the others", _compared(ours, others)]
    return "\n\n".join(parts) + "\n"


def ablation_page(results: Results) -> str:
    """Return what each part adds: the full method less the method without it."""
    parts = [
        "# Ablation",
        "Coherence transfer less itself without a part, or with it otherwise, and the 95 % "
        "interval over resampled subjects; **bold**: the interval excludes zero and the corrected "
        "p is below .05. For NLL, ECE and AURC a part that helps makes the difference negative.",
    ]
    for name, outcomes in results.outcomes.items():
        without = {
            key: outcome
            for key, outcome in outcomes.items()
            if key != OURS and outcome.card["method"] == OUR_METHOD
        }
        if OURS in outcomes and without:
            parts += [f"## {name}", _compared(outcomes[OURS], without)]
    return "\n\n".join(parts) + "\n"


def cost_page(results: Results, cost: dict[str, Any]) -> str:
    """Return cost beside accuracy, the hybrid's training as the unit."""
    unit = cost.get("hybrid", {}).get("training_s", float("nan"))
    outcomes = results.of(TWO)
    rows = [
        [
            name.replace("_", " "),
            f"{values['parameters']:,}",
            f"{values['training_s']:.1f}",
            f"{values['training_s'] / unit:.2f}",
            f"{values['reading_ms']:.4f}",
            number(outcomes[name].estimate("all")[0]) if name in outcomes else "–",
            number(outcomes[name].estimate("grid")[0]) if name in outcomes else "–",
        ]
        for name, values in cost.items()
    ]
    heading = ["method", "parameters", "training, s", "× hybrid", "reading, ms", "all", "grid"]
    parts = [
        "# Cost",
        "CPU seconds of one thread. Training: all folds of one seed together, all epochs and the "
        "calibration. Prediction: one window by one model, in batches, its features computed. "
        "Settings as planned.",
        table(heading, rows),
    ]
    return "\n\n".join(parts) + "\n"


def tuning_page(tunings: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what `tuning.tune` tried and chose, by the experiments it was done on."""
    parts = ["# Tuning", TRIALS.strip()]
    for name, tuned in tunings.items():
        rows = [
            [entry.replace("_", " "), *(_trial(found, n) for n in range(len(found["trials"])))]
            for entry, found in tuned.items()
        ]
        trials = [f"trial {number}" for number in range(2, len(rows[0]))]
        parts += [f"## {name}", table(["method", "as planned", *trials], rows)]
    return "\n\n".join(parts) + "\n"


def curve_rows(results: Results) -> dict[str, list[tuple[str, float, str, float]]]:
    """Return the points of the curves: (entry, x, figure, value), by what x is.

    Accuracy with all sensors over the rate of wrong labels (``symmetric``, ``pair``) and the
    number of labelled subjects (``labelled``); the clean experiment gives the curves' ends.
    """
    found: dict[str, list[tuple[str, float, str, float]]] = {}
    for name, outcomes in results.outcomes.items():
        experiment = results.experiment(name)
        if experiment.corpus != "ravdess" or len(experiment.sensors) != 2:
            continue
        for curve, x in _places(experiment.scenario, outcomes):
            points = found.setdefault(curve, [])
            points += [(key, x, "all", o.estimate("all")[0]) for key, o in outcomes.items()]
    return found


def _places(scenario: Scenario, outcomes: dict[str, Outcome]) -> list[tuple[str, float]]:
    if scenario.random_split:
        return []
    if scenario.labelled_subjects:
        return [("labelled", scenario.labelled_subjects)]
    if scenario.noise in ("symmetric", "pair"):
        return [(scenario.noise, scenario.rate)]
    return [("symmetric", 0.0), ("pair", 0.0)] if scenario.noise == "none" else []


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in lines
    )


def _sensors(sensors: Sequence[str]) -> list[str]:
    alone = [f"only_{name}" for name in sensors]
    return alone if len(sensors) < 3 else [f"without_{name}" for name in sensors] + alone


def _heading(figure: str) -> str:
    if figure in HEADINGS:
        return HEADINGS[figure]
    text = figure.replace("without_", "no ").replace("only_", "")
    return text.replace("_", " ") + (" alone" if figure.startswith("only_") else "")


def _figures(outcomes: dict[str, Outcome], wanted: Sequence[str]) -> str:
    known = [n for n in wanted if any(n in o.figures.sample for o in outcomes.values())]
    rows = []
    for name, outcome in outcomes.items():
        cells = [number(outcome.estimate(figure)[0]) for figure in known]
        label = name.replace("_", " ")
        rows.append([f"**{label}**" if name == OURS else label, *cells])
    return table(["method", *map(_heading, known)], rows)


def _compared(ours: Outcome, others: dict[str, Outcome]) -> str:
    found = compare(ours, others, list(COMPARED))
    cells = {(c.other, c.figure): _cell(c) for c in found}
    rows = [
        [name.replace("_", " "), *(cells.get((name, figure), "–") for figure in COMPARED)]
        for name in others
    ]
    return table(["less", *map(_heading, COMPARED)], rows)


def _cell(comparison: Comparison) -> str:
    text = bounded(comparison.paired[:3])
    clear = comparison.ahead(1) or comparison.ahead(-1)
    return f"**{text}**" if clear else text


def _trial(found: Mapping[str, Any], place: int) -> str:
    changes, losses = found["trials"][place]["changes"], found["trials"][place]["loss"]
    settings = {k: v for k, v in changes.items() if k != "training"} | changes.get("training", {})
    said = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in settings.items())
    known = [loss for loss in losses.values() if loss is not None]
    score = f"{np.mean(known):.3f}" if known else "–"
    times = sum(chosen == place for chosen in found["chosen"].values())
    return f"{said}: {score} ({times})".removeprefix(": ")


def _controls(results: Results) -> list[str]:
    rows = [
        [what, entry, bounded(results.of(name)[entry].estimate("all"))]
        for name, what in CONTROLS.items()
        for entry in ("hybrid", OURS)
        if entry in results.of(name)
    ]
    return [table(["control", "method", "balanced accuracy, both sensors"], rows)]


def _links(results: Results, cost: dict[str, Any]) -> list[str]:
    rows = []
    for name, outcomes in results.outcomes.items():
        experiment = results.experiment(name)
        some = next(iter(outcomes.values())).evaluated
        rows.append(
            [
                f"[{name}](tables/{name}.md)",
                ", ".join(experiment.sensors),
                _told(experiment.scenario),
                str(len(some.subjects)),
                str(len(some.seeds)),
                str(len(some.conditions)),
                str(len(outcomes)),
            ]
        )
    heading = ["experiment", "sensors", "labels", "subjects", "seeds", "conditions", "methods"]
    pages = "[Ablation](tables/ablation.md), [tuning](tables/tuning.md)" + (
        ", [cost](tables/cost.md)" if cost else ""
    )
    return [table(heading, rows), f"{pages}, [every figure](tables/results.json)"]


def _told(scenario: Scenario) -> str:
    """Return in a few words what a scenario tells."""
    noise = scenario.noise.replace("_", " ")
    parts = [] if scenario.noise == "none" else [noise]
    parts += [f"{scenario.rate:.0%} wrong"] if scenario.rate else []
    if scenario.labelled_subjects:
        parts.append(f"{scenario.labelled_subjects} training subjects labelled")
    parts += ["split at random"] if scenario.random_split else []
    return ", ".join(parts) or "as they are"


def _chosen(experiment: Experiment) -> str:
    if experiment.chosen_on is None:
        return "as planned"
    return f"[chosen](tuning.md) on the validation subjects of {experiment.chosen_on}"


def summary(results: Results, lines: Sequence[Line]) -> dict[str, Any]:
    """Return everything the pages say as plain values."""
    return {
        "lines": [
            {
                "line": line.number,
                "title": line.title,
                "verdict": line.verdict,
                "findings": [finding._asdict() for finding in line.findings],
            }
            for line in lines
        ],
        "experiments": {
            name: {
                entry: {
                    figure: [float(value) for value in outcome.estimate(figure)]
                    for figure in outcome.figures.sample
                }
                | _label_errors(outcome)
                for entry, outcome in outcomes.items()
            }
            for name, outcomes in results.outcomes.items()
        },
    }


def _label_errors(outcome: Outcome) -> dict[str, list[float]]:
    areas = outcome.label_error_auroc
    return {} if areas is None else {"label_error_auroc_runs": np.round(areas, 4).tolist()}
