"""Invented results of two runs: three sensors with separate clocks, and two on a shared clock."""

from collections.abc import Callable
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from consilience import params
from consilience.core.files import write_arrays, write_json
from consilience.core.seeds import generator
from consilience.project import Project
from consilience.reporting.page import render
from consilience.reporting.results import load_results
from consilience.schema.tables import (
    Alignment,
    Anchors,
    Annotators,
    Confusions,
    Deviations,
    DoubtfulLabels,
    Findings,
    Ingested,
    Labels,
    Pieces,
    Problems,
    Ranking,
    RecordingCoherence,
    Recordings,
    SensorPredictions,
    Splits,
    Subjects,
    frame_of,
    write_table,
)

METHODS = ("concat", "late_fusion", "coherence_transfer")
ENDINGS = {"audio": ".wav", "video": ".mp4"}
KINDS = ("noise", "packet_loss")
SUBJECTS = [f"sub-{number:02}" for number in range(1, 7)]


def _recordings(project: Project, modalities: list[str], n_sessions: int, clock: str) -> list[str]:
    """Write catalog, ingest tables and alignment; return the sessions."""
    sessions = [f"{s}_ses-{n + 1}" for s in SUBJECTS for n in range(n_sessions)]
    alignment: list[dict[str, object]] = []
    for modality in modalities:
        rng = generator("recordings", modality)
        catalog, ingested = [], []
        for session in sessions:
            name = f"{session}_{modality}"
            status = rng.choice(["ok", "missing", "quarantined"], p=[0.84, 0.08, 0.08])
            common = {"recording": name, "session": session, "subject": session.split("_")[0]}
            catalog.append(
                common
                | {
                    "modality": modality,
                    "path": f"{name}{ENDINGS.get(modality, '.bin')}",
                    "clock": "anchors",
                    "rate_hz": 100.0,
                    "n_channels": 1,
                }
                | {"duration_s": 45.0, "status": "missing" if status == "missing" else "ok"}
                | {"reason": "no such file" if status == "missing" else None}
            )
            ingested.append(
                common
                | {"status": status, "n_frames": 450}
                | {"reason": "the signal is <flat>" if status == "quarantined" else None}
                | {"quality": rng.beta(8, 2) if status == "ok" else None}
            )
            if status == "ok":
                pulses = clock == "pulses"
                alignment.append(
                    {"recording": name, "session": session, "modality": modality, "method": clock}
                    | {"n_anchors": 12 if pulses else 0, "n_pieces": 1, "status": "aligned"}
                    | {"offset_s": rng.uniform(-2, 2) if pulses else 0.0}
                    | {"drift_ppm": rng.uniform(-300, 300) if pulses else 0.0}
                    | {"residual_ms": rng.lognormal(0, 1) if pulses else None}
                )
        write_table(
            project.recordings_table(modality),
            frame_of(catalog, Recordings),
            Recordings,
        )
        write_table(
            project.signals(modality) / "recordings.parquet",
            frame_of(ingested, Ingested),
            Ingested,
        )
        # Modalities that read the same file report the same.
        finding: dict[str, object] = {"recording": modality, "path": "a.bin", "what": "2 <gaps>"}
        write_table(
            project.signals(modality) / "findings.parquet",
            frame_of([finding], Findings),
            Findings,
        )
    write_table(project.alignment / "alignment.parquet", frame_of(alignment, Alignment), Alignment)
    anchors: list[dict[str, object]] = [
        {"recording": row["recording"], "native_s": float(time), "session_s": time + 1.0}
        | {"residual_ms": generator("anchors", row["recording"], time).normal()}
        for row in alignment
        if row["n_anchors"]
        for time in range(12)
    ]
    write_table(project.alignment / "anchors.parquet", frame_of(anchors, Anchors), Anchors)
    problems: list[dict[str, object]] = [
        {"where": "annotations.csv", "what": "names <no> session", "remedy": "correct the table"}
    ]
    write_table(project.catalog / "problems.parquet", frame_of(problems, Problems), Problems)
    return sessions


def _params(project: Project, modalities: list[str], is_demo: bool) -> None:
    content = params.defaults("demo")
    content["dataset"] |= {"root": "raw", "synthetic": ["demo"] if is_demo else []}
    content["modalities"] = {name: {} for name in modalities}
    content["robustness"]["bootstrap"] = 100
    project.params_file.write_text(params.document(params.completed(content, "test")))


