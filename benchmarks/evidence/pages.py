"""The pages of evidence: every claim with its verdict, and the tables behind it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.evidence import plots
from benchmarks.evidence.claims import TWO, Claim, claims
from benchmarks.evidence.markdown import anchor, bounded, number, table
from benchmarks.evidence.plan import Experiment
from benchmarks.evidence.results import METHOD, Comparison, Outcome, Results, compare, worst_quarter
from benchmarks.evidence.scenarios import Scenario
from consilience.core.files import atomic_folder, write_json

HEADINGS = {
    "all": "all",
    "noise": "corrupted",
    "severe": "severity 5",
    "severe_held_out": "severity 5, held-out kinds",
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
    "mismatch_nll": "mismatch NLL",
    "severe_nll": "severity 5 NLL",
    "mismatched_sensor_auroc": "mismatched sensor",
    "mismatched_sensor_accuracy": "mismatched sensor identified",
    "bad_sensor_auroc": "bad sensor or ambiguous",
    "corrupted_sensor_auroc": "corrupted sensor",
    "mismatch_auroc": "mismatch detected",
    "out_of_distribution_auroc": "out of distribution",
    "overconfidence_under_mismatch": "overconfident",
    "relative_robustness": "relative robustness",
    "valence_ccc": "valence CCC",
    "valence_rmse": "valence RMSE",
    "arousal_ccc": "arousal CCC",
    "arousal_rmse": "arousal RMSE",
    "set_coverage": "sets cover",
    "set_size": "classes per set",
    "severe_set_coverage": "severity 5: cover",
    "severe_set_size": "classes",
    "mismatch_set_coverage": "mismatch: cover",
    "mismatch_set_size": "classes",
    "valence_coverage": "valence covered",
    "arousal_coverage": "arousal covered",
}
ACCURACY = (
    "all",
    "noise",
    "severe",
    "severe_held_out",
    "missing",
    "mismatch",
    "everything",
    "grid",
)
CONFIDENCE = ("nll", "ece", "aurc", "grid_nll", "grid_ece", "grid_aurc")
DETECTION = (
    "mismatched_sensor_auroc",
    "mismatched_sensor_accuracy",
    "corrupted_sensor_auroc",
    "mismatch_auroc",
    "bad_sensor_auroc",
    "out_of_distribution_auroc",
    "overconfidence_under_mismatch",
)
AFFECT = (
    *("valence_ccc", "valence_rmse", "valence_coverage"),
    *("arousal_ccc", "arousal_rmse", "arousal_coverage"),
)
COVERAGE = tuple(
    f"{condition}set_{figure}"
    for condition in ("", "severe_", "mismatch_")
    for figure in ("coverage", "size")
)
COMPARED = {"all": 1, "grid": 1, "mismatch": 1, "grid_nll": -1, "grid_ece": -1, "grid_aurc": -1}
VERDICTS = {True: "held", False: "**missed**", None: "not measured"}
ANNEX = "demo_clean"  # simulated recordings, which no claim uses

CONTROLS = {
    "ravdess_shuffled": "labels shuffled: accuracy must be at chance (.125)",
    "ravdess_random_split": "windows split at random: the leak that a split by subject avoids",
    TWO: "split by subject, for comparison",
}

INTRODUCTION = """\
Written by `make evidence` from the results; not edited by hand. Real recordings, folds by person, 3
seeds; every method has the running baseline of the person, the same second training and a
calibration on the same windows. A claim is *held* if all of its lines are, or as many as its row
requires. The first table lists every line that is missed under its claim. A line that states a lead
holds if the 95 % interval over resampled people excludes zero and Wilcoxon's signed-rank test over
people is below .05 after Holm's correction for all comparisons of this page. *Not behind* is
non-inferiority: the interval lies above the margin.
"""

EXPLAINED = """\
Balanced accuracy over the pooled windows of the test subjects, mean over seeds; every subject is
tested once per seed by a model that was not trained on them. *all*: every sensor available and
clean. *no x*, *x alone*: sensors missing. *corrupted*: mean over sensors, kinds and five
severities, the signals corrupted before their features are computed. *severity 5*: every kind at
its highest severity; *held-out kinds*: those that training and calibration never use. *missing*:
sensors of single windows missing at random, mean over five rates. *mismatch*: one sensor's data
come from another subject with another class. *all corrupted*: every sensor at severity 5 at once.
*grid*: mean over every subset, every sensor's corruptions and every mismatch. NLL, ECE and AURC
(area under the risk-coverage curve) after each method's own calibration on validation subjects;
lower is better. *mismatched sensor*, *corrupted sensor*: AUROC of 1 − reliability for the sensor
that is mismatched, or corrupted at severity 5; *identified*: share of mismatches in which that
sensor is the least reliable. *mismatch detected*: AUROC of 1 − coherence. *out of distribution*:
AUROC of vacuity for windows with all sensors corrupted. *overconfident*: share of mismatches in
which the fused prediction is more confident than its most confident sensor alone. *cover*: share
of windows whose class is in the prediction set, or whose valence or arousal is in the interval; the
aim is .9 for clean windows, with thresholds from clean windows of each fold's validation subjects.
"""

TRIALS = """\
Every entry is tried with its planned settings and with the same number of other settings of its
own; a method without parameters is tried with other settings of the training. A trial is one
training of all folds with one seed, calibrated like any other, but without the second training,
which uses validation people. Its score is the cross-entropy over the fold's **validation
subjects**, who also choose the epoch and fit the calibration, as a mean over the test grid: every
subset, every sensor's corruptions, every mismatch. The labels are those of the training, wrong ones
included. Each fold takes the settings with the best score, so that no subject influences the choice
of what is tested on it. Cells: the score, mean over folds, and how many folds chose the setting.
"""


def write(
    folder: Path,
    results: Results,
    tuning: Mapping[str, Mapping[str, Any]],
    cost: Mapping[str, Any],
) -> list[Claim]:
    """Write ``README.md``, ``tables`` and ``figures`` into a folder; return the claims.

    Parameters
    ----------
    folder : Path
        Replaced as a whole.
    results : Results
    tuning : mapping of experiment to dict
        What `tuning.tune` returned for each.
    cost : mapping of entry to dict
        What `cost.measure` returned; empty if it was not measured.
    """
    reached = claims(results, dict(cost))
    pages = {name: experiment_page(results, name, tuning) for name in results.outcomes}
    pages |= {"ablation": ablation_page(results), "tuning": tuning_page(tuning)}
    pages |= {"cost": cost_page(results, cost)} if cost else {}
    with atomic_folder(folder) as aside:
        for name in ("tables", "figures"):
            (aside / name).mkdir()
        for name, text in pages.items():
            (aside / "tables" / f"{name}.md").write_text(text)
        write_json(aside / "tables" / "results.json", summary(results, reached))
        drawn = plots.draw(results, aside / "figures")
        (aside / "README.md").write_text(readme(results, reached, cost, drawn))
    return reached


def readme(
    results: Results, reached: Sequence[Claim], cost: Mapping[str, Any], drawn: Sequence[str]
) -> str:
    """Return the first page: every claim with its verdict, the controls, links to the rest."""
    held = sum(claim.verdict == "held" for claim in reached)
    parts = [
        "# Evidence",
        INTRODUCTION.strip(),
        f"**{held} of {len(reached)} claims are held.**",
        table(["", "claim, and its missed lines", "verdict", "lines held"], _overview(reached)),
        *_not_run(results),
    ]
    for claim in reached:
        rows = [
            [f.what, f.measured, "" if f.people is None else str(f.people), VERDICTS[f.held]]
            for f in claim.findings
        ]
        parts += [f"## {_heading_of(claim)}", f"**{claim.verdict.capitalize()}.**"]
        parts.append(table(["line", "measured", "people", ""], rows))
    parts += ["## Controls", _controls(results), "## Experiments", *_links(results, cost)]
    if ANNEX in results.outcomes:
        link = (
            f"[Simulated recordings](tables/{ANNEX}.md) of EEG, voice and face; no claim uses them."
        )
        parts += ["## Annex", link]
    parts += ["## Figures", *(f"![{name}](figures/{name})" for name in drawn)]
    return "\n\n".join(parts) + "\n"


def _overview(reached: Sequence[Claim]) -> list[list[str]]:
    """Return a row for every claim, followed by one for each of its missed lines."""
    rows = []
    for claim in reached:
        n_held = sum(finding.held is True for finding in claim.findings)
        least = f", {claim.least} required" if claim.least else ""
        rows.append(
            [
                str(claim.number),
                f"[{claim.title}](#{anchor(_heading_of(claim))})",
                f"**{claim.verdict}**",
                f"{n_held} of {len(claim.findings)}{least}",
            ]
        )
        rows += [["", f"{f.what}: {f.measured}", "missed", ""] for f in claim.missed]
    return rows


def _not_run(results: Results) -> list[str]:
    """Return lines on the experiments and entries that are planned and have not been run."""
    missing = [name for name in results.planned if name not in results.outcomes]
    lines = (
        [f"**Not run yet:** {', '.join(missing)}. `make evidence` runs them."] if missing else []
    )
    entries = {name: results.missing(name) for name in results.outcomes}
    of_experiments = [f"{name}: {', '.join(names)}" for name, names in entries.items() if names]
    if of_experiments:
        lines.append(
            "**Entries not run yet;** the best peer is the best of those that were run. "
            + "; ".join(of_experiments)
            + "."
        )
    return lines


def _heading_of(claim: Claim) -> str:
    return f"{claim.number} · {claim.title}"


def experiment_page(results: Results, name: str, tuned: Collection[str]) -> str:
    """Return the tables of one experiment; `tuned` names those on which settings were chosen."""
    experiment, outcomes = results.experiment(name), results.of(name)
    method = outcomes.get(METHOD)
    parts = [
        f"# {name}",
        f"Corpus {experiment.corpus}, sensors {', '.join(experiment.sensors)}; labels: "
        f"{_labels(experiment.scenario)}; settings: {_chosen(experiment, tuned)}.",
        f"    dvc --cd benchmarks/evidence repro experiment@{name}",
        EXPLAINED.strip(),
        "## Accuracy",
        _figures(outcomes, (ACCURACY[0], *_sensors(experiment.sensors), *ACCURACY[1:])),
        "## Confidence",
        _figures(outcomes, CONFIDENCE),
        "## Coverage of prediction sets",
        _figures(outcomes, COVERAGE),
        "## Detection",
        _figures(outcomes, DETECTION),
    ]
    if worst := worst_quarter(outcomes):
        rows = [[entry.replace("_", " "), number(value)] for entry, value in worst.items()]
        parts += [
            "## The quarter of people that is hardest for concatenation",
            table(["method", "all"], rows),
        ]
    if any(figure in o.figures.sample for o in outcomes.values() for figure in AFFECT):
        parts += ["## Valence and arousal, all sensors", _figures(outcomes, AFFECT)]
    if method and len(outcomes) > 1:
        others = {key: outcome for key, outcome in outcomes.items() if key != METHOD}
        parts += ["## Coherence transfer less each of the others", _compared(method, others)]
    return "\n\n".join(parts) + "\n"


def ablation_page(results: Results) -> str:
    """Return the gain of each part: the method less the method without it."""
    parts = [
        "# Ablation",
        "Coherence transfer less itself without a part, or with a variant of it, and the 95 % "
        "interval over resampled subjects; **bold**: the interval excludes zero and the corrected "
        "p is below .05. For NLL, ECE and AURC a useful part makes the difference negative.",
    ]
    for name, outcomes in results.outcomes.items():
        without = {
            key: outcome
            for key, outcome in outcomes.items()
            if key != METHOD and outcome.card["method"] == METHOD
        }
        if METHOD in outcomes and without:
            parts += [f"## {name}", _compared(outcomes[METHOD], without)]
    return "\n\n".join(parts) + "\n"


def cost_page(results: Results, cost: Mapping[str, Any]) -> str:
    """Return cost beside accuracy, in units of the hybrid's training."""
    unit = cost.get("hybrid", {}).get("training_s", float("nan"))
    outcomes = results.of(TWO)
    rows = [
        [
            name.replace("_", " "),
            f"{values['parameters']:,}",
            f"{values['training_s']:.1f}",
            f"{values['training_s'] / unit:.2f}",
            f"{values['prediction_ms']:.4f}",
            number(outcomes[name].estimate("all")[0]) if name in outcomes else "–",
            number(outcomes[name].estimate("grid")[0]) if name in outcomes else "–",
        ]
        for name, values in cost.items()
    ]
    heading = ["method", "parameters", "training, s", "× hybrid", "prediction, ms", "all", "grid"]
    parts = [
        "# Cost",
        "CPU seconds of one thread. Training: all folds of one seed together, all epochs and the "
        "calibration. Prediction: one window by one model, in batches, without the computation of "
        "features. Settings as planned.",
        table(heading, rows),
    ]
    return "\n\n".join(parts) + "\n"


