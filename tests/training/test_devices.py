import pytest

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
