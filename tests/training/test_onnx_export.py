"""The ONNX graph of a bundle equals torch for every subset of sensors."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from consilience.core.errors import ConsilienceError
from consilience.schema.params.training import TrainingParams
from consilience.training import onnx_export
from consilience.training.bundle import load_model, save_model
from consilience.training.calibration import PREFIX
from consilience.training.fit import Fitted
from consilience.windows.store import load_corpus
from tests.training.cards import card_of

BUDGET = TrainingParams(seeds=[0], epochs=1, batch_size=16, width=8, refit=False)


def test_without_the_extra_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: None)
    with pytest.raises(ConsilienceError, match=r"without onnx and onnxscript .*\[onnx\]"):
        onnx_export.check_installed()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["coherence_transfer", "hybrid"])
def test_every_subset_of_sensors_is_equal_to_torch(
    method: str, train: Callable[..., Fitted], windows_folder: Path, tmp_path: Path
) -> None:
    for name in onnx_export.EXTRA:
        pytest.importorskip(name, reason="the extra 'onnx' is not installed")
    import onnxruntime

    fitted = train(method, training=BUDGET)
    with torch.no_grad():  # a calibration that none of the methods starts with
        for name, weight in fitted.stack.weights.items():
            if name.startswith(PREFIX):
                weight += 0.1 * torch.randn(
                    weight.shape, generator=torch.Generator().manual_seed(1)
                )
    corpus = load_corpus(windows_folder)
    names = list(corpus.modalities)
    folder = tmp_path / "model"
    card = card_of(fitted, corpus, BUDGET) | {"method": method, "params": {}}
    save_model(folder, fitted, card, {})
    onnx_export.write(folder)
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    assert [given.name for given in session.get_inputs()] == ["available", *names]
    assert [given.name for given in session.get_outputs()] == list(onnx_export.OUTPUTS)
    windows = {name: corpus.windows(name)[:5] for name in names}
    stack, scaler, *_ = load_model(folder)
    deployed = onnx_export.Deployed(stack, scaler).eval()
    for subset, n_windows in product(product([0, 1], repeat=len(names)), [1, 5]):
        available = np.tile(np.array(subset, np.float32), (n_windows, 1))
        inputs: dict[str, Any] = {name: values[:n_windows] for name, values in windows.items()}
        after = session.run(None, {"available": available, **inputs})
        with torch.no_grad():
            before = deployed(torch.from_numpy(available), *map(torch.from_numpy, inputs.values()))
        for name, expected, value in zip(onnx_export.OUTPUTS, before, after, strict=True):
            np.testing.assert_allclose(value, expected.numpy(), atol=1e-4, err_msg=name)
        assert np.isfinite(after[0]).all()
