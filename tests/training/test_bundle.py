from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from consilience.core.errors import ConsilienceError
from consilience.evaluation import predict
from consilience.schema.params.training import TrainingParams
from consilience.training.bundle import load_model, save_model
from consilience.training.fit import Fitted
from consilience.windows import conditions
from consilience.windows.store import Corpus, load_corpus


@pytest.fixture
def corpus(windows_folder: Path) -> Corpus:
    return load_corpus(windows_folder)


@pytest.fixture
def prepared(corpus: Corpus) -> dict[str, dict[str, Tensor]]:
    return {m: {"clean": torch.from_numpy(corpus.windows(m))} for m in corpus.modalities}


def card_of(fitted: Fitted, corpus: Corpus, training: TrainingParams) -> dict[str, Any]:
    return {
        "method": "hybrid",
        "classes": corpus.classes,
        "features": corpus.features,
        "params": {"unimodal": 1.0},
        "training": training.model_dump(),
        "runs": [run._asdict() for run in fitted.runs],
        "dataset": corpus.dataset,
        "subjects": {},
        "recipe": {"modalities": {"eeg": {}}, "alignment": {}, "annotation": {}, "windows": {}},
    }


def test_a_loaded_model_predicts_as_before_and_for_its_own_test_subjects_only(
    train: Callable[..., Fitted],
    budget: TrainingParams,
    corpus: Corpus,
    prepared: dict[str, dict[str, Tensor]],
    tmp_path: Path,
) -> None:
    fitted = train()
    save_model(tmp_path / "model", fitted, card_of(fitted, corpus, budget), {})
    loaded = predict.load_bundle(tmp_path / "model", prepared)
    full = conditions.conditions(corpus)[0]
    before = predict.predict([fitted], corpus, prepared, full)
    after = predict.predict([loaded], corpus, prepared, full)
    np.testing.assert_array_equal(before.logits, after.logits)
    assert np.isnan(after.logits[0, corpus.members(loaded.runs[0].fold, "train")]).all()
    with pytest.raises(ConsilienceError, match="trained for audio, face_au"):
        predict.load_bundle(tmp_path / "model", {"audio": prepared["audio"]})


def test_a_bundle_holds_weights_scaler_card_and_history(
    train: Callable[..., Fitted],
    budget: TrainingParams,
    corpus: Corpus,
    prepared: dict[str, dict[str, Tensor]],
    tmp_path: Path,
) -> None:
    fitted = train(training=budget.model_copy(update={"epochs": 1}))
    card = card_of(fitted, corpus, budget)
    save_model(tmp_path, fitted, card, {})
    assert {path.name for path in tmp_path.iterdir()} >= {
        "model.safetensors",
        "card.json",
        "history.csv",
    }
    example = {name: variants["clean"][:1] for name, variants in prepared.items()}
    stack, scaler, runs, loaded_card, _ = load_model(tmp_path, example)
    assert not stack.training
    assert runs == fitted.runs
    assert loaded_card["method"] == "hybrid"
    for name, value in fitted.stack.state_dict().items():
        assert torch.equal(stack.state_dict()[name], value)
    for name, value in fitted.scaler.tensors().items():
        assert torch.equal(scaler.tensors()[name], value)
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert len(lines) == 1 + len(fitted.runs)


def test_a_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConsilienceError, match="no model in this folder"):
        load_model(tmp_path, {})
