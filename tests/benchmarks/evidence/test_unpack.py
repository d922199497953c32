from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from benchmarks.evidence.unpack import unpack
from consilience.core.errors import ConsilienceError


def archive(folder: Path, name: str) -> Path:
    """Write an archive of one file, and a table beside it."""
    path = folder / "raw.tar.xz"
    with tarfile.open(path, "w:xz") as opened:
        member = tarfile.TarInfo(name)
        member.size = 2
        opened.addfile(member, io.BytesIO(b"ab"))
    (folder / "labels.csv").write_text("subject\n")
    (folder / "notes.md").write_text("not a table")
    return path


def test_an_archive_is_unpacked_with_the_tables_beside_it(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "data/raw/corpus"
    source.mkdir()
    unpack(archive(source, "Raw/S01/BVP.csv"), target)
    files = [path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()]
    assert sorted(files) == ["Raw/S01/BVP.csv", "labels.csv"]
    assert (target / "Raw/S01/BVP.csv").read_bytes() == b"ab"


def test_an_entry_outside_the_folder_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    with pytest.raises(ConsilienceError, match="not unpacked"):
        unpack(archive(source, "../outside.csv"), target)
    assert not target.exists()
    assert not (tmp_path / "outside.csv").exists()


def test_a_missing_or_damaged_archive_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConsilienceError, match="missing archive"):
        unpack(tmp_path / "none.tar.xz", tmp_path / "target")
    (tmp_path / "bad.tar.xz").write_bytes(b"no archive")
    with pytest.raises(ConsilienceError, match="not unpacked"):
        unpack(tmp_path / "bad.tar.xz", tmp_path / "target")