def _people(
    project: Project, sessions: list[str], modalities: list[str], classes: list[str]
) -> None:
    """Write what is known of people and recordings, and each sensor's own predictions."""
    people: list[dict[str, object]] = [
        {"subject": name, "sex": ("female", "male")[number % 2], "age_years": 20.0 + 9 * number}
        for number, name in enumerate(SUBJECTS)
    ]
    write_table(project.catalog / "subjects.parquet", frame_of(people, Subjects), Subjects)
    write_json(project.catalog / "description.json", {"Name": "Invented <films>"})
    deviations: list[dict[str, object]] = [
        {"recording": session, "subject": session.split("_")[0], "sensor": sensor, "windows": 20}
        | {"deviation": 6.5 if number == 3 else generator("deviations", session, sensor).normal()}
        for number, session in enumerate(sessions)
        for sensor in modalities
    ]
    write_table(
        project.evaluation / "deviations.parquet", frame_of(deviations, Deviations), Deviations
    )
    windows = pl.read_parquet(project.evaluation / "windows.parquet")["window"].to_list()
    rng = generator("sensors")
    alone: list[dict[str, object]] = [
        {"window": name, "sensor": sensor}
        | {"probability": rng.dirichlet(np.full(len(classes), 0.5)).tolist()}
        for name in windows
        for sensor in modalities
    ]
    write_table(
        project.evaluation / "sensors.parquet",
        frame_of(alone, SensorPredictions),
        SensorPredictions,
    )
    alignment = pl.read_parquet(project.alignment / "alignment.parquet")
    pieces: list[dict[str, object]] = [
        {"recording": name, "from_native_s": -np.inf, "until_native_s": np.inf}
        | {"offset_s": offset_s, "drift_ppm": drift_ppm}
        for name, offset_s, drift_ppm in alignment.select(
            "recording", "offset_s", "drift_ppm"
        ).iter_rows()
    ]
    write_table(project.alignment / "pieces.parquet", frame_of(pieces, Pieces), Pieces)
    times_s = np.arange(450) / 10
    for modality in modalities:
        folder = project.signals(modality)
        write_json(folder / "features.json", {"names": ["loudness_db", "pitch_hz"]})
        waves = np.stack([np.sin(times_s), np.cos(times_s)], 1).astype(np.float32)
        for session in sessions:
            arrays = {"times_s": times_s, "clean": waves}
            write_arrays(folder / f"{session}_{modality}.npz", arrays)


def _windows(project: Project, sessions: list[str], classes: list[str], n_windows: int) -> None:
    """Write labels, folds and the default method's predictions."""
    rng = generator("windows")
    labels, predictions = [], []
    for session, number in product(sessions, range(n_windows)):
        probability = rng.dirichlet(np.full(len(classes), 0.4))
        actual = classes[int(probability.argmax())]
        predicted = actual if rng.random() < 0.65 else str(rng.choice(classes))
        where = {"window": f"{session}_{number}", "session": session}
        where |= {"subject": session.split("_")[0], "trial": f"t{number // 4}"}
        times = {"start_s": 2.0 * number, "end_s": 2.0 * number + 4}
        labels.append(
            {**where, **times, "class_probability": probability.tolist()}
            | {"agreement": rng.uniform(-0.2, 1), "n_annotators": 3}
        )
        predictions.append(
            {**where, **times, "actual": actual, "predicted": predicted}
            | {"confidence": rng.uniform(0.4, 1), "vacuity": rng.beta(2, 4)}
            | {"coherence": rng.beta(5, 2)}
            | _further(predicted, classes, number)
        )
    write_table(project.labels / "labels.parquet", frame_of(labels, Labels), Labels)
    _annotators(project, classes)
    project.evaluation.mkdir()
    pl.DataFrame(predictions).write_parquet(project.evaluation / "windows.parquet")
    roles: list[dict[str, object]] = [
        {"fold": fold, "subject": subject, "role": ("test", "validation", "train")[min(2, gap)]}
        for fold in range(3)
        for number, subject in enumerate(SUBJECTS)
        for gap in [(number - fold) % 3]
    ]
    write_table(project.windows / "splits.parquet", frame_of(roles, Splits), Splits)


def _further(predicted: str, classes: list[str], number: int) -> dict[str, object]:
    """Return the probabilities, reliabilities and the verdict of a window."""
    rng = generator("further", predicted, number)
    share = {name: 0.7 if name == predicted else 0.3 / (len(classes) - 1) for name in classes}
    verdicts = ("clear", "clear", "ambiguous", "contradicting: eeg", "clear")
    return {
        **{f"p_{name}": value for name, value in share.items()},
        "verdict": verdicts[number % len(verdicts)],
        "reliability_eeg": rng.beta(5, 2) if number % 6 else None,
        "reliability_audio": rng.beta(5, 2),
    }


