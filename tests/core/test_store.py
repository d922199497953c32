from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from consilience.core import store as module
from consilience.core.files import text_hash
from consilience.core.store import Store, trim

ARRAYS = {"values": np.arange(5.0)}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    result = Store(tmp_path)
    result.save("key", {"status": "ok", "quality": np.float32(0.5)}, ARRAYS)
    return result


def test_a_result_is_returned_with_its_arrays_and_their_hash(store: Store) -> None:
    stored = store.load("key")
    assert stored is not None
    assert stored.outcome == {"status": "ok", "quality": 0.5}
    assert stored.arrays is not None
    np.testing.assert_array_equal(np.load(stored.arrays)["values"], ARRAYS["values"])
    assert stored.content_hash == module.content_hash(stored.arrays)
    assert store.load("other") is None


def test_a_result_need_not_have_arrays(store: Store) -> None:
    saved = store.save("bare", {"status": "quarantined"}, None)
    assert saved == store.load("bare") == ({"status": "quarantined"}, None, None)


def test_unchanged_arrays_are_not_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "content_hash", lambda path: pytest.fail("read"))
    assert store.load("key") is not None


@pytest.mark.parametrize("damage", ["cut", "changed", "deleted"])
def test_damaged_arrays_are_not_returned(store: Store, damage: str) -> None:
    path = store.folder / "key.npz"
    content = path.read_bytes()
    if damage == "deleted":
        path.unlink()
    else:
        last = bytes([content[-1] ^ 1]) if damage == "changed" else b""
        path.write_bytes(content[:-1] + last)
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000))
    assert store.load("key") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"outcome": 1, "sha256": "0"}'])
def test_a_damaged_card_is_not_returned(store: Store, text: str) -> None:
    (store.folder / "key.json").write_text(text)
    assert store.load("key") is None


def test_a_changed_outcome_is_not_returned(store: Store) -> None:
    card = store.folder / "key.json"
    card.write_text(card.read_text().replace("0.5", "0.6"))
    assert store.load("key") is None


def test_copied_arrays_are_read_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    os.utime(store.folder / "key.npz", ns=(0, 0))
    assert store.load("key") is not None
    monkeypatch.setattr(module, "content_hash", lambda path: pytest.fail("read again"))
    assert store.load("key") is not None


def test_a_quota_removes_what_was_used_least_recently(tmp_path: Path) -> None:
    kept = tmp_path / "watch" / "reported.json"
    kept.parent.mkdir()
    kept.write_text("{}")
    stores = [Store(tmp_path / name) for name in ("eeg", "audio")]
    keys = [text_hash(str(number)) for number in range(4)]
    for number, key in enumerate(keys):
        store = stores[number % 2]
        store.save(key, {"status": "ok"}, {"values": np.full(1000, number)})
        for suffix in (".json", ".npz"):
            os.utime(store.folder / f"{key}{suffix}", (1000 + number, 1000 + number))
    assert trim(tmp_path, 10**9)[0] == 0
    # Its arrays have another time than the card states, and are hashed.
    assert stores[0].load(keys[0]) is not None
    size = sum(path.stat().st_size for path in stores[0].folder.iterdir()) // 2
    n_removed, n_bytes = trim(tmp_path, 2 * size + 100)
    assert n_removed == 2
    assert n_bytes <= 2 * size + 100
    left = [stores[number % 2].load(key) is not None for number, key in enumerate(keys)]
    assert left == [True, False, False, True]
    assert kept.is_file()
    assert trim(tmp_path, 0)[1] == 0
    assert trim(tmp_path / "absent", 0) == (0, 0)
