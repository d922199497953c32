import hashlib
import json
import time
from pathlib import Path

import numpy as np
import pytest

from consilience.core.files import (
    atomic_folder,
    atomic_path,
    content_hash,
    read_arrays,
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
    with pytest.raises(ValueError, match="allow_pickle"):
        read_arrays(tmp_path / "a.npz")


def test_hashes_are_sha256(tmp_path: Path):
    write_bytes(tmp_path / "a", b"abc")
    assert content_hash(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
    assert text_hash("abc") == hashlib.sha256(b"abc").hexdigest()


def test_texts_are_separated():
    assert text_hash("ab", "c") != text_hash("a", "bc")
    assert text_hash("abc") != text_hash("abc", "")
