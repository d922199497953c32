from __future__ import annotations

import os
from pathlib import Path

import pytest
import soundfile

from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.core.files import hashed_files
from consilience.core.seeds import generator
from consilience.ingest import catalog as module
from consilience.ingest.catalog import write_catalog
from consilience.ingest.kept_rows import UnchangedFiles
from consilience.ingest.run import ingest_modality
from consilience.params import defaults, document
from consilience.project import Project
from consilience.schema.tables import Recordings, read_table

RATE_HZ = 16000


def record(path: Path, seed: object) -> None:
    samples = 0.1 * generator("kept", seed).standard_normal(RATE_HZ)
    soundfile.write(path, samples, RATE_HZ)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Three recordings of a voice, catalogued."""
    root = tmp_path / "recordings"
    root.mkdir()
    lines = ["session,subject,modality,path"]
    for number in range(3):
        record(root / f"v{number}.wav", number)
        lines.append(f"s{number},p{number},audio,v{number}.wav")
    (root / "recordings.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "data").mkdir()
    project = Project(tmp_path)
    content = defaults("folder", str(root), ["audio"])
    project.params_file.write_text(document(content))
    write_catalog(project, print)
    return project


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of the entries that a catalog checks, in this process."""
    paths: list[str] = []

    def serial(check, items, title, limit_s, on_loss):  # type: ignore[no-untyped-def]
        paths.extend(item.path for item in items)
        return [check(item) for item in items]

    monkeypatch.setattr(module, "isolated_map", serial)
    return paths


def table(project: Project) -> bytes:
    return project.recordings_table("audio").read_bytes()


def test_unchanged_files_are_not_checked_again(project: Project, checked: list[str]) -> None:
    before = table(project)
    write_catalog(project, print)
    assert checked == []
    assert table(project) == before


def test_a_changed_and_a_new_file_are_checked(project: Project, checked: list[str]) -> None:
    root = project.dataset_root
    record(root / "v1.wav", "another")
    record(root / "v3.wav", 3)
    with (root / "recordings.csv").open("a") as file:
        file.write("s3,p3,audio,v3.wav\n")
    write_catalog(project, print)
    assert checked == ["v1.wav", "v3.wav"]
    fresh = Project(project.root)
    fresh.kept_rows("audio").unlink()
    incremental = table(project)
    write_catalog(fresh, print)
    assert table(fresh) == incremental


def test_a_companion_that_appears_is_noticed(project: Project, checked: list[str]) -> None:
    (project.dataset_root / "v2.vmrk").write_text("markers")
    write_catalog(project, print)
    assert checked == ["v2.wav"]


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_damaged_rows_are_not_used(project: Project, checked: list[str], damage: str) -> None:
    path, before = project.kept_rows("audio"), table(project)
    text = path.read_text()
    path.write_text(text[:-5] if damage == "cut" else text.replace("16000.0", "16001.0"))
    write_catalog(project, print)
    assert len(checked) == 3
    assert table(project) == before


def test_rows_of_other_parameters_are_not_used(project: Project, checked: list[str]) -> None:
    content = defaults("folder", str(project.dataset_root), ["audio"])
    content["modalities"]["audio"]["hop_s"] = 0.01
    project.params_file.write_text(document(content))
    write_catalog(Project(project.root), print)
    assert len(checked) == 3


def test_the_content_is_compared_only_where_a_file_changed(project: Project) -> None:
    row = read_table(project.recordings_table("audio"), Recordings).row(0, named=True)
    audio = registry.get("modalities", "audio")
    unchanged = UnchangedFiles(project.kept_rows("audio"), project.dataset_root)
    with hashed_files() as files:
        assert unchanged.has(row, audio)
        assert not files
        os.utime(project.dataset_root / row["path"])
        assert unchanged.has(row, audio)
        assert files == {project.dataset_root / row["path"]}
    record(project.dataset_root / row["path"], "another")
    assert not unchanged.has(row, audio)
    (project.dataset_root / row["path"]).unlink()
    assert not unchanged.has(row, audio)


def test_a_recording_that_changed_after_the_catalog_stops_the_ingest(project: Project) -> None:
    record(project.dataset_root / "v1.wav", "another")
    with pytest.raises(ConsilienceError, match=r"v1\.wav: the file changed after"):
        ingest_modality(project, "audio", print)
