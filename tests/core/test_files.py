import hashlib
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from consilience.core import files
from consilience.core.files import (
    DamagedFileError,
    atomic_folder,
    atomic_path,
    cached_per_file,
    content_hash,
    intact,
    link_or_copy,
    read_array,
    read_arrays,
    read_json,
    sweep,
    text_hash,
    write_arrays,
    write_bytes,
    write_json,
)


def test_a_file_is_replaced_when_the_block_succeeds(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("one")
        assert not path.exists()
        assert temporary.suffix == ".txt"
    assert path.read_text() == "one"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_block_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one")
    with pytest.raises(ZeroDivisionError), atomic_path(path) as temporary:
        temporary.write_text(f"half{1 / 0}")
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "out"
    for name in ("first", "second"):
        with atomic_folder(path) as temporary:
            (temporary / name).touch()
    assert [file.name for file in path.iterdir()] == ["second"]
    assert path.stat().st_mode & 0o777 == 0o755


def test_a_folder_is_flushed_but_for_links_to_results_that_were(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(files, "_flush", lambda path: flushed.append(path.name))
    result = tmp_path / "result"
    result.touch()
    with atomic_folder(tmp_path / "out") as temporary:
        link_or_copy(result, temporary / "link")
        (temporary / "new").touch()
        with monkeypatch.context() as no_links:
            no_links.setattr("os.link", link_refused)
            link_or_copy(result, temporary / "copy")
    assert sorted(flushed) == ["copy", "new", "out", tmp_path.name]


def link_refused(source: Path, target: Path) -> None:
    raise OSError


def test_a_failed_block_leaves_the_folder_as_it_was(tmp_path):
    path = tmp_path / "out"
    with atomic_folder(path) as temporary:
        (temporary / "first").touch()
    with pytest.raises(ZeroDivisionError), atomic_folder(path) as temporary:
        (temporary / "half").touch(mode=1 // 0)
    assert [file.name for file in path.iterdir()] == ["first"]
    assert list(tmp_path.iterdir()) == [path]


def test_json_has_plain_numbers_and_null_for_non_finite_ones(tmp_path):
    path = tmp_path / "a.json"
    content = {1: np.float32(0.5), "b": (np.int64(2), float("nan"), float("inf"), None, "x")}
    write_json(path, content)
    assert json.loads(path.read_text()) == {"1": 0.5, "b": [2, None, None, None, "x"]}
    assert path.read_text().endswith("}\n")


def test_arrays_are_read_as_written_and_their_bytes_do_not_depend_on_the_time(
    tmp_path, monkeypatch
):
    arrays = {"a": np.arange(6.0, dtype=np.float32).reshape(2, 3), "b": np.array([1, 2])}
    write_arrays(tmp_path / "one.npz", arrays)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 1e6)
    write_arrays(tmp_path / "two.npz", arrays)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    result = read_arrays(tmp_path / "one.npz")
    assert list(result) == ["a", "b"]
    for name, values in arrays.items():
        np.testing.assert_array_equal(result[name], values)
        assert result[name].dtype == values.dtype


def test_pickled_arrays_raise(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.array([{}], dtype=object))
    with pytest.raises(DamagedFileError, match="allow_pickle"):
        read_arrays(tmp_path / "a.npz")


def test_hashes_are_sha256(tmp_path: Path):
    write_bytes(tmp_path / "a", b"abc")
    assert content_hash(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
    assert text_hash("abc") == hashlib.sha256(b"abc").hexdigest()


def test_texts_are_separated():
    assert text_hash("ab", "c") != text_hash("a", "bc")
    assert text_hash("abc") != text_hash("abc", "")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").touch()
    (tmp_path / "data").mkdir()
    return tmp_path


def test_the_temporaries_of_a_project_lie_in_one_folder(project):
    with atomic_folder(project / "data/signals/eeg") as folder:
        (folder / "a").touch()
        assert folder.is_relative_to(project / "data/.tmp")
        sweep(project)  # another process's sweep leaves it alone
        with atomic_path(project / "data/b.json") as path:
            path.touch()
    assert (project / "data/signals/eeg/a").is_file()
    assert not (project / "data/.tmp").exists()


def test_a_folder_that_another_process_removes_at_any_moment_is_made_again(project, monkeypatch):
    """`mkdir` meets the folder of temporaries, which is gone when it checks what that is."""
    make, attempts = os.mkdir, []

    def contended(path, *rest, **options):
        if str(path).endswith("data/.tmp"):
            attempts.append(path)
            if len(attempts) == 1:
                raise FileExistsError(17, "File exists", str(path))
        make(path, *rest, **options)

    monkeypatch.setattr(os, "mkdir", contended)
    write_bytes(project / "data/a", b"abc")
    assert (project / "data/a").read_bytes() == b"abc"
    assert len(attempts) == 2


def test_a_file_in_place_of_the_folder_of_temporaries_raises(project):
    (project / "data/.tmp").touch()
    with pytest.raises(FileExistsError):
        write_bytes(project / "data/a", b"abc")


def test_what_an_ended_process_left_is_swept(project):
    left = project / "data/.tmp/.tmp-1"
    left.mkdir(parents=True)
    (left / "half.npz").touch()
    sweep(project)
    assert sorted(path.name for path in (project / "data").iterdir()) == []
    sweep(project)


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.json"])
@pytest.mark.parametrize("damage", ["cut", "empty", "absent"])
def test_a_damaged_file_is_named(tmp_path, name, damage):
    path = tmp_path / name
    read = {"a.npz": read_arrays, "a.npy": read_array, "a.json": read_json}[name]
    if name == "a.npz":
        write_arrays(path, {"x": np.arange(500.0)})
    elif name == "a.npy":
        np.save(path, np.arange(500.0))
    else:
        write_json(path, {"x": [1, 2, 3]})
    assert read(path) is not None
    if damage == "absent":
        path.unlink()
    else:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2 if damage == "cut" else 0])
    with pytest.raises(DamagedFileError) as raised:
        read(path)
    assert raised.value.path == path
    assert "\n" not in str(raised.value)


def test_arrays_are_written_as_numpy_writes_them(tmp_path):
    arrays = {
        "large": np.arange(6.0 * 2**20).reshape(-1, 6),
        "columns": np.arange(12.0, dtype=np.float32).reshape(3, 4).T,
        "number": np.array(3),
        "words": np.array(["a", "bc"]),
        "empty": np.empty((0, 2)),
    }
    np.savez(tmp_path / "numpy.npz", **arrays)
    write_arrays(tmp_path / "own.npz", arrays)
    assert (tmp_path / "own.npz").read_bytes() == (tmp_path / "numpy.npz").read_bytes()


def test_a_refusal_of_the_system_is_no_damage(tmp_path):
    def refuse() -> None:
        raise OSError(24, "Too many open files")

    with pytest.raises(OSError, match="Too many open files"):
        intact(tmp_path / "a", refuse)


def test_a_file_is_read_once_until_it_changes(tmp_path):
    calls = []

    @cached_per_file(2)
    def first(path, n):
        calls.append(path)
        return path.read_text()[:n]

    path = tmp_path / "a.txt"
    path.write_text("one")
    assert [first(path, 1), first(path, 1), first(path, 2)] == ["o", "o", "on"]
    assert len(calls) == 2
    path.write_text("three")
    assert first(path, 1) == "t"
    os.utime(path, ns=(0, 0))
    assert first(path, 1) == "t"
    assert len(calls) == 4