def _agreement(project: Project, sessions: list[str], modalities: list[str]) -> None:
    """Write the agreement of the sensors: the first one of the second session is mismatched."""
    rows: list[dict[str, object]] = []
    for number, session in enumerate(sessions):
        swapped = number == 1
        rows += [
            {"session": session, "subject": session.split("_")[0], "sensor": name, "windows": 20}
            | {"llr": -9.0 if is_bad else 5.0, "probability": 0.97 if is_bad else 0.001}
            | {"named": is_bad, "shift_s": 4.0 if is_bad else None}
            | {"shift_gain": 12.0 if is_bad else None}
            for place, name in enumerate(modalities)
            for is_bad in [swapped and place == 0]
        ]
    table = frame_of(rows, RecordingCoherence)
    write_table(project.evaluation / "recordings.parquet", table, RecordingCoherence)


def _annotators(project: Project, classes: list[str]) -> None:
    """Write the estimates for two annotators who rated the sessions continuously."""
    rows: list[dict[str, object]] = [
        {"annotator": name, "target": target, "n_windows": 40, "reliability": 0.8 - 0.1 * number}
        | ({"lag_s": 2.0 + number, "lag_sd_s": 0.1, "lag_anchored": True} if number else {})
        | ({"correlation": 0.7, "correlation_unshifted": 0.5} if target == "valence" else {})
        for number, name in enumerate(("<first>", "second"))
        for target in ("emotion", "valence")
    ]
    confusions: list[dict[str, object]] = [
        {
            "annotator": "second",
            "actual": actual,
            "named": named,
            "probability": 1 / len(classes),
        }
        for actual, named in product(classes, classes)
    ]
    folder = project.labels
    write_table(folder / "annotators.parquet", frame_of(rows, Annotators), Annotators)
    write_table(folder / "confusions.parquet", frame_of(confusions, Confusions), Confusions)
    agreement = {"emotion": {"krippendorff_alpha": 0.432}, "valence": {"icc_single": None}}
    write_json(folder / "summary.json", {"labelled": 40, "contradicted": 3, "agreement": agreement})


def _evaluation(project: Project, modalities: list[str], lead: float) -> None:
    """Write metrics, curves and histories; the default method leads concat by `lead`."""
    plots = project.evaluation / "plots"
    plots.mkdir(parents=True)
    metrics: dict[str, dict[str, float]] = {}
    subsets: list[dict[str, Any]] = []
    noise: list[dict[str, Any]] = []
    mismatches: list[dict[str, Any]] = []
    bins: list[dict[str, Any]] = []
    for method in METHODS:
        base = 0.6 + lead * (method == "coherence_transfer") - 0.05 * (method == "late_fusion")
        full = tuple(modalities)
        accuracy = {
            subset: base - 0.11 * (len(full) - len(subset)) - 0.01 * full.index(subset[0])
            for size in range(len(full), 0, -1)
            for subset in combinations(full, size)
        }
        subsets += [
            {"method": method, "subset": "+".join(subset), "n_modalities": len(subset)}
            | {"balanced_accuracy": value, "low": value - 0.05, "high": value + 0.06}
            for subset, value in accuracy.items()
        ]
        for modality, kind, severity in product(modalities, KINDS, range(6)):
            value = base - 0.02 * severity * (1 + 0.4 * modalities.index(modality))
            noise.append(
                {"method": method, "modality": modality, "kind": kind, "severity": severity}
                | {"balanced_accuracy": value, "low": value - 0.05, "high": value + 0.05}
            )
        mismatches += [
            {"method": method, "modality": modality}
            | {"balanced_accuracy": base - 0.2, "low": base - 0.25, "high": base - 0.15}
            for modality in modalities
        ]
        bins += [
            {"method": method, "confidence": c, "accuracy": c**1.3, "predictions": int(100 * c)}
            for c in np.arange(0.35, 1, 0.1)
        ]
        figures = {"all": base, "noise": base - 0.08, "grid": base - 0.1}
        figures |= {
            f"without_{name}": accuracy[tuple(other for other in full if other != name)]
            for name in full
        }
        bounds = {f"{name}_low": value - 0.05 for name, value in figures.items()}
        bounds |= {f"{name}_high": value + 0.05 for name, value in figures.items()}
        metrics[method] = figures | bounds
        metrics[method] |= {"ece": 0.1 - base / 10, "mismatched_sensor_auroc": base}
        metrics[method] |= {"set_coverage": 0.9, "set_size": 1.4}
        folder = project.model(method)
        folder.mkdir(parents=True)
        pl.DataFrame(
            [
                {"fold": fold, "seed": seed, "epoch": epoch}
                | {"train_loss": 1.4 * 0.95**epoch + 0.02 * fold}
                | {"validation_loss": 0.7 + 0.7 * 0.9**epoch + 0.05 * seed + 0.003 * epoch}
                for fold, seed, epoch in product(range(3), range(3), range(40))
            ]
        ).write_csv(folder / "history.csv")
    for rival in METHODS[:2]:
        name = f"all_over_{rival}"
        gap = metrics["coherence_transfer"]["all"] - metrics[rival]["all"]
        metrics["coherence_transfer"] |= {
            name: gap,
            f"{name}_low": gap - 0.02,
            f"{name}_high": gap + 0.02,
        }
    write_json(project.evaluation / "metrics.json", metrics)
    tables = {"subsets": subsets, "noise": noise, "mismatches": mismatches, "reliability": bins}
    for name, rows in tables.items():
        pl.DataFrame(rows).write_csv(plots / f"{name}.csv")


