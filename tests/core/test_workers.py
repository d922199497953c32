import os

import pytest

from consilience.core import workers
from consilience.core.errors import ConsilienceError
from consilience.core.workers import parallel_map


def test_the_environment_sets_the_number_of_workers(monkeypatch):
    monkeypatch.setenv("CONSILIENCE_WORKERS", "3")
    assert workers.workers() == 3
    monkeypatch.delenv("CONSILIENCE_WORKERS")
    assert workers.workers() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("n_workers", ["1", "2"])
def test_results_are_in_the_order_of_the_items(monkeypatch, n_workers):
    monkeypatch.setenv("CONSILIENCE_WORKERS", n_workers)
    assert parallel_map(abs, [-3, 1, -2], "test") == [3, 1, 2]


def test_an_empty_sequence_gives_an_empty_list():
    assert parallel_map(abs, [], "test") == []


def test_progress_is_logged_without_a_terminal(monkeypatch, capsys):
    monkeypatch.setenv("CONSILIENCE_WORKERS", "1")
    monkeypatch.setattr(workers, "LOG_EVERY_S", -1.0)
    parallel_map(abs, [-1, -2], "read")
    assert capsys.readouterr().err.splitlines()[-1] == "read: 2 of 2"


def test_items_of_a_lost_worker_are_repeated_once(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("CONSILIENCE_WORKERS", "2")
    once = f"__import__('os').mkdir({str(tmp_path / 'killed')!r})"
    kill = "__import__('os').kill(__import__('os').getpid(), 9)"
    first = f"not __import__('os').path.exists({str(tmp_path / 'killed')!r})"
    items = ["1", "2", f"({once}, {kill}) if {first} else 3", "4"]
    assert parallel_map(eval, items, "read") == [1, 2, 3, 4]
    assert "read: a worker process was ended by the system" in capsys.readouterr().err
    with pytest.raises(ConsilienceError, match="twice"):
        parallel_map(eval, ["1", kill], "read")
