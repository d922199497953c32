"""An incremental ingest gives the same bytes as a complete one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.core.files import read_arrays
from consilience.core.fingerprint import CodeBase
from consilience.core.seeds import generator
from consilience.datasets.ravdess import dataset
from consilience.ingest import features
from consilience.ingest.catalog import build_catalog
from consilience.ingest.ingest import code_key, ingest
from consilience.modalities.face_au import modality
from consilience.schema.tables import Ingested, read_table

UNITS = [
    f"AU{number:02d}_r" for number in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
]
UNITS += [f"{unit[:-1]}c" for unit in UNITS[:-1]] + ["AU28_c", "AU45_c"]


@pytest.fixture
def corpus(tmp_path):
    return Corpus(tmp_path)


class Corpus:
    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "raw"
        self.root.mkdir()
        self.rows = {
            f"01-0{emotion}-01-01-01-0{actor}": "0.5" for emotion in (1, 2) for actor in (1, 2)
        }

    def ingest(self, output: str, store: str = "store", **changes: object):
        lines = [",".join(["clip", *UNITS])]
        lines += [",".join([clip, *[value] * len(UNITS)]) for clip, value in self.rows.items()]
        (self.root / "openface_au35_clipmean.csv").write_text("\n".join(lines) + "\n")
        table = build_catalog(dataset, self.root, ["face_au"]).recordings["face_au"]
        settings = modality.Params(**changes)
        (self.folder / output).mkdir()
        results = ingest(
            table, self.root, "face_au", settings, self.folder / store, self.folder / output
        )
        return {result.recording for result in results if result.new}

    def bytes(self, output: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.folder / output).iterdir()}


def test_a_second_run_processes_nothing_and_writes_the_same(corpus):
    assert len(corpus.ingest("first")) == 4
    assert corpus.ingest("second") == set()
    assert corpus.bytes("first") == corpus.bytes("second")


def test_an_added_recording_is_the_only_one_processed(corpus):
    corpus.ingest("before")
    corpus.rows["01-03-01-01-01-02"] = "0.75"
    assert corpus.ingest("after") == {"01-03-01-01-01-02_face_au"}
    corpus.ingest("from_nothing", store="empty")
    assert corpus.bytes("after") == corpus.bytes("from_nothing")


def test_a_removed_recording_leaves_nothing_behind(corpus):
    corpus.ingest("before")
    del corpus.rows["01-02-01-01-01-01"]
    assert corpus.ingest("after") == set()
    corpus.ingest("from_nothing", store="empty")
    assert corpus.bytes("after") == corpus.bytes("from_nothing")
    assert "01-02-01-01-01-01_face_au.npz" not in corpus.bytes("after")


def test_a_changed_recording_is_processed_again(corpus):
    corpus.ingest("before")
    corpus.rows["01-02-01-01-01-01"] = "0.25"
    assert corpus.ingest("after") == {"01-02-01-01-01-01_face_au"}


def test_corruptions_do_not_change_the_feature_frames(corpus):
    corpus.ingest("before")
    harder = {"noise": [0.1, 0.2, 0.3, 0.4, 0.5]}
    assert corpus.ingest("after", corruptions=harder) == set()
    assert corpus.bytes("before") == corpus.bytes("after")


def test_a_changed_parameter_changes_every_key():
    voice = registry.params("modalities", "audio")
    assert code_key("audio", voice(hop_s=0.01)) != code_key("audio", voice())


def test_the_code_of_a_modality_is_all_its_modules_and_no_other():
    def sensors(name):
        names = (
            CodeBase().closure([features.__name__], {"modalities": [name], "encoders": []}).sources
        )
        kept = {name for name in names if name.startswith("consilience.modalities.")}
        return {name for name in kept if ".params" not in name}

    base = {"consilience.modalities.base"}
    assert sensors("audio") == base | {
        f"consilience.modalities.{part}" for part in ("audio", "voice")
    }
    faces = {f"consilience.modalities.{part}" for part in ("face_au", "upper_face_au")}
    assert sensors("upper_face_au") == base | faces


def test_tables_workers_and_encoders_are_not_part_of_a_stored_result():
    code = CodeBase()
    in_use = {"modalities": ["eeg", "audio", "text"], "encoders": []}
    names = code.closure([features.__name__], in_use).sources
    assert "consilience.core.seeds" in names
    assert not {"consilience.ingest.ingest", "consilience.core.isolation"} & names.keys()
    assert not {name for name in names if name.startswith("consilience.encoders")}
    assert "consilience.schema.tables" not in names
    libraries = code.fingerprint([features.__name__], in_use).libraries
    assert not {"torch", "polars", "pandera"} & libraries.keys()


@pytest.mark.slow
def test_the_number_of_workers_changes_no_byte(corpus, monkeypatch):
    monkeypatch.setenv("CONSILIENCE_WORKERS", "1")
    corpus.ingest("one", store="store_one")
    monkeypatch.setenv("CONSILIENCE_WORKERS", "2")
    corpus.ingest("two", store="store_two")
    assert corpus.bytes("one") == corpus.bytes("two")


def test_a_bad_recording_is_quarantined_once_and_for_all_runs(corpus):
    corpus.rows["01-02-01-01-01-01"] = "nan"
    corpus.ingest("first")
    corpus.ingest("second")
    assert corpus.bytes("first") == corpus.bytes("second")
    assert "01-02-01-01-01-01_face_au.npz" not in corpus.bytes("first")


def test_without_a_usable_recording_the_reasons_are_written(corpus):
    corpus.rows = dict.fromkeys(corpus.rows, "words")
    corpus.ingest("output")
    tables = ["findings.parquet", "problems.parquet", "recordings.parquet"]
    assert sorted(corpus.bytes("output")) == tables


def test_no_filter_sees_across_a_recordings_border(tmp_path):
    """Recordings are filtered one by one: a sample of one changes no frame of another."""
    root, found = tmp_path / "raw", []
    root.mkdir()
    sounds = {name: 0.1 * generator(name).standard_normal(24000) for name in ("a", "b")}
    audio = registry.get("modalities", "audio")
    for change in (0.0, 0.5):
        sounds["a"][-1] += change  # the last one before b begins
        rows = []
        for name, sound in sounds.items():
            soundfile.write(root / f"{name}.wav", sound.astype(np.float32), 16000, "FLOAT")
            row = {"recording": name, "session": name, "subject": name, "modality": "audio"}
            row |= {"path": f"{name}.wav", "item": None, "status": "ok", "reason": None}
            row |= {"bad_channels": None}
            rows.append(row | {"content_hash": audio.identity(root / f"{name}.wav", None)})
        output = tmp_path / f"signals {change}"
        output.mkdir()
        settings = audio.Params(corruptions={})
        ingest(pl.DataFrame(rows), root, "audio", settings, tmp_path / f"store {change}", output)
        found.append({name: read_arrays(output / f"{name}.npz") for name in sounds})
    before, after = found
    assert not np.array_equal(before["a"]["clean"], after["a"]["clean"])
    for name, values in before["b"].items():
        np.testing.assert_array_equal(values, after["b"][name])


def test_non_finite_features_cost_their_own_recording_alone(corpus, monkeypatch):
    monkeypatch.setenv("CONSILIENCE_LIMIT_S", "inf")
    monkeypatch.setattr(
        type(modality),
        "features",
        _unmeasured(type(modality).features),
    )
    first, second = list(corpus.rows)[:2]
    corpus.rows |= {first: "0.25", second: "0.75"}
    corpus.ingest("output")
    table = read_table(corpus.folder / "output/recordings.parquet", Ingested)
    by_name = {row["recording"]: row for row in table.iter_rows(named=True)}
    assert "non-finite features or quality" in by_name[f"{first}_face_au"]["reason"]
    assert "non-finite features or quality" in by_name[f"{second}_face_au"]["reason"]
    assert [row["status"] for row in by_name.values()].count("ok") == 2


def _unmeasured(features):
    """Give the quality or the features that numbers out of range lead to."""

    def unmeasured(self, signal, settings):
        found = features(self, signal, settings)
        level = float(np.max(signal.values))
        if np.isclose(level, 0.25):
            return replace(found, quality={**found.quality, "quality": float("nan")})
        if np.isclose(level, 0.75):
            return replace(found, values=np.full_like(found.values, np.inf))
        return found

    return unmeasured


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: content[:-60] + bytes([content[-60] ^ 1]) + content[-59:],
        lambda content: None,
    ],
)
@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_a_damaged_entry_of_the_store_is_computed_again(corpus, damage, suffix):
    corpus.ingest("first")
    entry = sorted((corpus.folder / "store").glob("*.npz"))[0].with_suffix(suffix)
    content = damage(entry.read_bytes())
    entry.unlink()  # it may share its bytes with the results
    if content is not None:
        entry.write_bytes(content)
    assert len(corpus.ingest("second")) == 1
    assert corpus.bytes("first") == corpus.bytes("second")
    assert corpus.ingest("third") == set()


def test_what_the_system_refused_is_tried_again(corpus, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setenv("CONSILIENCE_LIMIT_S", "inf")
        patch.setattr(features, "compute", refuse)
        corpus.ingest("refused")
    assert len(corpus.ingest("second")) == 4


def test_a_recording_that_changed_after_the_catalog_stops_the_stage(tmp_path):
    corpus = Corpus(tmp_path)
    corpus.ingest("first")
    table = build_catalog(dataset, corpus.root, ["face_au"]).recordings["face_au"]
    path = corpus.root / "openface_au35_clipmean.csv"
    path.write_text(path.read_text().replace("0.5", "0.7"))
    (tmp_path / "second").mkdir()
    with pytest.raises(ConsilienceError, match="changed after it was catalogued"):
        ingest(
            table, corpus.root, "face_au", modality.Params(), tmp_path / "s", tmp_path / "second"
        )