def _score(project: Project, modalities: list[str]) -> None:
    error = {"median": 0.4, "p95": 1.2, "max": 3.0}
    pairs = ["-".join(pair) for pair in combinations(modalities, 2)]
    write_json(
        project.score("demo") / "alignment.json",
        {
            "error_ms": dict.fromkeys(modalities, error),
            "between_ms": dict.fromkeys(pairs, error),
        },
    )
    write_json(
        project.score("demo") / "labels.json",
        {
            "windows": 200,
            "accuracy": 0.912,
            "accuracy_of_most_votes": 0.9,
            "brier": 0.1,
            "brier_of_votes": 0.2,
            "ccc": {"valence": 0.8, "arousal": None},
            "ccc_without_lag_correction": {"valence": 0.6, "arousal": None},
        },
    )


def write_run(project: Project, n_modalities: int, lead: float) -> Project:
    is_demo = n_modalities == 3
    modalities = ["eeg", "audio", "video"] if is_demo else ["audio", "face_au"]
    classes = ["happy", "angry", "sad", "calm"]
    _params(project, modalities, is_demo)
    clock = "pulses" if is_demo else "shared clock"
    sessions = _recordings(project, modalities, 2 if is_demo else 30, clock)
    _windows(project, sessions, classes, 20 if is_demo else 1)
    _agreement(project, sessions, modalities)
    _people(project, sessions, modalities, classes)
    _query(project)
    meta = {"dataset": "demo", "modalities": modalities, "classes": classes}
    write_json(project.windows / "meta.json", meta)
    _evaluation(project, modalities, lead)
    if is_demo:
        _score(project, modalities)
    _code(project)
    return project


def _code(project: Project) -> None:
    """Write the fingerprints of two stages and the study's settings."""
    for stage, digest in (("align", "a" * 64), ("report", "b" * 64)):
        content = {"digest": digest, "libraries": {"numpy": "2.4.6", "absent": None}}
        write_json(project.code / f"{stage}.json", content)
    write_json(project.code / "checked.json", {"parameters": "checked"})
    parameters = [
        ["windows.hop_s", 1.0, 2.0, "params.yaml"],
        ["training.baseline", "recording", "none", "preset"],
        ["modalities.eeg.aliases.T3", "T7", None, "preset"],
    ]
    settings = {"version": "1.2.3", "seeds": [0, 7], "folds": 3, "parameters": parameters}
    write_json(project.code / "settings.json", settings)


def _query(project: Project) -> None:
    """Write two doubtful labels and three windows to annotate again."""
    windows = pl.read_parquet(project.evaluation / "windows.parquet").head(3)
    copied = ("window", "session", "subject", "trial", "start_s", "end_s", "predicted")
    common: list[dict[str, object]] = [
        {name: row[name] for name in copied}
        | {"label": row["actual"], "distrust": 0.9 - 0.1 * number}
        | {"file": f"{row['session']}_video.mp4", "file_s": 1.25, "files": "video: a.mp4 1.25 s"}
        | {"reason": "label <happy>, but eeg calm"}
        for number, row in enumerate(windows.iter_rows(named=True))
    ]
    doubtful: list[dict[str, object]] = [
        row | {"confident_learning": number == 0} for number, row in enumerate(common[:2])
    ]
    write_table(project.doubtful_labels, frame_of(doubtful, DoubtfulLabels), DoubtfulLabels)
    ranked: list[dict[str, object]] = [
        row | {"rank": number} for number, row in enumerate(common, 1)
    ]
    # Unlabelled, and without an aligned recording.
    ranked[2] |= {"label": None, "file": None, "file_s": None}
    write_table(project.ranking, frame_of(ranked, Ranking), Ranking)


@pytest.fixture
def run_of_sensors(tmp_path: Path) -> Callable[..., Project]:
    """Write the results of a run: three sensors and a ground truth, or two on a shared clock."""

    def write(n_modalities: int = 3, lead: float = 0.05) -> Project:
        return write_run(Project(tmp_path), n_modalities, lead)

    return write


@pytest.fixture(scope="session")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Page of a run of three sensors."""
    project = Project(tmp_path_factory.mktemp("three_sensors"))
    return render(load_results(write_run(project, 3, lead=0.05)))
