"""Stages align, label, window and score on a small hand-made project."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from consilience.alignment import session as alignment_session
from consilience.alignment.clock import Line
from consilience.alignment.run import align
from consilience.annotation.label import label
from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.core.files import content_hash, write_arrays, write_json
from consilience.evaluation.ground_truth import score
from consilience.project import Project
from consilience.schema.params.alignment import AlignmentParams
from consilience.schema.params.annotation import AnnotationParams
from consilience.schema.params.dataset import DatasetParams
from consilience.schema.params.windows import SplitParams, WindowParams
from consilience.schema.tables import (
    Alignment,
    Annotations,
    Ingested,
    Labels,
    Pulses,
    Quality,
    Recordings,
    Splits,
    Trials,
    frame_of,
    read_table,
    write_table,
)
from consilience.windows import build, sessions
from consilience.windows import corrupt as corrupt_module
from consilience.windows.build import window
from consilience.windows.corrupt import corrupt
from consilience.windows.store import load_corpus

RATES_HZ = {"fast": 20.0, "slow": 5.0, "table": None}
CLASSES = ("joy", "anger")
SESSIONS = ("a_1", "b_1", "c_1", "d_1", "e_1")
END_S = 30.0
NO_PULSES = "b_1_fast"
QUARANTINED = "c_1_slow"


def clock_of(session: str, modality: str) -> Line:
    seed = int(hashlib.sha256(f"{session}{modality}".encode()).hexdigest()[:6], 16)
    rng = np.random.default_rng(seed)
    return Line(float(rng.uniform(-2, 2)), float(rng.uniform(-300, 300)))


def state_at(times_s: np.ndarray) -> np.ndarray:
    """Return a slow state on the session clock; above zero is joy."""
    return np.sin(2 * np.pi * times_s / 20)


def write_project(root: Path, modalities: tuple[str, ...], clock: str = "anchors") -> None:
    catalog = root / "data/catalog"
    rng = np.random.default_rng(0)
    pulses = np.sort(rng.uniform(1, END_S - 1, 15))
    for modality in modalities:
        rows = [catalog_row(session, modality, clock) for session in SESSIONS]
        write_table(
            catalog / f"recordings/{modality}.parquet", frame_of(rows, Recordings), Recordings
        )
        ingest(root / f"data/signals/{modality}.frames", modality, pulses)
    trial_rows = [
        {"session": s, "trial": f"t{i}", "start_s": 10.0 * i + 2, "end_s": 10.0 * i + 10}
        for s in SESSIONS
        for i in range(2)
    ]
    pulse_rows = [{"session": s, "time_s": t} for s in SESSIONS for t in pulses]
    for name, rows, schema in (
        ("trials", trial_rows, Trials),
        ("pulses", pulse_rows, Pulses),
        ("annotations", annotation_rows(), Annotations),
    ):
        write_table(catalog / f"{name}.parquet", frame_of(rows, schema), schema)  # type: ignore[arg-type]
    write_json(catalog / "dataset.json", {"name": "made up", "classes": CLASSES})


def catalog_row(session: str, modality: str, clock: str = "anchors") -> dict[str, Any]:
    rate = RATES_HZ[modality]
    nothing = dict.fromkeys(("item", "start_time", "reason"))
    return {
        "recording": f"{session}_{modality}",
        "session": session,
        "subject": session[0],
        "modality": modality,
        "path": "none",
        "clock": clock,
        "rate_hz": rate,
        "n_channels": 1,
        "content_hash": "0",
        "duration_s": float(clock_of(session, modality).to_native(END_S)) if rate else None,
        "status": "ok",
        **nothing,
    }


def ingest(folder: Path, modality: str, pulses: np.ndarray) -> None:
    rows = []
    for session in SESSIONS:
        recording, rate = f"{session}_{modality}", RATES_HZ[modality]
        clock = clock_of(session, modality)
        times = np.arange(0.5 / rate, clock.to_native(END_S), 1 / rate) if rate else np.zeros(1)
        felt = state_at(clock.to_session(times)).astype(np.float32)
        values = np.stack([felt, np.ones_like(felt)], axis=1)
        seen = np.empty(0) if recording == NO_PULSES or not rate else clock.to_native(pulses)
        ok = recording != QUARANTINED
        if ok:
            write_arrays(
                folder / f"{recording}.npz",
                {
                    "times_s": times,
                    "pulses_s": seen,
                    "anchors_s": np.empty((0, 2)),
                    "clean": values,
                },
            )
        rows.append(
            {
                "recording": recording,
                "session": session,
                "subject": session[0],
                "status": "ok" if ok else "quarantined",
                "reason": None if ok else "flat",
                "n_frames": len(times) if ok else 0,
                "first_frame_s": float(times[0]) if ok else None,
                "last_frame_s": float(times[-1]) if ok else None,
                "duration_s": catalog_row(session, modality)["duration_s"],
                "quality": 0.9 if ok else None,
                "content_hash": content_hash(folder / f"{recording}.npz") if ok else None,
            }
        )
    write_table(folder / "recordings.parquet", frame_of(rows, Ingested), Ingested)
    write_table(folder / "quality.parquet", frame_of([], Quality), Quality)
    write_json(folder / "features.json", {"names": ["felt", "one"]})


def annotation_rows() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for session in SESSIONS:
        for time in np.arange(0, END_S + 2, 0.25):
            columns = {"target": "valence", "label": None, "value": float(state_at(time - 1.875))}
            rows.append({"start_s": time, "end_s": time + 0.25, **columns})
        for start, name in ((2.0, "joy"), (12.0, "anger")):
            columns = {"target": "emotion", "label": name, "value": None}
            rows.append({"start_s": start, "end_s": start + 8, **columns})
        for row in rows[-130:]:
            row.setdefault("session", session)
    return [{"annotator": "rater", **row} for row in rows]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    def get(kind: str, name: str) -> Any:
        if kind == "datasets":
            return SimpleNamespace(classes=CLASSES)
        if kind == "inputs":
            return lambda windows: windows
        sensor = SimpleNamespace(
            activity_feature=None,
            sound=lambda *_: None,
            identity=lambda *_: "0",
        )
        sensor.configured = lambda _: sensor
        return sensor

    def modality_params(project: Project) -> dict[str, Any]:
        return {
            name: SimpleNamespace(
                variants=(),
                corruptions={},
                model_dump_json=lambda: "",
                INPUTS="none",
                encoding={},
                frame_rate_hz=RATES_HZ.get(name),
                sound_rate_hz=None,
                lookahead_s=None,
            )
            for name in project.content["modalities"]
        }

    def stages(
        name: str = "project",
        modalities: tuple[str, ...] = ("fast", "slow"),
        windows: WindowParams | None = None,
    ) -> Path:
        root = tmp_path / name
        if not root.exists():
            write_project(root, modalities)
        sections = [
            DatasetParams(),
            AlignmentParams(),
            AnnotationParams(reaction_lag_s=2.0),
            windows or WindowParams(),
            SplitParams(folds=2, validation_subjects=1),
        ]
        content = {part.KEY: part.model_dump(mode="json") for part in sections}
        content["modalities"] = {name: {} for name in modalities}
        (root / "params.yaml").write_text(json.dumps(content))  # JSON is YAML
        project = Project(root)
        align(project)
        label(project)
        window(project)
        corrupt(project)
        return root

    monkeypatch.setattr(registry, "get", get)
    monkeypatch.setattr(alignment_session, "modality_params", modality_params)
    monkeypatch.setattr(sessions, "modality_params", modality_params)
    for module in (build, corrupt_module):
        monkeypatch.setattr(module, "code_hash", lambda *_: "code")
    monkeypatch.setattr(corrupt_module, "LIMIT_S", np.inf)  # in this process
    return stages


def inputs(root: Path, modality: str, variant: str = "clean") -> np.ndarray:
    """Return model inputs, which here are the frames of the windows."""
    return load_corpus(root / "data/windows").windows(modality, variant)


def test_a_recording_without_pulses_is_unaligned_and_masked(run: Callable[..., Path]) -> None:
    root = run()
    table = read_table(root / "data/alignment/alignment.parquet", Alignment)
    assert QUARANTINED not in table["recording"]
    unaligned = table.filter(pl.col("status") != "aligned")
    assert unaligned["recording"].to_list() == [NO_PULSES]
    assert "no synchronisation pulse" in unaligned["reason"][0]
    summary = json.loads((root / "data/alignment/summary.json").read_text())
    assert (summary["aligned"], summary["unaligned"]) == (8, 1)
    index = read_table(root / "data/windows/index.parquet", Labels)
    available = np.load(root / "data/windows/availability.npy")
    masked = [(index["session"] == "b_1").to_numpy(), (index["session"] == "c_1").to_numpy()]
    np.testing.assert_array_equal(available[:, 0], ~masked[0])
    np.testing.assert_array_equal(available[:, 1], ~masked[1])
    assert (inputs(root, "fast")[masked[0]] == 0).all()
    assert (inputs(root, "fast", "desync_2")[masked[0]] == 0).all()


def test_windows_hold_what_happened_at_their_time(run: Callable[..., Path]) -> None:
    root = run()
    index = read_table(root / "data/windows/index.parquet", Labels)
    available = np.load(root / "data/windows/availability.npy")
    assert index.height == 30
    for column, (name, rate) in enumerate((("fast", 20.0), ("slow", 5.0))):
        times = index["start_s"].to_numpy()[:, None] + (np.arange(int(4 * rate)) + 0.5) / rate
        array = inputs(root, name)
        assert array.dtype == np.float32
        assert array.shape == (30, int(4 * rate), 2)
        seen = array[available[:, column], :, 0]
        np.testing.assert_allclose(seen, state_at(times)[available[:, column]], atol=0.005)
    meta = json.loads((root / "data/windows/meta.json").read_text())
    assert meta["modalities"] == ["fast", "slow"]
    assert meta["classes"] == list(CLASSES)
    assert meta["frame_rate_hz"] == {"fast": 20.0, "slow": 5.0}
    splits = read_table(root / "data/windows/splits.parquet", Splits)
    assert set(splits["subject"]) == set("abcde")


def test_a_wrong_clock_shows_what_happened_before(run: Callable[..., Path]) -> None:
    root = run()
    desync = tuple(f"desync_{severity}" for severity in range(1, 6))
    variants = load_corpus(root / "data/windows").variants
    assert variants == dict.fromkeys(("fast", "slow"), desync)
    index = read_table(root / "data/windows/index.parquet", Labels)
    available = np.load(root / "data/windows/availability.npy")[:, 0]
    times = index["start_s"].to_numpy()[:, None] + (np.arange(80) + 0.5) / 20
    for variant, late_s in zip(desync, WindowParams().desync_s, strict=True):
        seen = inputs(root, "fast", variant)
        recorded = (times > late_s + 2.1) & available[:, None]  # clocks start within 2 s
        before = state_at(times - late_s)[recorded]
        np.testing.assert_allclose(seen[recorded, 0], before, atol=0.005)
        assert (seen[~available] == 0).all()


def test_a_window_that_is_its_whole_trial_has_no_wrong_clock(run: Callable[..., Path]) -> None:
    root = run(windows=WindowParams(length_s=None))
    assert load_corpus(root / "data/windows").variants == {"fast": (), "slow": ()}


def test_labels_are_the_consensus_at_the_windows_time(run: Callable[..., Path]) -> None:
    root = run()
    labels = read_table(root / "data/labels/labels.parquet", Labels)
    classes = dict(zip(labels["trial"], labels["class_probability"].to_list(), strict=True))
    assert classes == {"t0": [1, 0], "t1": [0, 1]}
    for start, valence in labels.select("start_s", "valence").iter_rows():
        true = state_at(np.linspace(start, start + 4, 200)).mean()
        assert valence == pytest.approx(true, abs=0.01)
    summary = json.loads((root / "data/labels/summary.json").read_text())
    assert summary["classes"] == {"joy": 15, "anger": 15}


def test_dropping_a_modality_does_not_move_the_others(run: Callable[..., Path]) -> None:
    both, alone = run(), run("alone", ("fast",))
    first = pl.read_parquet(both / "data/windows/index.parquet")
    second = pl.read_parquet(alone / "data/windows/index.parquet")
    rows = first["window"].is_in(second["window"].to_list()).to_numpy()
    assert first.filter(rows).equals(second)
    np.testing.assert_array_equal(inputs(both, "fast")[rows], inputs(alone, "fast"))


def test_one_recording_never_changes_anothers_windows(run: Callable[..., Path]) -> None:
    before, root = run(), run("changed")
    path = root / "data/signals/fast.frames/a_1_fast.npz"
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["clean"][len(arrays["clean"]) // 2] += 1e6
    write_arrays(path, arrays)
    table = root / "data/signals/fast.frames/recordings.parquet"
    is_it = pl.when(pl.col("recording") == "a_1_fast").then(pl.lit(content_hash(path)))
    changed = read_table(table, Ingested).with_columns(content_hash=is_it.otherwise("content_hash"))
    write_table(table, changed, Ingested)
    run("changed")
    other = (read_table(root / "data/windows/index.parquet", Labels)["session"] != "a_1").to_numpy()
    for name in ("fast", "slow"):
        was, now = (inputs(base, name) for base in (before, root))
        np.testing.assert_array_equal(was[other], now[other])
        assert np.array_equal(was, now, equal_nan=True) == (name == "slow")


def test_windows_do_not_depend_on_the_order_of_recordings(run: Callable[..., Path]) -> None:
    first, second = run(), run("reversed")
    for name in ("fast", "slow"):
        path = second / f"data/signals/{name}.frames/recordings.parquet"
        write_table(path, read_table(path, Ingested).reverse(), Ingested)
        path = second / f"data/catalog/recordings/{name}.parquet"
        write_table(path, read_table(path, Recordings).reverse(), Recordings)
    run("reversed")
    for path in sorted((first / "data/windows").rglob("*.np[yz]")):
        same = second / path.relative_to(first)
        assert path.read_bytes() == same.read_bytes()


def test_a_second_run_writes_the_same_bytes(run: Callable[..., Path]) -> None:
    def bytes_of(root: Path) -> dict[str, bytes]:
        folders = ("alignment", "labels", "windows", "corrupted")
        files = [p for name in folders for p in (root / "data" / name).rglob("*") if p.is_file()]
        return {str(path.relative_to(root)): path.read_bytes() for path in files}

    first = bytes_of(run())
    # Tables; a file per session; per modality with its meta data, a file per aligned recording.
    assert len(first) == 4 + 4 + 6 + 5 + (1 + 4) + (1 + 4)
    assert bytes_of(run()) == first
    assert bytes_of(run("elsewhere")) == first


def test_a_table_speaks_for_sessions_without_trials(
    run: Callable[..., Path], tmp_path: Path
) -> None:
    write_project(tmp_path / "tables", ("fast", "table"), clock="shared")
    write_table(tmp_path / "tables/data/catalog/trials.parquet", frame_of([], Trials), Trials)
    root = run("tables", ("fast", "table"))
    index = read_table(root / "data/windows/index.parquet", Labels)
    assert set(index["trial"]) == {"whole"}
    assert inputs(root, "table").shape == (index.height, 1, 2)
    assert load_corpus(root / "data/windows").variants["table"] == ()
    assert np.load(root / "data/windows/availability.npy")[:, 1].all()
    alignment = read_table(root / "data/alignment/alignment.parquet", Alignment)
    assert set(alignment["method"]) == {"shared clock"}
    assert set(alignment["offset_s"]) == {0.0}


def test_a_project_without_windows_is_an_error(run: Callable[..., Path], tmp_path: Path) -> None:
    write_project(tmp_path / "silent", ("fast",))
    table = frame_of([], Annotations)
    write_table(tmp_path / "silent/data/catalog/annotations.parquet", table, Annotations)
    with pytest.raises(ConsilienceError, match="no window has both a label and"):
        run("silent", ("fast",))
    assert not (tmp_path / "silent/data/windows").exists()


def test_score_compares_with_the_truth(run: Callable[..., Path]) -> None:
    root = run()
    truth = root / "data/truth/demo"
    truth.mkdir(parents=True)
    clocks = [(f"{s}_{m}", clock_of(s, m)) for s in SESSIONS for m in ("fast", "slow")]
    off = {"a_1_fast": 0.01}
    pl.DataFrame(
        [(name, clock.offset_s + off.get(name, 0), clock.drift_ppm) for name, clock in clocks],
        ["recording", "offset_s", "drift_ppm"],
        orient="row",
    ).write_csv(truth / "clocks.csv")
    times = np.arange(0, END_S, 0.1)
    felt = state_at(times)
    pl.concat(
        pl.DataFrame(
            {
                "session": session,
                "time_s": times,
                "valence": felt,
                "arousal": felt,
                "emotion": np.where(times < 12, "joy", "anger"),
            }
        )
        for session in SESSIONS
    ).write_csv(truth / "state.csv")
    score(Project(root), "demo")
    result = json.loads((root / "data/score/demo/alignment.json").read_text())
    assert (result["recordings"], result["scored"]) == (9, 8)
    assert result["error_ms"]["slow"]["max"] < 0.1
    assert result["error_ms"]["fast"]["max"] == pytest.approx(10, abs=0.1)
    labels = json.loads((root / "data/score/demo/labels.json").read_text())
    assert labels["accuracy"] == 1
    assert labels["ccc"]["valence"] > 0.99
    assert labels["ccc_without_lag_correction"]["valence"] < 0.95
    plot = pl.read_csv(root / "data/score/demo/alignment.csv")
    assert plot.filter(pl.col("recording") == NO_PULSES)["error_ms"].to_list() == [None]
    with pytest.raises(ConsilienceError, match="the pipeline ran on 'demo', not on 'other'"):
        score(Project(root), "other")
