"""A reader that hangs, crashes or exhausts memory affects its own recording only."""

from __future__ import annotations

import os
import time
from functools import partial

import pytest

from consilience.core.isolation import isolated_map


@pytest.mark.slow
def test_a_crashed_worker_affects_its_own_item_only(tmp_path, monkeypatch):
    monkeypatch.setenv("CONSILIENCE_WORKERS", "2")
    monkeypatch.setenv("CONSILIENCE_LIMIT_S", "3")
    os.mkfifo(tmp_path / "pipe")
    items = [
        "1 + 1",
        f"open({str(tmp_path / 'pipe')!r}).read()",  # waits within the system
        "2 + 2",
        "__import__('ctypes').string_at(0)",  # crashes
        "3 + 3",
        "all(x >= 0 for x in __import__('itertools').count())",  # never ends
        "__import__('os')._exit(3)",
        "4 + 4",
    ]
    start_s = time.monotonic()
    results = isolated_map(eval, items, "test", 600, lambda item, reason: reason)
    elapsed_s = time.monotonic() - start_s
    assert [results[index] for index in (0, 2, 4, 7)] == [2, 4, 6, 8]
    hung, crashed = "not finished after 3 s", "crashed"
    for index, reason in ((1, hung), (3, crashed), (5, hung), (6, crashed)):
        assert reason in str(results[index])
    assert elapsed_s < 120


def test_an_item_that_exceeded_its_time_is_not_repeated(tmp_path, monkeypatch):
    monkeypatch.setenv("CONSILIENCE_WORKERS", "2")
    monkeypatch.setenv("CONSILIENCE_LIMIT_S", "1")
    os.mkfifo(tmp_path / "pipe")
    begun, pipe = str(tmp_path / "begun"), str(tmp_path / "pipe")
    items = ["1 + 1", f"open({begun!r}, 'a').write('.') and open({pipe!r}).read()", "2 + 2"]
    results = isolated_map(eval, items, "test", 600, lambda item, reason: reason)
    assert results == [2, "its reader was not finished after 1 s (export it again)", 4]
    assert (tmp_path / "begun").read_text() == "."


def test_an_exception_reaches_the_caller(monkeypatch):
    monkeypatch.setenv("CONSILIENCE_WORKERS", "1")
    with pytest.raises(ZeroDivisionError):
        isolated_map(eval, ["1 / 0"], "test", 60, lambda item, reason: reason)


def test_a_worker_has_its_share_of_the_memory_and_one_thread(monkeypatch):
    monkeypatch.setenv("CONSILIENCE_WORKERS", "1")
    items = [
        "__import__('resource').getrlimit(__import__('resource').RLIMIT_DATA)[0]",
        "__import__('os').environ['OMP_NUM_THREADS']",
    ]
    limit, threads = isolated_map(eval, items, "test", 60, lambda item, reason: reason)
    assert 0 < limit <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert threads == "1"


def test_libraries_that_a_worker_has_loaded_use_one_thread():
    # NumPy is loaded before a worker is set up, when its variables have no effect any more.
    asked = "max(of['num_threads'] for of in __import__('threadpoolctl').threadpool_info())"
    (n_threads,) = isolated_map(eval, [asked], "test", 60, lambda item, reason: reason)
    assert n_threads == 1


def test_an_empty_sequence_gives_an_empty_list():
    assert isolated_map(eval, [], "test", 60, lambda item, reason: reason) == []


class Counted:
    """Argument that counts how often it is sent, and is 0 where it arrives."""

    def __init__(self) -> None:
        self.n_sent = 0

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        self.n_sent += 1
        return int, (0,)


def test_the_function_is_sent_once_for_all_items() -> None:
    state = Counted()
    items = list(range(1, 7))
    results = isolated_map(partial(max, state), items, "test", 60, lambda item, reason: 0)
    assert results == items
    assert state.n_sent == 1
