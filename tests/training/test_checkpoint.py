from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from consilience.core.files import DamagedFileError
from consilience.training.checkpoint import read_checkpoint, with_prefix, write_checkpoint


def fabric(rank: int, shares: list[dict[str, Tensor]]) -> SimpleNamespace:
    """Stand in for a process of Lightning Fabric, whose peers have these shares."""
    return SimpleNamespace(
        world_size=len(shares),
        is_global_zero=rank == 0,
        broadcast=lambda local, src: local if src == rank else shares[src],
    )


def share(*runs: int) -> dict[str, Tensor]:
    return {"best_epoch": torch.tensor(runs), "now/weight": torch.tensor(runs)[:, None].float()}


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_runs_are_stored_in_their_order_whatever_the_number_of_processes(
    tmp_path: Path, world_size: int
) -> None:
    shares = [share(*range(rank, 5, world_size)) for rank in range(world_size)]
    path = tmp_path / "state.safetensors"
    for rank in range(1, world_size):
        write_checkpoint(path, fabric(rank, shares), shares[rank])
        assert not path.exists()
    write_checkpoint(path, fabric(0, shares), shares[0])
    state = read_checkpoint(path)
    assert state["best_epoch"].tolist() == [0, 1, 2, 3, 4]
    assert state["now/weight"].flatten().tolist() == [0, 1, 2, 3, 4]


def test_a_process_reads_its_own_runs(tmp_path: Path) -> None:
    shares = [share(0, 1, 2, 3, 4)]
    write_checkpoint(tmp_path / "state", fabric(0, shares), shares[0])
    assert read_checkpoint(tmp_path / "state", 1, 2)["best_epoch"].tolist() == [1, 3]


def test_a_prefix_selects_tensors_and_is_removed() -> None:
    assert set(with_prefix(share(0), "now/")) == {"weight"}


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "state"
    write_checkpoint(path, fabric(0, [share(0, 1)]), share(0, 1))
    content = path.read_bytes()
    last = bytes([content[-1] ^ 1]) if damage == "changed" else b""
    path.write_bytes(content[:-1] + last)
    with pytest.raises(DamagedFileError, match="cannot be read"):
        read_checkpoint(path)
