from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

from consilience.core.files import DamagedFileError, write_json
from consilience.reporting.content.compute import compute, header, size_of


def write_model(folder, n_runs=3):
    tensors = {
        "weights.network/head/weight": np.zeros((n_runs, 5, 4), np.float32),
        "weights.network/head/bias": np.zeros((n_runs, 5), np.float32),
        "mean/eeg": np.zeros((n_runs, 1, 9), np.float32),
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    card = {"runs": [{"fold": n, "seed": 0} for n in range(n_runs)], "best_epochs": [4, 9, 5]}
    write_json(folder / "card.json", card)


def test_parameters_are_those_of_one_network_without_its_statistics(tmp_path):
    write_model(tmp_path)
    size = size_of(tmp_path)
    assert (size.parameters, size.networks, size.epochs) == (25, 3, 5.0)
    assert size.megabytes == (tmp_path / "model.safetensors").stat().st_size / 1e6


def test_a_file_that_is_none_is_damaged(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(DamagedFileError):
        header(tmp_path / "model.safetensors")


def test_every_method_with_a_model_has_a_row(project, results):
    assert compute(project, results) is None
    write_model(project.model("concat"))
    section = compute(project, results)
    assert section is not None
    assert [row.title for row in section.blocks[0].table.rows] == ["concat"]
