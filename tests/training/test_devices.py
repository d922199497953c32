import pytest
import torch

from consilience.core.errors import ConsilienceError
from consilience.training import devices


@pytest.mark.parametrize("number", ["0", "two", "-1", "1.5"])
def test_an_invalid_device_count_is_an_error(monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    monkeypatch.setenv(devices.VARIABLE, number)
    with pytest.raises(ConsilienceError, match=f"invalid device count: '{number}'"):
        devices.launch(lambda _: None, 2)


def test_one_device_runs_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(devices.VARIABLE, "1")
    called: list[tuple[int, int]] = []
    devices.launch(lambda fabric: called.append((fabric.global_rank, fabric.world_size)), 3)
    assert called == [(0, 1)]


def test_there_are_no_more_devices_than_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(devices.VARIABLE, "4")
    sizes: list[int] = []
    devices.launch(lambda fabric: sizes.append(fabric.world_size), 1)
    assert sizes == [1]


@pytest.mark.parametrize(
    ("n_workers", "limit", "n_runs", "expected"),
    [("3", "", 24, 3), ("3", "", 2, 2), ("3", "2", 24, 2), ("1", "8", 24, 1), ("3", "", 0, 1)],
)
def test_a_thread_has_at_least_one_run(
    monkeypatch: pytest.MonkeyPatch, n_workers: str, limit: str, n_runs: int, expected: int
) -> None:
    before = torch.get_num_threads()
    monkeypatch.setenv("CONSILIENCE_WORKERS", n_workers)
    monkeypatch.setenv("OMP_NUM_THREADS", limit)
    try:
        devices.use_cores(n_runs)
        assert torch.get_num_threads() == expected
    finally:
        torch.set_num_threads(before)