def tuning_page(tunings: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the settings that `tuning.tune` tried and chose, by experiment."""
    parts = ["# Tuning", TRIALS.strip()]
    for name, tuned in tunings.items():
        rows = [
            [entry.replace("_", " "), *(_trial(trials, n) for n in range(len(trials["trials"])))]
            for entry, trials in tuned.items()
        ]
        others = [f"trial {n}" for n in range(2, len(rows[0]))]
        parts += [f"## {name}", table(["method", "as planned", *others], rows)]
    return "\n\n".join(parts) + "\n"


def _sensors(sensors: Sequence[str]) -> list[str]:
    alone = [f"only_{name}" for name in sensors]
    return alone if len(sensors) < 3 else [f"without_{name}" for name in sensors] + alone


def _heading(figure: str) -> str:
    if figure in HEADINGS:
        return HEADINGS[figure]
    text = figure.replace("without_", "no ").replace("only_", "")
    return text.replace("_", " ") + (" alone" if figure.startswith("only_") else "")


def _figures(outcomes: dict[str, Outcome], wanted: Sequence[str]) -> str:
    defined = [n for n in wanted if any(n in o.figures.sample for o in outcomes.values())]
    rows = []
    for name, outcome in outcomes.items():
        cells = [number(outcome.estimate(figure)[0]) for figure in defined]
        label = name.replace("_", " ")
        rows.append([f"**{label}**" if name == METHOD else label, *cells])
    return table(["method", *map(_heading, defined)], rows)


def _compared(method: Outcome, others: dict[str, Outcome]) -> str:
    comparisons = compare(method, others, list(COMPARED))
    cells = {(c.other, c.figure): _cell(c) for c in comparisons}
    rows = [
        [name.replace("_", " "), *(cells.get((name, figure), "–") for figure in COMPARED)]
        for name in others
    ]
    return table(["less", *map(_heading, COMPARED)], rows)


def _cell(comparison: Comparison) -> str:
    text = bounded(comparison.paired[:3])
    clear = comparison.ahead(1) or comparison.ahead(-1)
    return f"**{text}**" if clear else text


def _trial(tuned: Mapping[str, Any], place: int) -> str:
    changes, losses = tuned["trials"][place]["changes"], tuned["trials"][place]["loss"]
    settings = {k: v for k, v in changes.items() if k != "training"} | changes.get("training", {})
    text = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in settings.items())
    finite = [loss for loss in losses.values() if loss is not None]
    score = f"{np.mean(finite):.3f}" if finite else "–"
    n_folds = sum(chosen == place for chosen in tuned["chosen"].values())
    return f"{text}: {score} ({n_folds})".removeprefix(": ")


def _controls(results: Results) -> str:
    rows = [
        [what, entry, bounded(results.of(name)[entry].estimate("all"))]
        for name, what in CONTROLS.items()
        for entry in ("hybrid", METHOD)
        if entry in results.of(name)
    ]
    return table(["control", "method", "balanced accuracy, both sensors"], rows)


def _links(results: Results, cost: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, outcomes in results.outcomes.items():
        experiment = results.experiment(name)
        some = next(iter(outcomes.values())).evaluated
        rows.append(
            [
                f"[{name}](tables/{name}.md)",
                ", ".join(experiment.sensors),
                _labels(experiment.scenario),
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


def _labels(scenario: Scenario) -> str:
    """Return a short description of a scenario's training labels."""
    noise = scenario.noise.replace("_", " ")
    parts = [] if scenario.noise == "none" else [noise]
    parts += [f"{scenario.rate:.0%} wrong"] if scenario.rate else []
    if scenario.labelled_subjects:
        parts.append(f"{scenario.labelled_subjects} training subjects labelled")
    if scenario.mismatched:
        fault = "are missing" if scenario.oracle else "are mismatched"
        parts.append(f"sensors in {scenario.mismatched:.0%} of the unlabelled recordings {fault}")
    parts += ["split at random"] if scenario.random_split else []
    return ", ".join(parts) or "as they are"


def _chosen(experiment: Experiment, tuned: Collection[str]) -> str:
    if experiment.chosen_on is None:
        return "as planned"
    if experiment.chosen_on not in tuned:
        return "as planned, because the choice on validation subjects has not been run"
    return f"[chosen](tuning.md) on the validation subjects of {experiment.chosen_on}"


def summary(results: Results, reached: Sequence[Claim]) -> dict[str, Any]:
    """Return the content of all pages as plain values."""
    return {
        "claims": [
            {
                "claim": claim.number,
                "title": claim.title,
                "verdict": claim.verdict,
                "findings": [finding._asdict() for finding in claim.findings],
            }
            for claim in reached
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
